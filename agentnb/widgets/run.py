"""`RunWidget`: the live view of one run, as a Jupyter widget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from agentnb.render import to_html, to_text
from agentnb.widgets.base import AgentWidget
from agentnb.widgets.controller import LiveRun, RunPublisher
from agentnb.widgets.protocol import Snapshot

__all__ = ["RunWidget"]


class RunWidget(AgentWidget):
    """Shows a run while it goes on, and its end.

    The trait ``snapshot`` holds the state at the widget's making, and at the run's end the final
    one; all in between goes by messages.  Closing the widget leaves the run alone.
    """

    def __init__(self, run: LiveRun) -> None:
        self._shown = run
        self._publisher = RunPublisher(run, send=self._send_message, keep=self._keep)
        super().__init__(kind="run", snapshot=self._publisher.first())
        self._publisher.start()

    def close(self) -> None:
        """Take the view away.  The run goes on."""
        # Also called for a widget that is being torn down half made.
        publisher: RunPublisher | None = getattr(self, "_publisher", None)
        if publisher is not None:
            publisher.close()
        super().close()

    def _keep(self, snapshot: Snapshot) -> None:
        self.snapshot = dict(snapshot)

    def _receive(self, content: object, buffers: Sequence[Any]) -> None:
        self._publisher.receive(content)

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        made = cast("Any", super())._repr_mimebundle_(**kwargs)
        if made is None:
            return None
        data, metadata = cast("tuple[dict[str, Any], dict[str, Any]]", made)
        with self._shown.lock:
            view = self._shown.view()
            # For viewers without a kernel, and without a widget manager.
            static = {"text/plain": to_text(view), "text/html": to_html(view)}
        return {**data, **static}, metadata

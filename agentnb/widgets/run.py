"""`RunWidget`, the live view of one run as a Jupyter widget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentnb.render import to_html, to_text
from agentnb.widgets.base import AgentWidget
from agentnb.widgets.protocol import Snapshot
from agentnb.widgets.run_publisher import ObservableRun, RunPublisher

__all__ = ["RunWidget"]


class RunWidget(AgentWidget):
    """Live view of a run.

    The trait ``snapshot`` holds the state when the widget is created, and finally the state at the
    run's end; changes in between are sent as messages.  Closing the widget does not stop the run.
    """

    def __init__(self, run: ObservableRun) -> None:
        self._run = run
        self._publisher = RunPublisher(run, send=self._send_message, keep=self._keep)
        super().__init__(kind="run", snapshot=self._publisher.first())
        self._publisher.start()

    def close(self) -> None:
        """Remove the view; the run goes on."""
        # Also called on an instance whose constructor failed.
        publisher: RunPublisher | None = getattr(self, "_publisher", None)
        if publisher is not None:
            publisher.close()
        super().close()

    def _keep(self, snapshot: Snapshot) -> None:
        self.snapshot = dict(snapshot)

    def _receive(self, content: object, buffers: Sequence[Any]) -> None:
        self._publisher.receive(content)

    def _fallback(self) -> Mapping[str, str]:
        with self._run.lock:
            view = self._run.view()
            return {"text/plain": to_text(view), "text/html": to_html(view)}

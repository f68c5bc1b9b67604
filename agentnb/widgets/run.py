"""`RunWidget`: the live view of one run, as a Jupyter widget."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, cast

import anywidget
import traitlets

from agentnb.render import to_html, to_text
from agentnb.widgets.controller import LiveRun, RunPublisher
from agentnb.widgets.protocol import Snapshot

__all__ = ["RunWidget"]

_STATIC: Final = Path(__file__).parent / "static"


def bundle(directory: Path, name: str) -> Path:
    """Return the path of a built file.

    Raises:
        ImportError: it is not there; a checkout has to be built before it can show widgets.
    """
    path = directory / name
    if not path.is_file():
        raise ImportError(
            f"agentnb's live view is not built: {path} is missing. In a checkout, "
            "`npm ci && npm run build` in js/ makes it; an installed package brings it along."
        )
    return path


class RunWidget(anywidget.AnyWidget):
    """Shows a run while it goes on, and its end.

    The trait ``snapshot`` holds the state at the widget's making, and at the run's end the final
    one; all in between goes by messages.  The page writes no trait.  Closing the widget leaves the
    run alone.
    """

    _esm = bundle(_STATIC, "widget.js")
    _css = bundle(_STATIC, "widget.css")

    snapshot: traitlets.Dict[str, Any] = traitlets.Dict().tag(sync=True)

    def __init__(self, run: LiveRun) -> None:
        self._shown = run
        self._publisher = RunPublisher(run, send=self._send_message, keep=self._keep)
        super().__init__(snapshot=self._publisher.first())
        _answer_where_asked(self)
        cast("Any", self).on_msg(self._hear)
        self._publisher.start()

    def close(self) -> None:
        """Take the view away.  The run goes on."""
        # Also called for a widget that is being torn down half made.
        publisher: RunPublisher | None = getattr(self, "_publisher", None)
        if publisher is not None:
            publisher.close()
        super().close()

    def _send_message(self, message: Any) -> None:
        cast("Any", self).send(dict(message))

    def _keep(self, snapshot: Snapshot) -> None:
        self.snapshot = dict(snapshot)

    def _hear(self, widget: Any, content: Any, buffers: Any) -> None:
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


def _answer_where_asked(widget: RunWidget) -> None:
    """Keep ipykernel 7.4 from answering on the subshell that last published.

    The publisher writes from a thread of its own, and the page's next message would wait there.
    """
    comm: Any = widget.comm
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = _default_subshell


def _default_subshell(data: Any, default: Any) -> Any:
    return default

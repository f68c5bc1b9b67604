"""`AgentWidget`: what all widgets of agentnb have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import anywidget
import traitlets

from agentnb.widgets.allowance import Allowance
from agentnb.widgets.code import (
    bundle,
    code_message,
    code_of,
    code_reference,
    host_shares_code,
)

__all__ = ["AgentWidget"]


class AgentWidget(anywidget.AnyWidget):
    """A widget whose page gets its code once per kernel, and a way for messages both ways.

    ``kind`` tells the page which view to show, ``snapshot`` holds the state of it that outlives
    messages.  The page writes no trait: what it sends as a trait would be saved with the notebook,
    the code of the view too.  Widgets derive from this and take in `_receive` what the page says,
    on whatever thread the host calls; what comes too fast is dropped, see `Allowance`.
    """

    _esm = bundle("loader.js")

    kind: traitlets.Unicode[str, str | bytes] = traitlets.Unicode().tag(sync=True)
    snapshot: traitlets.Dict[str, Any] = traitlets.Dict().tag(sync=True)
    _code: traitlets.Dict[str, Any] = traitlets.Dict().tag(sync=True)

    def __init__(self, *, kind: str, snapshot: Mapping[str, Any]) -> None:
        if host_shares_code():
            # The code can take the loader's place: it is called the same way.
            self._esm = bundle(code_of(kind)).read_text("utf-8")
        self._allowance = Allowance()
        super().__init__(kind=kind, snapshot=dict(snapshot))
        cast("Any", self).on_msg(self._hear)

    def open(self) -> None:
        """Tell the page of the widget; its making does that, unless a subclass waits with it."""
        if cast("Any", self).comm is None:
            self._code = dict(code_reference(self.kind))
            super().open()
            _answer_where_asked(self)

    def set_state(self, sync_data: Any) -> None:
        """Ignore what a page wants to write: no trait is the page's."""

    def _receive(self, content: object, buffers: Sequence[Any]) -> None:
        """Take a message of the page; ``buffers`` are its binary parts.  Here: nothing."""

    def _send_message(self, message: Mapping[str, Any], buffers: Sequence[Any] = ()) -> None:
        """Send a message to the page."""
        cast("Any", self).send(dict(message), buffers=list(buffers))

    def _hear(self, widget: Any, content: Any, buffers: Any) -> None:
        asked = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
        # Pieces of files come fast, and are bounded by themselves.
        if asked.get("type") != "upload" and not self._allowance.take():
            return
        if asked.get("type") == "code":
            if (answer := code_message(self._code.get("hash", ""))) is not None:
                self._send_message(cast("Mapping[str, Any]", answer))
        else:
            self._receive(cast("object", content), buffers or ())


def _answer_where_asked(widget: AgentWidget) -> None:
    """Keep ipykernel 7.4 from answering on the subshell that last published.

    Publishers write from threads of their own, and the page's next message would wait there.
    """
    comm: Any = widget.comm
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = _default_subshell


def _default_subshell(data: Any, default: Any) -> Any:
    return default

"""`AgentWidget`, the base class of all widgets of agentnb."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

import anywidget
import traitlets

from agentnb.widgets.code import (
    bundle as code_path,
)
from agentnb.widgets.code import (
    code_message,
    code_of,
    code_reference,
    host_shares_code,
)
from agentnb.widgets.publisher import Publisher

_log = logging.getLogger(__name__)

#: Messages accepted at once: a page with a hundred runs sends one for each when it is loaded.
BURST: Final = 200
# Messages accepted per second in the long run, more than a user can click.
_RATE: Final = 25.0


class MessageLimiter:
    """Token bucket for the messages of a page; thread-safe.

    Each message may query the database or send a whole state, so a flood of them would block the
    kernel.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = float(BURST)
        self._updated = clock()
        self._is_dropping = False

    def take(self) -> bool:
        """Return whether a message is accepted, and count it; otherwise it is to be dropped."""
        with self._lock:
            now = self._clock()
            self._tokens = min(float(BURST), self._tokens + (now - self._updated) * _RATE)
            self._updated = now
            if self._tokens >= 1:
                self._tokens -= 1
                self._is_dropping = False
                return True
            is_first, self._is_dropping = not self._is_dropping, True
        if is_first:
            _log.warning("A page sends messages too fast; some are dropped")
        return False


@contextmanager
def log_failure() -> Generator[None]:
    """Log an exception of a comm, which may be closed; a run must not be affected."""
    try:
        yield
    except Exception:
        _log.debug("A message could not be sent to a page", exc_info=True)


class AgentWidget(anywidget.AnyWidget):
    """A widget with messages in both directions, whose JavaScript is sent once per kernel.

    ``kind`` selects the view in the page, ``snapshot`` is the state that outlives messages.  The
    page writes no trait, since traits are saved with the notebook, JavaScript included.
    ``publisher`` handles its messages, on the thread on which the host calls; those beyond the rate
    limit are dropped.  ``bundle`` returns the MIME bundle for viewers without a kernel or a
    widget manager.

    Closing a widget removes the view; what it shows goes on.
    """

    # For `close`, which is also called on an instance whose constructor failed.
    _publisher: Publisher | None = None

    _esm = code_path("loader.js")

    kind: traitlets.Unicode[str, str | bytes] = traitlets.Unicode().tag(sync=True)
    snapshot: traitlets.Dict[str, Any] = traitlets.Dict().tag(sync=True)
    _code: traitlets.Dict[str, Any] = traitlets.Dict().tag(sync=True)

    def __init__(
        self, kind: str, publisher: Publisher, *, bundle: Callable[[], Mapping[str, str]] = dict
    ) -> None:
        if host_shares_code():
            # Instead of the loader; both have the same interface.
            self._esm = code_path(code_of(kind)).read_text("utf-8")
        self._limiter = MessageLimiter()
        self._bundle = bundle
        self._publisher = publisher
        super().__init__(kind=kind, snapshot=dict(publisher.first()))
        cast("Any", self).on_msg(self._on_message)

    def close(self) -> None:
        """Remove the view."""
        if self._publisher is not None:
            self._publisher.close()
        super().close()

    def open(self) -> None:
        """Open the comm to the page; called by the constructor, unless a subclass defers it."""
        if cast("Any", self).comm is None:
            self._code = dict(code_reference(self.kind))
            super().open()
            # ipykernel 7.4 would handle messages on the subshell that published last: another
            # thread, which the page's next message would wait for.
            cast("Any", self).comm._reply_subshell_for = _default_subshell
            if self._publisher is not None:
                self._publisher.start()

    def set_state(self, sync_data: Any) -> None:
        """Ignore state from the page, which may write no trait."""

    def _send_message(self, message: Mapping[str, Any], buffers: Sequence[Any] = ()) -> None:
        """Send a message to the page; if it is lost, the page sees a gap and asks again."""
        with log_failure():
            cast("Any", self).send(dict(message), buffers=list(buffers))

    def _keep(self, snapshot: Mapping[str, Any]) -> None:
        """Set the trait ``snapshot``, with which a notebook is saved."""
        with log_failure():
            self.snapshot = dict(snapshot)

    def _on_message(self, widget: Any, content: Any, buffers: Any) -> None:
        kind = cast("dict[str, Any]", content).get("type") if isinstance(content, dict) else None
        # Chunks of files come fast, and have limits of their own.
        if kind != "upload" and not self._limiter.take():
            return
        if kind == "code":
            if (message := code_message(self._code.get("hash", ""))) is not None:
                self._send_message(message)
        elif self._publisher is not None:
            self._publisher.receive(cast("object", content), buffers or ())

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        view = cast("Any", super())._repr_mimebundle_(**kwargs)
        if view is None:
            return None
        data, metadata = cast("tuple[dict[str, Any], dict[str, Any]]", view)
        return {**data, **self._bundle()}, metadata


def _default_subshell(data: Any, default: Any) -> Any:
    return default

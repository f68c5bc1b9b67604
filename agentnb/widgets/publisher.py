"""`Publisher`, the base class of what connects a state with its page."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

Send = Callable[[Mapping[str, Any]], None]


class Publisher:
    """Sends a state's changes to its page, numbered and in order, and handles its messages.

    ``send`` sends a message to the page and ``keep`` stores a snapshot with the notebook; neither
    raises.  `receive`, `flush` and `close` are thread-safe.
    """

    #: Seconds between two messages with changes.
    interval: ClassVar[float] = 0.0

    def __init__(self, send: Send, keep: Send | None = None) -> None:
        self._send = send
        self._keep = keep
        # Held while a message is built and sent, so that messages leave in order.
        self._lock = threading.RLock()
        self._seq: int = 0
        self._closed = False
        self._unsubscribe: Callable[[], None] | None = None
        self._flush_timer: asyncio.TimerHandle | None = None
        self._due = float("-inf")

    def first(self) -> Mapping[str, Any]:
        """Return the initial snapshot; to be called once, before `start`."""
        return {}

    def start(self) -> None:
        """Subscribe to the state, and send the changes since `first`."""

    def flush(self) -> None:
        """Send all changes now."""

    def receive(self, content: object, buffers: Sequence[Any] = ()) -> None:
        """Handle a message of the page; invalid ones are ignored."""

    def close(self) -> None:
        """Unsubscribe and send nothing more; idempotent."""
        with self._lock:
            self._closed = True
            unsubscribe, self._unsubscribe = self._unsubscribe, None
        if unsubscribe is not None:
            unsubscribe()

    def _on_change(self, is_timer: bool = False) -> None:
        """Send the changes, or schedule that; called on an event loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            now = loop.time()
            if is_timer:
                self._flush_timer = None
            elif self._closed or self._flush_timer is not None:
                return
            elif now < self._due:
                self._flush_timer = loop.call_later(self._due - now, self._on_change, True)
                return
            self._due = now + self.interval
            self.flush()

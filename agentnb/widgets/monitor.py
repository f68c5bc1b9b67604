"""`MonitorWidget`: runs that are watched, one row each, as a Jupyter widget.

The mirror of ``js/src/monitor/protocol.ts``.  The trait ``snapshot``, ``{seq, monitor: {rows,
watching}}``, holds the state at the widget's making and, once nothing can change any more, the last
one.  In between the kernel sends ``{type: "changes", seq, rows, watching}`` with whole rows, of
those that changed, and what changed of the watching; the page may say ``{type: "resync", seq}`` and
is sent ``{type: "snapshot", seq, monitor}``, and ``{type: "stop", run: key}``, which is answered
with ``{type: "ack", run, error}``.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

from agentnb._loop import background_loop
from agentnb.monitoring import WatchedRun
from agentnb.render.visible import one_line
from agentnb.run.run import Run
from agentnb.widgets.base import AgentWidget
from agentnb.widgets.protocol import jsonable

__all__ = ["LiveWatch", "MonitorWidget", "MonitoredRow", "monitored_rows"]

_log = logging.getLogger(__name__)

# Seconds between two messages: who looks at many runs need not see each word of each.
_INTERVAL: Final = 0.2
# By how much the time between two questions must have grown to be called slow.
_SLOWER: Final = 1.3
# Characters of a row's texts.
_NAME: Final = 200
_TITLE: Final = 300
_ERROR: Final = 1_000

MonitoredRow = dict[str, Any]


class LiveWatch(Protocol):
    """What the widget needs of a `Watch`."""

    @property
    def requests(self) -> int: ...
    @property
    def problem(self) -> str | None: ...
    @property
    def done(self) -> bool: ...
    def rows(self) -> list[WatchedRun]: ...
    def results(self) -> list[Run | WatchedRun]: ...
    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]: ...
    def cancel(self, key: str) -> None: ...


def monitored_rows(watch: LiveWatch) -> list[MonitoredRow]:
    """Return a row for each run that is watched, as the page has it, in their order.

    A run of this process goes by its question, another, whose question is not known, by its id.
    """
    # A run that is listed in between comes with the next change.
    pairs = zip(watch.rows(), watch.results(), strict=False)
    return [_row(row, found) for row, found in pairs]


def _row(row: WatchedRun, found: Run | WatchedRun) -> MonitoredRow:
    usage = found.usage if isinstance(found, Run) else None
    tokens = None if usage is None else usage.total_tokens
    if tokens is None and usage is not None:
        parts = [n for n in (usage.input_tokens, usage.output_tokens) if n is not None]
        tokens = sum(parts) if parts else None
    title = one_line(found.prompt if isinstance(found, Run) else row.run_id, _TITLE)
    return jsonable(
        {
            "key": row.key,
            "run_id": one_line(row.run_id, _NAME),
            "platform": one_line(row.platform, _NAME),
            "agent": one_line(row.agent or "", _NAME),
            "title": title,
            "status": row.status,
            "elapsed": row.elapsed,
            "detail": one_line(row.detail, _TITLE),
            "tokens": tokens,
            "error": None if row.error is None else one_line(row.error, _ERROR),
            "final": row.final,
            "can_stop": row.can_cancel,
        }
    )


class MonitorWidget(AgentWidget):
    """Shows what ``watch`` tells of its runs until they have ended.

    ``interval`` is how often, in seconds, platforms are asked at first; ``bundle`` returns what
    stands for the view elsewhere.  Closing the widget leaves the watch and its runs alone.
    """

    def __init__(
        self,
        watch: LiveWatch,
        *,
        interval: float = 3.0,
        bundle: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._watch = watch
        self._bundle = bundle
        self._pace = _Pace(watch, interval)
        # Held while something is made and sent: messages leave in the order of their numbers.
        self._sending = threading.RLock()
        self._seq = 0
        self._timer: asyncio.TimerHandle | None = None
        self._last = float("-inf")
        self._closed = False
        self._kept_end = False
        self._rows: dict[str, MonitoredRow] = {}
        self._watching: dict[str, Any] = {}
        self._unsubscribe: Callable[[], None] | None = None
        super().__init__(kind="monitor", snapshot=self._state())
        self._unsubscribe = watch.subscribe(self._changed)
        # What came in between.
        self._from_anywhere(self._arrange)

    def close(self) -> None:
        """Take the view away.  The runs go on, and so does the watch."""
        # Also called for a widget that is being torn down half made.
        if hasattr(self, "_sending"):
            with self._sending:
                self._closed = True
                unsubscribe, self._unsubscribe = self._unsubscribe, None
            if unsubscribe is not None:
                unsubscribe()
        super().close()

    # -- telling ---------------------------------------------------------------------------------

    def _changed(self) -> None:
        self._pace.look()
        self._from_anywhere(self._arrange)

    def _from_anywhere(self, work: Callable[[], None]) -> None:
        loop = background_loop()
        try:
            here = asyncio.get_running_loop() is loop
        except RuntimeError:
            here = False
        if here:
            work()
        else:
            loop.call_soon_threadsafe(work)

    def _arrange(self) -> None:
        with self._sending:
            if self._closed or self._timer is not None:
                return
            loop = asyncio.get_running_loop()
            wait = self._last + _INTERVAL - loop.time()
            if wait <= 0 or self._watch.done:
                self._tick()
            else:
                self._timer = loop.call_later(wait, self._tick)

    def _tick(self) -> None:
        with self._sending:
            self._timer = None
            self._last = asyncio.get_running_loop().time()
            if self._closed:
                return
            before, watching_before = self._rows, self._watching
            state = self._state(count=False)
            changed = [r for r in self._rows.values() if _told(r) != _told(before.get(r["key"]))]
            asked = self._pace.take_asked()
            new = {
                name: value
                for name, value in self._watching.items()
                if value != watching_before.get(name) and name != "asked"
            }
            if asked:
                new["asked"] = self._watching["asked"]
            if changed or new:
                self._seq += 1
                self._tell({"type": "changes", "seq": self._seq, "rows": changed, "watching": new})
            if self._watching["over"] and not self._kept_end:
                self._kept_end = True
                self.snapshot = {**state, "seq": self._seq}

    def _state(self, *, count: bool = True) -> dict[str, Any]:
        """Return the whole state; the page knows all of it from here on."""
        watch = self._watch
        # First whether it is over: else the last change would be missed.
        over = watch.done
        rows = monitored_rows(watch)
        self._rows = {row["key"]: row for row in rows}
        polls = any(not isinstance(found, Run) for found in watch.results())
        self._watching = jsonable(
            {"over": over, "polls": polls, "error": _problem(watch), **self._pace.told()}
        )
        if count:
            self._kept_end = over
        return {"seq": self._seq, "monitor": {"rows": rows, "watching": self._watching}}

    def _tell(self, message: Mapping[str, Any]) -> None:
        try:
            self._send_message(message)
        except Exception:
            # The comm may be gone; a page that is still there sees the gap and asks.
            _log.debug("A monitor's page could not be told", exc_info=True)

    # -- hearing ---------------------------------------------------------------------------------

    def _receive(self, content: object, buffers: Sequence[Any]) -> None:
        if not isinstance(content, Mapping):
            return
        match cast("Mapping[str, Any]", content):
            case {"type": "resync"}:
                with self._sending:
                    if not self._closed:
                        self._seq += 1
                        self._tell({"type": "snapshot", **self._state(count=False)})
            case {"type": "stop", "run": str(key)}:
                error = None
                try:
                    self._watch.cancel(key)
                except KeyError:
                    error = "This run is not watched any more."
                self._tell({"type": "ack", "run": key, "error": error})
            case _:
                _log.debug("A page sent something that is no message of its protocol")

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        made = cast("Any", super())._repr_mimebundle_(**kwargs)
        if made is None:
            return None
        data, metadata = cast("tuple[dict[str, Any], dict[str, Any]]", made)
        # For viewers without a kernel, and without a widget manager.
        return {**data, **self._bundle()}, metadata


def _problem(watch: LiveWatch) -> str | None:
    problem = watch.problem
    return None if problem is None else one_line(problem, _ERROR)


def _told(row: MonitoredRow | None) -> MonitoredRow | None:
    """Return what of a row is news; that time goes by is none."""
    return None if row is None else {**row, "elapsed": row["elapsed"] is not None}


class _Pace:
    """When platforms were asked, as the number of requests tells it."""

    def __init__(self, watch: LiveWatch, interval: float) -> None:
        self._watch = watch
        self._first = interval
        self._interval = interval
        self._requests = watch.requests
        self._at: float | None = None
        self._asked = False

    def look(self) -> None:
        """Note whether somebody was asked since the last look."""
        requests, now = self._watch.requests, time.monotonic()
        if requests == self._requests:
            return
        self._requests = requests
        # Several platforms are asked each at its own pace; what comes close together is one round.
        if self._at is not None and now - self._at > self._first / 2:
            self._interval = now - self._at
        self._at = now
        self._asked = True

    def take_asked(self) -> bool:
        """Return whether somebody was asked since the last call of this."""
        asked, self._asked = self._asked, False
        return asked

    def told(self) -> dict[str, Any]:
        """Return what the page is told of it."""
        return {
            "asked": None if self._at is None else time.monotonic() - self._at,
            "interval": float(round(self._interval)) or self._interval,
            "slow": self._interval > self._first * _SLOWER,
        }

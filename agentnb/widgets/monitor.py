"""`MonitorWidget`, a table of watched runs as a Jupyter widget.

The counterpart of ``js/src/monitor/protocol.ts``.  The trait ``snapshot``, ``{seq, monitor: {rows,
watching}}``, holds the state when the widget is created, and the final one.  In between the kernel
sends ``{type: "changes", seq, rows, watching}`` with the changed rows as a whole and the changed
fields of ``watching``.  The page may send ``{type: "resync", seq}``, answered with ``{type:
"snapshot", seq, monitor}``, and ``{type: "stop", run: key}``, answered with ``{type: "ack", run,
error}``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from agentnb._loop import background_loop
from agentnb.monitoring import Watch, WatchedRun
from agentnb.render.view import total_tokens
from agentnb.render.visible import one_line
from agentnb.run.run import Run
from agentnb.widgets.base import AgentWidget
from agentnb.widgets.bounds import KEY_TEXT
from agentnb.widgets.protocol import Fields, jsonable, parse_message, text
from agentnb.widgets.publisher import Publisher, Send

# Factor by which the polling interval must have grown to be reported as slow.
_SLOWDOWN: Final = 1.3
# Characters of a row's texts.
_NAME: Final = 200
_TITLE: Final = 300
_ERROR: Final = 1_000

MonitoredRow = dict[str, Any]


_MESSAGES: Final[dict[str, Fields]] = {"resync": {}, "stop": {"run": text(KEY_TEXT)}}


def monitored_rows(watch: Watch) -> list[MonitoredRow]:
    """Return the rows of the page, one for each watched run.

    A run of this process has its prompt as title; the prompts of others are unknown, so they have
    their id.
    """
    # A run that is added between the two calls comes with the next change.
    pairs = zip(watch.rows(), watch.results(), strict=False)
    return [_row(row, result) for row, result in pairs]


def _row(row: WatchedRun, result: Run | WatchedRun) -> MonitoredRow:
    is_own = isinstance(result, Run)
    return jsonable(
        {
            "key": row.key,
            "run_id": one_line(row.run_id, _NAME),
            "platform": one_line(row.platform, _NAME),
            "agent": one_line(row.agent or "", _NAME),
            "title": one_line(result.prompt if is_own else row.run_id, _TITLE),
            "status": row.status,
            "elapsed": row.elapsed,
            "detail": one_line(row.detail, _TITLE),
            "tokens": total_tokens(result.usage) if is_own else None,
            "error": None if row.error is None else one_line(row.error, _ERROR),
            "final": row.final,
            "can_stop": row.can_cancel,
        }
    )


class MonitorPublisher(Publisher):
    """Publishes a watch; ``polling`` is the initial polling interval in seconds."""

    # Slower than for a single run.
    interval = 0.2

    def __init__(self, watch: Watch, polling: float, *, send: Send, keep: Send) -> None:
        super().__init__(send, keep)
        self._watch = watch
        self._polling = _PollingRate(watch, polling)
        self._rows: dict[str, MonitoredRow] = {}
        self._watching: dict[str, Any] = {}
        self._has_kept = False

    def first(self) -> Mapping[str, Any]:
        first = self._state()
        self._has_kept = self._watching["over"]
        return first

    def start(self) -> None:
        self._unsubscribe = self._watch.subscribe(self._on_watch)
        self._on_watch()

    def flush(self) -> None:
        with self._lock:
            if self._closed:
                return
            before, watching_before = self._rows, self._watching
            state = self._state()
            rows = [
                row
                for key, row in self._rows.items()
                if key not in before or not _is_same(row, before[key])
            ]
            watching = {
                name: value
                for name, value in self._watching.items()
                if value != watching_before.get(name) and name != "asked"
            }
            if self._polling.take_polled():
                watching["asked"] = self._watching["asked"]
            if rows or watching:
                self._seq += 1
                message = {"type": "changes", "seq": self._seq, "rows": rows, "watching": watching}
                self._send(message)
            if self._keep and self._watching["over"] and not self._has_kept:
                self._has_kept = True
                self._keep({**state, "seq": self._seq})

    def receive(self, content: object, buffers: Sequence[Any] = ()) -> None:
        match parse_message(content, _MESSAGES):
            case {"type": "resync"}:
                with self._lock:
                    if not self._closed:
                        self._seq += 1
                        self._send({"type": "snapshot", **self._state()})
            case {"type": "stop", "run": key}:
                error = None
                try:
                    self._watch.cancel(key)
                except KeyError:
                    error = "This run is not watched any more."
                self._send({"type": "ack", "run": key, "error": error})
            case _:
                pass

    def _on_watch(self) -> None:
        self._polling.update()
        background_loop().call_soon_threadsafe(self._on_change)

    def _state(self) -> dict[str, Any]:
        """Return the whole state, from which `flush` continues."""
        watch = self._watch
        # Read first, otherwise the last change could be missed.
        over = watch.done
        rows = monitored_rows(watch)
        self._rows = {row["key"]: row for row in rows}
        problem = watch.problem
        self._watching = jsonable(
            {
                "over": over,
                "polls": any(not isinstance(result, Run) for result in watch.results()),
                "error": None if problem is None else one_line(problem, _ERROR),
                **self._polling.state(),
            }
        )
        return {"seq": self._seq, "monitor": {"rows": rows, "watching": self._watching}}


class MonitorWidget(AgentWidget):
    """Live table of a watch's runs, until they have ended.

    ``interval`` is the initial polling interval in seconds; ``bundle`` returns the static
    rendering.  Closing the widget stops neither the watch nor its runs.
    """

    def __init__(
        self,
        watch: Watch,
        *,
        interval: float = 3.0,
        bundle: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        publisher = MonitorPublisher(watch, interval, send=self._send_message, keep=self._keep)
        super().__init__("monitor", publisher, bundle=bundle)


def _is_same(row: MonitoredRow, before: MonitoredRow) -> bool:
    """Return whether nothing but the elapsed time differs."""
    same_time = (row["elapsed"] is None) == (before["elapsed"] is None)
    return same_time and {**row, "elapsed": None} == {**before, "elapsed": None}


class _PollingRate:
    """Times at which platforms were polled, derived from the number of requests."""

    def __init__(self, watch: Watch, interval: float) -> None:
        self._watch = watch
        self._initial = interval
        self._interval = interval
        self._requests = watch.requests
        self._at: float | None = None
        self._has_polled = False

    def update(self) -> None:
        """Record whether a platform was polled since the last call."""
        requests, now = self._watch.requests, time.monotonic()
        if requests == self._requests:
            return
        self._requests = requests
        # Each platform has its own interval; requests close together count as one round.
        if self._at is not None and now - self._at > self._initial / 2:
            self._interval = now - self._at
        self._at = now
        self._has_polled = True

    def take_polled(self) -> bool:
        """Return whether a platform was polled since the last call of this method."""
        polled, self._has_polled = self._has_polled, False
        return polled

    def state(self) -> dict[str, Any]:
        """Return the fields for the page."""
        return {
            "asked": None if self._at is None else time.monotonic() - self._at,
            "interval": float(round(self._interval)) or self._interval,
            "slow": self._interval > self._initial * _SLOWDOWN,
        }

"""The page's side of the protocol, as its rules say it; and a run that goes on at a word."""

from __future__ import annotations

import asyncio
import copy
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from agentnb.event.transcript import Transcript
from agentnb.event.types import Event, ReasoningDelta, TextDelta
from agentnb.recording.recording import Waiting
from agentnb.render import RunView
from agentnb.run.approvals import ApprovalRef
from agentnb.widgets.protocol import utf16_length
from agentnb.widgets.run import RunPublisher

FINAL = {"completed", "failed", "cancelled", "truncated", "interrupted"}


def over_the_wire(message: Any) -> Any:
    """Return what arrives of a message: it must be strict JSON in UTF-8."""
    return json.loads(json.dumps(message, allow_nan=False, ensure_ascii=False).encode())


@dataclass
class Page:
    """What a page knows of a run.  `asks` holds the seq of every resync that it wanted to send."""

    seq: int
    run: dict[str, Any]
    broken: bool = False
    acknowledged: int = 0
    asks: list[int] = field(default_factory=list[int])
    pages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @classmethod
    def opened(cls, snapshot: Mapping[str, Any]) -> Page:
        taken = over_the_wire(snapshot)
        return cls(taken["seq"], taken["run"])

    @property
    def final(self) -> bool:
        return self.run["status"] in FINAL

    def hear(self, message: Mapping[str, Any]) -> None:
        message = over_the_wire(message)
        match message["type"]:
            case "snapshot":
                self.read(message)
            case "ops":
                self._apply(message["seq"], message["ops"])
            case "ack":
                self.acknowledged += 1
            case "events" | "timeline":
                self.pages.append(dict(message))
            case other:
                raise AssertionError(f"no such message: {other}")

    def read(self, snapshot: Mapping[str, Any]) -> None:
        """Take a snapshot, of a message or of the trait."""
        if snapshot["seq"] >= self.seq or self.broken:
            self.seq, self.run = snapshot["seq"], copy.deepcopy(snapshot["run"])
            self.broken = False

    def _apply(self, seq: int, ops: Sequence[Mapping[str, Any]]) -> None:
        if seq <= self.seq:
            return
        if self.broken or seq != self.seq + 1 or not all(map(self._apply_op, ops)):
            self.broken = True
            self.asks.append(self.seq)
            return
        self.seq = seq

    def _apply_op(self, op: Mapping[str, Any]) -> bool:
        if op["op"] == "run":
            changes: dict[str, Any] = op["set"]
            assert changes.keys() <= self.run.keys() - {"parts"}
            self.run |= changes
            return True
        parts: list[dict[str, Any]] = self.run["parts"]
        index: int = op["index"]
        if op["op"] == "part":
            parts[index : index + 1] = [op["part"]]
            return index < len(parts)
        if index >= len(parts):
            return False
        if op["op"] == "append":
            present: str = parts[index][op["field"]]
            parts[index][op["field"]] = present + op["text"]
            return utf16_length(present) == op["offset"]
        assert op["op"] == "set"
        assert op["set"].keys() <= parts[index].keys()
        parts[index] |= op["set"]
        return True


@dataclass
class FakeRun:
    """A run whose events come when the test says so; its clock stands still in between."""

    script: Sequence[Event]
    times: Sequence[float] | None = None
    title: str = "finance_agent"
    platform: str = "sandbox"
    prompt: str = "What is the current NVDA stock price?"
    transcript: Transcript = field(default_factory=Transcript)
    lock: threading.Lock = field(default_factory=threading.Lock)
    cancelled: int = 0
    waiting: Waiting | None = None
    _next: int = 0
    _elapsed: float = 0.0
    _first: float | None = None
    _duration: float | None = None
    _listeners: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])

    def advance(self, count: int = 1) -> None:
        """Let the next events come, as one batch, and tell the listeners."""
        with self.lock:
            self.waiting = None
            for event in self.script[self._next : self._next + count]:
                at = self._time(self._next)
                self._next += 1
                self._elapsed = at
                self.transcript.apply(event, at)
                if self._first is None and isinstance(event, TextDelta | ReasoningDelta):
                    self._first = at
            if self._duration is None and (self.transcript.is_final or self.finished):
                self._duration = self._elapsed
        self.notify()

    def wait(self, waiting: Waiting | None, *, at: float) -> None:
        """Wait for this from the second ``at`` on, and tell the listeners."""
        with self.lock:
            self._elapsed = at
            self.waiting = waiting
        self.notify()

    @property
    def finished(self) -> bool:
        return self._next >= len(self.script)

    @property
    def events(self) -> Sequence[Event]:
        return self.script[: self._next]

    @property
    def event_times(self) -> Sequence[float]:
        return [self._time(i) for i in range(self._next)]

    def _time(self, index: int) -> float:
        return self.times[index] if self.times else (index + 1) / 8

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def notify(self) -> None:
        for listener in tuple(self._listeners):
            listener()

    def view(self) -> RunView:
        return RunView(
            transcript=self.transcript,
            title=self.title,
            platform=self.platform,
            prompt=self.prompt,
            elapsed=self._elapsed,
            duration=self._duration,
            time_to_first_token=self._first,
        )

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        self._listeners.append(callback)

        def unsubscribe() -> None:
            with suppress(ValueError):
                self._listeners.remove(callback)

        return unsubscribe

    def cancel(self) -> None:
        self.cancelled += 1


class Wire:
    """What a publisher sent, in order."""

    def __init__(
        self,
        run: FakeRun,
        *,
        paced: bool = True,
        decide: Callable[[ApprovalRef, bool, Any], None] | None = None,
    ) -> None:
        self.run = run
        self.messages: list[Any] = []
        self.kept: list[Any] = []
        self.publisher = RunPublisher(run, send=self._send, keep=self._keep, decide=decide)
        self.page = Page.opened(self.publisher.first())
        self.ended = asyncio.Event()
        # Without pace the test says itself when to flush.
        if paced:
            self.publisher.start()

    def _send(self, message: Any) -> None:
        self.messages.append(message)

    def _keep(self, snapshot: Any) -> None:
        self.kept.append(snapshot)
        self.ended.set()

    def deliver(self) -> None:
        for message in self.messages:
            self.page.hear(message)
        self.messages.clear()

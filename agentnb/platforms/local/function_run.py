"""A run of a function in its own task, independent of the consumer of its events."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final, Literal

from agentnb.event.transcript import Transcript
from agentnb.event.types import (
    ApprovalRequested,
    Event,
    ReasoningDelta,
    RefusalDelta,
    RunCancelled,
    TextDelta,
)
from agentnb.platforms.local.function import AgentFunction, FunctionContext, iterate_batches

# Events buffered before the function has to wait for its consumer.
_MAX_BUFFERED: Final = 256


class FunctionRun:
    """Runs a function and delivers its events to one consumer at a time.

    A function that requests an approval is suspended until `decide`; `batches` ends there and may
    be called again.  ``transcript`` is folded from the delivered events.
    """

    def __init__(self, function: AgentFunction, prompt: str, context: FunctionContext) -> None:
        self.prompt = prompt
        self.context = context
        self.transcript = Transcript()
        self._log = _EventLog()
        self._pending: list[Event] = []
        self._ended = False
        self._approval_id: str | None = None
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._decided = asyncio.Event()
        self._task = asyncio.create_task(self._run(function, prompt))

    @property
    def pending_approval(self) -> str | None:
        """The id of the approval that the function waits for."""
        return None if self._ended else self._approval_id

    @property
    def is_suspended(self) -> bool:
        """Whether all events up to a pending approval were delivered."""
        return self.pending_approval is not None and not self._pending

    def record(self, event: Event) -> Event:
        """Record an event as delivered, and return it."""
        self.transcript.apply(event)
        self._log.add(event)
        return event

    def delivered_events(self) -> list[Event]:
        """Return the events delivered so far; consecutive fragments are merged."""
        return self._log.events()

    async def batches(self) -> AsyncGenerator[list[Event], None]:
        """Yield events until the function has ended or waits for an approval."""
        while True:
            if self._pending:
                batch, self._pending = self._pending, []
                self._room.set()
                yield [self.record(event) for event in batch]
            elif self._ended or self._approval_id is not None:
                return
            else:
                self._changed.clear()
                await self._changed.wait()

    def decide(self, decision: Literal["APPROVED", "REJECTED"], payload: Any = None) -> None:
        """Resume the function with a decision; what follows is its own choice."""
        if self._approval_id is not None:
            self.context.decisions[self._approval_id] = decision
            if payload is not None:
                self.context.payloads[self._approval_id] = payload
            self._approval_id = None
            self._decided.set()

    def cancel(self) -> None:
        if not self._ended:
            self._ended = True
            self._pending.append(RunCancelled(reason="Cancelled."))
            # Set here, because a task cancelled before its first step runs nothing at all.
            self._changed.set()
        self._task.cancel()

    async def aclose(self) -> None:
        self.cancel()
        # A function may ignore the cancellation; do not block its consumer.
        await asyncio.wait({self._task}, timeout=1)

    async def _run(self, function: AgentFunction, prompt: str) -> None:
        try:
            async with aclosing(iterate_batches(function, prompt, self.context)) as batches:
                async for batch in batches:
                    if self._ended:
                        return
                    for event in batch:
                        await self._take(event)
                    while len(self._pending) >= _MAX_BUFFERED:
                        self._room.clear()
                        await self._room.wait()
        finally:
            self._ended = True
            self._changed.set()

    async def _take(self, event: Event) -> None:
        if not isinstance(event, ApprovalRequested):
            self._pending.append(event)
            self._changed.set()
            return
        if event.approval_id is None:
            event = replace(event, approval_id=f"approval_{uuid.uuid4().hex}")
        self._decided.clear()
        self._approval_id = event.approval_id
        self._pending.append(event)
        self._changed.set()
        await self._decided.wait()


class _EventLog:
    """Delivered events, stored compactly for a later `attach`."""

    def __init__(self) -> None:
        self._entries: list[tuple[Event, list[str]]] = []

    def add(self, event: Event) -> None:
        if isinstance(event, TextDelta | ReasoningDelta | RefusalDelta):
            last, more = self._entries[-1] if self._entries else (None, [])
            if type(last) is type(event) and _part(last) == event.part_id:
                more.append(event.text)
                return
        self._entries.append((event, []))

    def events(self) -> list[Event]:
        return [
            replace(event, text="".join((event.text, *more)))
            if more and isinstance(event, TextDelta | ReasoningDelta | RefusalDelta)
            else event
            for event, more in self._entries
        ]


def _part(event: Any) -> str | None:
    return event.part_id

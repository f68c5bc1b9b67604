"""One run of a function: in a task of its own, so that it goes on, waits and stops by itself."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final, Literal

from agentnb.event.transcript import Transcript
from agentnb.event.types import ApprovalRequested, Event, ReasoningDelta, RunCancelled, TextDelta
from agentnb.platforms.local.function import AgentFunction, FunctionContext, iterate_batches

__all__ = ["Pump"]

# How far a function may run ahead of its consumer, in events.
_AHEAD: Final = 256


class Pump:
    """Runs a function and hands its events over, to one consumer at a time.

    Where the function asks for an approval it is suspended until `decide`; `batches` ends there
    and may be called again.  ``transcript`` is folded from what was handed over.
    """

    def __init__(self, function: AgentFunction, prompt: str, context: FunctionContext) -> None:
        self.prompt = prompt
        self.context = context
        self.transcript = Transcript()
        self._told = _Told()
        self._pending: list[Event] = []
        self._ended = False
        self._asked: str | None = None
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._decided = asyncio.Event()
        self._task = asyncio.create_task(self._run(function, prompt))

    @property
    def waits_for(self) -> str | None:
        """The id of the approval that the function waits for."""
        return None if self._ended else self._asked

    @property
    def is_suspended(self) -> bool:
        """Whether all was handed over up to an approval that nobody gave yet."""
        return self.waits_for is not None and not self._pending

    def tell(self, event: Event) -> Event:
        """Take note of an event that is handed over, and return it."""
        self.transcript.apply(event)
        self._told.add(event)
        return event

    def told(self) -> list[Event]:
        """Return what was handed over so far; fragments that belong together are one event."""
        return self._told.events()

    async def batches(self) -> AsyncGenerator[list[Event], None]:
        """Yield what arrives until the function has ended, or waits for an approval."""
        while True:
            if self._pending:
                batch, self._pending = self._pending, []
                self._room.set()
                yield [self.tell(event) for event in batch]
            elif self._ended or self._asked is not None:
                return
            else:
                self._changed.clear()
                await self._changed.wait()

    def decide(self, decision: Literal["APPROVED", "REJECTED"]) -> None:
        """Let the function go on with what was decided; what follows is its own choice."""
        if self._asked is not None:
            self.context.decisions[self._asked] = decision
            self._asked = None
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
        # A function may refuse to be cancelled; its consumer shall not hang with it.
        await asyncio.wait({self._task}, timeout=1)

    async def _run(self, function: AgentFunction, prompt: str) -> None:
        try:
            async with aclosing(iterate_batches(function, prompt, self.context)) as batches:
                async for batch in batches:
                    if self._ended:
                        return
                    for event in batch:
                        await self._take(event)
                    while len(self._pending) >= _AHEAD:
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
        self._asked = event.approval_id
        self._pending.append(event)
        self._changed.set()
        await self._decided.wait()


class _Told:
    """Events for whoever joins later, in little more memory than their text takes."""

    def __init__(self) -> None:
        self._entries: list[tuple[Event, list[str]]] = []

    def add(self, event: Event) -> None:
        if isinstance(event, TextDelta | ReasoningDelta):
            last, more = self._entries[-1] if self._entries else (None, [])
            if type(last) is type(event) and _part(last) == event.part_id:
                more.append(event.text)
                return
        self._entries.append((event, []))

    def events(self) -> list[Event]:
        return [
            replace(event, text="".join((event.text, *more)))
            if more and isinstance(event, TextDelta | ReasoningDelta)
            else event
            for event, more in self._entries
        ]


def _part(event: Any) -> str | None:
    return event.part_id

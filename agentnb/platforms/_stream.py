"""From an answer that streams to batches of events."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from agentnb._http import EventStream
from agentnb.event import Event
from agentnb.sse import ServerSentEvent

__all__ = ["FrameDecoder", "decoded"]


class FrameDecoder(Protocol):
    """A platform's decoder: a pure state machine that never raises."""

    def decode(self, sse: ServerSentEvent) -> list[Event]: ...

    def finish(self) -> list[Event]: ...


async def decoded(answer: EventStream, decoder: FrameDecoder) -> AsyncGenerator[list[Event], None]:
    """Yield the events of each network read, and what the decoder held back at the clean end.

    A list may be empty: frames came, and none of them is an event.
    """
    # An async generator that is only dropped would be closed later, by the loop, at its leisure.
    async with aclosing(answer.batches()) as frames:
        async for batch in frames:
            yield [event for frame in batch for event in decoder.decode(frame)]
    yield decoder.finish()

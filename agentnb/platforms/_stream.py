"""From an answer that streams to batches of events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

from agentnb._http import EventStream
from agentnb.event import Event
from agentnb.sse import ServerSentEvent

__all__ = ["FrameDecoder", "decoded"]


class FrameDecoder(Protocol):
    """A platform's decoder: a pure state machine that never raises."""

    def decode_all(self, frames: Sequence[ServerSentEvent]) -> list[Event]: ...


async def decoded(answer: EventStream, decoder: FrameDecoder) -> AsyncGenerator[list[Event], None]:
    """Yield the events of each network read.

    A list may be empty: frames came, and none of them is an event.  Half a character that the
    decoder holds back when the stream ends without the run's end is not shown: the other half may
    come where the stream is taken up again.
    """
    # An async generator that is only dropped would be closed later, by the loop, at its leisure.
    async with aclosing(answer.batches()) as batches:
        async for frames in batches:
            yield decoder.decode_all(frames)

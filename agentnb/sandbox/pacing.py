"""The pauses that make a scripted agent feel like a language model."""

from __future__ import annotations

from typing import Final

from agentnb.event import Event, ReasoningDelta, TextDelta, ToolCallFinished, ToolCallStarted

__all__ = ["pause_before"]

# Seconds before an event at pace 1: about 60 tokens a second, and tools that take their time.
_PAUSES: Final[dict[type[Event], float]] = {
    TextDelta: 0.016,
    ReasoningDelta: 0.012,
    ToolCallStarted: 0.12,
    ToolCallFinished: 0.28,
}
_FIRST: Final = 0.25


def pause_before(event: Event, *, first: bool, pace: float) -> float:
    """Return how many seconds to wait before ``event``; ``pace`` 0 waits for nothing."""
    return pace * (_FIRST if first else _PAUSES.get(type(event), 0.0))

"""Continue with a run's record where its stream, or an earlier reader of the record, broke off."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from agentnb.event.types import Event, RunFinished
from agentnb.platforms._replay_filter import ReplayFilter, incomplete

__all__ = ["MAX_POSITIONS", "Recent", "RecordPosition", "answer_and_end"]

MAX_POSITIONS: Final = 32
"""How many positions in records to keep: most are resumed at once or never."""

T = TypeVar("T")


class Recent(OrderedDict[str, T]):
    """The newest values by their keys, at most ``limit``."""

    def __init__(self, limit: int = 256) -> None:
        super().__init__()
        self._limit = limit

    def note(self, key: str, value: T) -> T:
        """Set the newest value and drop the oldest ones beyond the limit; return it."""
        self[key] = value
        self.move_to_end(key)
        while len(self) > self._limit:
            self.popitem(last=False)
        return value


@dataclass(slots=True, eq=False)
class RecordPosition(Generic[T]):
    """How far a run's record was read, and the state to continue there.

    ``last`` is the number of the last record, and ``delivered`` how many events the reader had.
    """

    decoder: T
    replay: ReplayFilter
    delivered: int
    last: int
    session_id: str | None = None
    has_text: bool = False


def answer_and_end(replay: ReplayFilter, end: RunFinished, *, platform: str) -> list[Event]:
    """Return the end of a run whose record may lack the text, after the rest of the answer.

    For an answer that does not continue the delivered text see `incomplete`.
    """
    rest = replay.complete(end.output)
    if rest is None:
        return incomplete(end.output or "", platform=platform)
    return [*rest, end]

"""Continue with a run's record where its stream, or an earlier reader of the record, broke off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from agentnb._http import HttpClient
from agentnb.errors import RequestError
from agentnb.event.types import Event, RunFinished
from agentnb.platforms._replay_filter import ReplayFilter, incomplete
from agentnb.platforms.base_platform import Recent

# Most positions are resumed at once or never; a forgotten one is read again from the start.
_MAX_POSITIONS: Final = 32

D = TypeVar("D")


@dataclass(slots=True, eq=False)
class RecordPosition(Generic[D]):
    """How far a run's record was read, and the state to continue there.

    ``last`` is the number of the last record, and ``delivered`` how many events the reader had.
    """

    decoder: D
    replay: ReplayFilter
    delivered: int
    last: int
    session_id: str | None
    has_text: bool = False


class RecordReader(Generic[D]):
    """Reader of a platform's records, each with a decoder of its own."""

    def __init__(self, http: HttpClient, decoder: Callable[..., D], *, name: str) -> None:
        self._http = http
        self._decoder = decoder
        self._name = name
        self._positions = Recent[RecordPosition[D]](_MAX_POSITIONS)

    def forget(self, run_id: str) -> None:
        """Drop the position in a run's record, with the events delivered so far."""
        self._positions.pop(run_id, None)

    def _known_id(self, run_id: str | None) -> str:
        if run_id is None:
            raise RequestError(f"{self._name} did not send the id of this run.")
        return run_id

    def _take(self, run_id: str, delivered: Sequence[Event]) -> RecordPosition[D] | None:
        """Return the position of a reader that had just the ``delivered`` events."""
        position = self._positions.pop(run_id, None)
        return position if position and position.delivered == len(delivered) else None

    def _begin(
        self, run_id: str, session_id: str | None, delivered: Sequence[Event], *, last: int
    ) -> RecordPosition[D]:
        decoder = self._decoder(run_id=run_id, session_id=session_id)
        replay = ReplayFilter(delivered)
        return RecordPosition(decoder, replay, len(delivered), last, session_id)

    def _answer_and_end(self, replay: ReplayFilter, end: RunFinished) -> list[Event]:
        """Return the end of a run whose record may lack the text, after the rest of the answer.

        For an answer that does not continue the delivered text see `incomplete`.
        """
        rest = replay.complete(end.output)
        if rest is None:
            return incomplete(end.output or "", platform=self._name)
        return [*rest, end]

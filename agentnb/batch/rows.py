"""What goes into one row of a map, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from agentnb.event.transcript import Status
from agentnb.platforms.media import MediaLike

__all__ = ["Row", "RowResult", "Verdict"]

#: What a row is to be done with after an attempt: it is ``done``, it ``failed`` for good, it
#: failed for a reason that ``may_pass``, or the platform ``refused`` it for now.
Verdict = Literal["done", "failed", "may_pass", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row to be asked: it can be pickled, and holds no key.

    ``position`` is its place in the input, from 0.  ``key`` is its digest, by which a checkpoint
    knows it.  ``local_id`` is that of its run, None for a new one.
    """

    position: int
    prompt: str
    media: tuple[MediaLike, ...] = ()
    key: bytes = b""
    local_id: str | None = None


@dataclass(slots=True, kw_only=True)
class RowResult:
    """What came of one row: plain values, which can be pickled.

    ``status`` is None where nothing was sent and the map ended before it could be.  ``started_at``
    is in microseconds since 1970 in UTC, ``duration`` and ``time_to_first_token`` are seconds.
    ``verdict`` is what follows from it, ``wait`` for how many seconds the platform wishes to be
    left alone where it refused.  ``attempts`` counts the runs that were made for the row.
    ``cost_usd`` is what the platform reported.  ``key`` is the row's, and ``parsed`` the answer in
    the form that was asked for: whoever attempts the row leaves both to the map.
    """

    position: int
    status: Status | None
    answer: str | None = None
    run_id: str | None = None
    session_id: str | None = None
    started_at: int | None = None
    duration: float | None = None
    time_to_first_token: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
    model: str | None = None
    attempts: int = 0
    error: str | None = None
    error_code: str | None = None
    local_id: str | None = None
    verdict: Verdict = "done"
    wait: float = 0.0
    key: bytes = b""
    parsed: Any = None

    @property
    def is_complete(self) -> bool:
        """Whether the row need not be asked again."""
        return self.status == "completed"

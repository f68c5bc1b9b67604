"""Plain data of a map, which can be pickled: its agent, and the input and result of a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from agentnb._http.retry import Retries
from agentnb._http.timeout import Deadlines
from agentnb.event.transcript import Status
from agentnb.platforms.media import MediaLike

if TYPE_CHECKING:
    from agentnb._http import RequestOptions
    from agentnb.run.run import Run

#: Outcome of an attempt: the row is ``done``, ``failed`` for good, failed in a ``retryable`` way,
#: or was ``refused`` by the platform for now.
Verdict = Literal["done", "failed", "retryable", "refused"]


class RunFactory(Protocol):
    """An agent, as far as a map needs it: creates unsent runs."""

    def prepare(
        self,
        prompt: str,
        *,
        change_options: Callable[[RequestOptions], RequestOptions] | None = None,
        **options: Any,
    ) -> Run:
        """Return an unsent run of ``prompt``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Arguments of `agentnb.agent` that recreate an agent in another process, without its key.

    ``name`` is the full name, ``platform:agent``.  ``base_url`` is the platform's address, None for
    the default, ``sandbox`` for the embedded sandbox.  ``function`` is the agent if it is a Python
    function.  ``has_own_key``: its key was given in code, so that only this process has it.
    """

    name: str
    base_url: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    deadlines: Deadlines | None = None
    retries: Retries | None = None
    function: Callable[..., Any] | None = None
    has_own_key: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row to run; it can be pickled, and holds no key of a platform.

    ``position`` is its place in the input, from 0; ``key`` its digest for a checkpoint;
    ``local_id`` the id of its run, None for a new one.
    """

    position: int
    prompt: str
    media: tuple[MediaLike, ...] = ()
    key: bytes = b""
    local_id: str | None = None


@dataclass(slots=True, kw_only=True)
class RowResult:
    """Result of one row, of plain values that can be pickled.

    ``status`` is None if the map ended before the row was sent.  ``started_at`` is in microseconds
    since 1970 in UTC, ``duration`` and ``time_to_first_token`` are in seconds.  ``wait`` is the
    delay in seconds that the platform requested when it refused.  ``attempts`` counts the runs of
    the row.  ``cost_usd`` is the cost that the platform reported.  ``key``, of the row, and
    ``parsed``, the structured answer, are set by the map, not by the executor.
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
        """Whether the row need not be run again."""
        return self.status == "completed"

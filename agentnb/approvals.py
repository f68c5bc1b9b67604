"""Going on with a run that waits for a decision: what it waits for, and how it is joined again."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from agentnb.errors import RequestError
from agentnb.event import (
    TERMINAL_EVENTS,
    ApprovalRequested,
    Event,
    RunFinished,
    RunStarted,
    TextDelta,
)

if TYPE_CHECKING:
    from agentnb.platforms.base import Platform

__all__ = ["approval_to_decide", "join_again"]


def approval_to_decide(
    pending: Sequence[ApprovalRequested], approval_id: str | None
) -> ApprovalRequested:
    """Return the approval that is meant of those ``pending``: the one of this id, or the only one.

    Raises:
        RequestError: there is none, or several and none is named.
    """
    if not pending:
        raise RequestError("The run waits for no approval.")
    named = [a for a in pending if approval_id in (None, a.approval_id)]
    if len(named) == 1:
        return named[0]
    ids = ", ".join(a.approval_id or "(without an id)" for a in pending)
    problem = f"asked for no approval {approval_id}" if not named else "waits for several approvals"
    raise RequestError(f"The run {problem}.", hint=f"Those it waits for: {ids}.")


async def join_again(
    platform: Platform,
    run_id: str,
    *,
    agent: str,
    session_id: str | None,
    decided: Iterable[str | None],
    text: str = "",
) -> AsyncGenerator[list[Event], None]:
    """Join a run whose approvals ``decided`` were decided, and yield its events.

    The platform tells again that it asked for them.  Nothing on the wire says that they were
    decided: `RunStarted` is put after each, so that the run does not look as if it still waited.
    ``text`` is what it had said before; a platform that keeps no record of that tells the whole
    answer at the end, and where there is none, ``text`` stands for it.
    """
    left = Counter(decided)
    said = not text
    async with aclosing(platform.attach(run_id, agent=agent, session_id=session_id)) as batches:
        async for batch in batches:
            events: list[Event] = []
            for event in batch:
                if isinstance(event, TextDelta) or (
                    isinstance(event, RunFinished) and event.output
                ):
                    said = True
                elif isinstance(event, TERMINAL_EVENTS) and not said:
                    events.append(TextDelta(text))
                    said = True
                events.append(event)
                if isinstance(event, ApprovalRequested) and _take(left, event.approval_id):
                    events.append(RunStarted(run_id=run_id, session_id=session_id))
            yield events


def _take(left: Counter[str | None], approval_id: str | None) -> bool:
    """Tell whether an approval is one of those decided, and take it from them."""
    if approval_id is None and not left[None]:
        # A record of events may leave out the id that the stream told.
        approval_id = next(left.elements(), None)
    if left[approval_id] <= 0:
        return False
    left[approval_id] -= 1
    return True

"""Going on with a run that waits for a decision: what it waits for, and how it is joined again."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from agentnb.errors import RequestError
from agentnb.event.approvals import is_changed
from agentnb.event.types import (
    TERMINAL_EVENTS,
    ApprovalRequested,
    Event,
    RunFinished,
    RunStarted,
    TextDelta,
)
from agentnb.render.visible import one_line

if TYPE_CHECKING:
    from agentnb.platforms.base import Platform, Resumes, RunRequest
    from agentnb.recording.base_run import BaseRun

__all__ = ["ApprovalRef", "Decided", "all_decided", "approval_to_decide", "waiting_approval"]

ApprovalRef = ApprovalRequested | str | None
"""How an approval is named: by the request itself, by its id, or as the only one."""

# How many ids an error lists, and how much of each.
_IDS: Final = 20
_ID: Final = 100


def all_decided(pending: Iterable[ApprovalRequested], decided: Iterable[ApprovalRequested]) -> bool:
    """Tell whether each of the approvals ``pending`` is one of those ``decided``."""
    # Not by equality: one without an id may be equal to the next one.
    known = set(map(id, decided))
    return all(id(approval) in known for approval in pending)


def waiting_approval(
    run: BaseRun,
    named: ApprovalRef,
    *,
    approved: bool,
    decided: Iterable[str | None],
) -> ApprovalRequested:
    """Return the approval that ``run`` waits for and ``named`` means, as `approval_to_decide` does.

    ``decided`` are the ids of those that were decided.

    Raises:
        RequestError: it waits for no such approval; or it is to be approved by its id, and has
            changed since it was first requested, so that nothing tells which request was read.
    """
    with run.lock:
        transcript = run.transcript
        if transcript.status != "paused" or transcript.run_id is None:
            raise RequestError(f"The run is {transcript.status} and waits for no approval.")
        found = approval_to_decide(transcript.pending_approvals, named)
        changed = is_changed(found, transcript.approvals, decided)
    if approved and changed and not isinstance(named, ApprovalRequested):
        raise RequestError(
            f"The approval {_shown_id(found)} has changed since it was first requested.",
            hint="Read it as it is now, and pass it: "
            "run.approve(run.transcript.pending_approvals[0]).",
        )
    return found


def approval_to_decide(
    pending: Sequence[ApprovalRequested], named: ApprovalRef
) -> ApprovalRequested:
    """Return the approval that is meant of those ``pending``: this one, or the only one.

    ``named`` is an id, the request itself, or None.

    Raises:
        RequestError: there is none, or several and none is named.
    """
    if not pending:
        raise RequestError("The run waits for no approval.")
    if isinstance(named, ApprovalRequested):
        # Of equal ones any will do.
        if (found := next((a for a in pending if a == named), None)) is not None:
            return found
        raise RequestError(
            f"The run does not wait for the approval {_shown_id(named)} as it was given.",
            hint="It was decided, or has changed; see run.transcript.pending_approvals.",
        )
    found = [a for a in pending if named in (None, a.approval_id)]
    if len(found) == 1:
        return found[0]
    ids = ", ".join(map(_shown_id, pending[:_IDS])) + (", …" if len(pending) > _IDS else "")
    wanted = one_line(named or "", _ID)
    problem = f"asked for no approval {wanted}" if not found else "waits for several approvals"
    raise RequestError(f"The run {problem}.", hint=f"Those it waits for: {ids}.")


def _shown_id(approval: ApprovalRequested) -> str:
    return one_line(approval.approval_id or "", _ID) or "(without an id)"


class Decided:
    """A run that is joined again after its approvals ``decided`` were decided.

    The platform tells again that it asked for them.  Nothing on the wire says that they were
    decided: `RunStarted` is put after each, so that the run does not look as if it still waited.
    ``text`` is what it had said before; a platform that keeps no record of that tells the whole
    answer at the end, and where there is none, ``text`` stands for it.
    """

    def __init__(
        self,
        platform: Platform,
        run_id: str,
        *,
        agent: str,
        session_id: str | None,
        decided: Iterable[str | None],
        text: str = "",
    ) -> None:
        self._platform = platform
        self._run_id = run_id
        self._agent = agent
        self._session_id = session_id
        self._left = Counter(decided)
        self._text = text
        self._said = not text
        # What was put in here, and never came from the platform.
        self._own: list[Event] = []

    def joined(self) -> AsyncGenerator[list[Event], None]:
        """Join the run and yield its events from the first on, as `Platform.attach` does."""
        return self._told(
            self._platform.attach(self._run_id, agent=self._agent, session_id=self._session_id)
        )

    def resumed(
        self, platform: Resumes, request: RunRequest, delivered: Sequence[Event]
    ) -> AsyncGenerator[list[Event], None]:
        """Yield what follows ``delivered``, which `joined` and this brought so far."""
        own = {id(event) for event in self._own}
        return self._told(
            platform.resume(
                request,
                run_id=self._run_id,
                session_id=self._session_id,
                delivered=[event for event in delivered if id(event) not in own],
            )
        )

    async def _told(
        self, batches: AsyncGenerator[list[Event], None]
    ) -> AsyncGenerator[list[Event], None]:
        async with aclosing(batches):
            async for batch in batches:
                yield [told for event in batch for told in self._with_own(event)]

    def _with_own(self, event: Event) -> list[Event]:
        before: list[Event] = []
        after: list[Event] = []
        if isinstance(event, TextDelta) or (isinstance(event, RunFinished) and event.output):
            self._said = True
        elif isinstance(event, TERMINAL_EVENTS) and not self._said:
            before.append(TextDelta(self._text))
            self._said = True
        if isinstance(event, ApprovalRequested) and _take(self._left, event.approval_id):
            after.append(RunStarted(run_id=self._run_id, session_id=self._session_id))
        self._own += before + after
        return [*before, event, *after]


def _take(left: Counter[str | None], approval_id: str | None) -> bool:
    """Tell whether an approval is one of those decided, and take it from them."""
    if approval_id is None and not left[None]:
        # A record of events may leave out the id that the stream told.
        approval_id = next(left.elements(), None)
    if left[approval_id] <= 0:
        return False
    left[approval_id] -= 1
    return True

"""Continue a run that waits for a decision: find the approval, and attach to the run again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, cast

from agentnb.errors import RequestError, UnsupportedError
from agentnb.event.approvals import is_changed
from agentnb.event.types import (
    TERMINAL_EVENTS,
    ApprovalRequested,
    Event,
    RunFinished,
    RunStarted,
    TextDelta,
)
from agentnb.recording.clock import PlayedBatch
from agentnb.render.visible import one_line
from agentnb.run.output import schema_problem

if TYPE_CHECKING:
    from agentnb.platforms.base import Platform, Resumes, RunRequest
    from agentnb.recording.base_run import BaseRun

ApprovalRef = ApprovalRequested | str | None
"""Which approval: the request itself, its id, or None for the only one."""

# How many ids an error lists, and how much of each.
_MAX_IDS: Final = 20
_MAX_ID_LENGTH: Final = 100


def pending_approval(
    run: BaseRun,
    named: ApprovalRef,
    *,
    approved: bool,
    decided: Iterable[str | None],
) -> ApprovalRequested:
    """Return the pending approval of ``run`` that ``named`` refers to.

    ``decided`` are the ids of those decided before.

    Raises:
        RequestError: there is none; or it is to be approved by its id and was requested with other
            content before, so that it is unclear which content was read.
    """
    with run.lock:
        transcript = run.transcript
        if transcript.status != "paused" or transcript.run_id is None:
            raise RequestError(f"The run is {transcript.status} and waits for no approval.")
        approval = find_approval(transcript.pending_approvals, named)
        changed = is_changed(approval, transcript.approvals, decided)
    if approved and changed and not isinstance(named, ApprovalRequested):
        raise RequestError(
            f"The approval {_printable_id(approval)} has changed since it was first requested.",
            hint="Read it as it is now, and pass it: "
            "run.approve(run.transcript.pending_approvals[0]).",
        )
    return approval


def check_capabilities(platform: Platform, payload: Any) -> None:
    """Refuse a decision that the platform does not take.

    Raises:
        UnsupportedError: it takes none, or none with a payload.
        RequestError: the payload is no JSON data.
    """
    if not platform.capabilities.approvals:
        hint = None
        if platform.capabilities.decides_by_request:
            hint = "The kernel that started the run can decide it."
        raise UnsupportedError(f"{platform.name} does not take decisions on approvals.", hint=hint)
    if payload is None:
        return
    if not platform.capabilities.approval_payloads:
        raise UnsupportedError(f"{platform.name} takes decisions without a payload only.")
    try:
        json.dumps(payload, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError(
            f"The payload is no JSON data: {error}.", hint="Give dicts, lists, texts and numbers."
        ) from error


def check_answer(approval: ApprovalRequested, payload: Any) -> None:
    """Compare a payload with the fields of the approval's ``answer_schema``.

    Raises:
        RequestError: they do not match.
    """
    if payload is None or not approval.answer_schema:
        return
    try:
        schema = json.loads(approval.answer_schema)
    except (ValueError, RecursionError):
        return
    if not isinstance(schema, dict):
        return
    problem = schema_problem(payload, cast("dict[str, Any]", schema))
    if problem is not None:
        raise RequestError(
            f"The payload does not match the approval's answer_schema: {problem}.",
            hint="Read json.loads(approval.answer_schema).",
        )


def find_approval(pending: Sequence[ApprovalRequested], named: ApprovalRef) -> ApprovalRequested:
    """Return the one of the ``pending`` approvals that ``named`` refers to.

    Raises:
        RequestError: there is none, or several and none is named.
    """
    if not pending:
        raise RequestError("The run waits for no approval.")
    if isinstance(named, ApprovalRequested):
        if named in pending:
            return pending[pending.index(named)]
        raise RequestError(
            f"The run does not wait for the approval {_printable_id(named)} as it was given.",
            hint="It was decided, or has changed; see run.transcript.pending_approvals.",
        )
    matching = [approval for approval in pending if named in (None, approval.approval_id)]
    if len(matching) == 1:
        return matching[0]
    ids = ", ".join(map(_printable_id, pending[:_MAX_IDS]))
    ids += ", …" if len(pending) > _MAX_IDS else ""
    problem = "waits for several approvals"
    if not matching:
        problem = f"requested no approval {one_line(named or '', _MAX_ID_LENGTH)}"
    raise RequestError(f"The run {problem}.", hint=f"It waits for: {ids}.")


def _printable_id(approval: ApprovalRequested) -> str:
    return one_line(approval.approval_id or "", _MAX_ID_LENGTH) or "(without an id)"


class Continuation:
    """The stream of a run that is attached to again after its approvals ``decided``.

    The platform repeats the requests of approvals.  Nothing on the wire reports their decisions, so
    `RunStarted` is inserted after each, or the run would look paused.  ``text`` is the answer
    before; it is inserted where the platform repeats no text.
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
        self._decided = Counter(decided)
        self._missing_text = text
        # Inserted events, by identity: they are no part of the platform's stream.
        self._inserted: list[Event] = []

    def attach(self) -> AsyncGenerator[list[Event], None]:
        """Attach to the run and yield its events from the first on."""
        return self._with_insertions(
            self._platform.attach(self._run_id, agent=self._agent, session_id=self._session_id)
        )

    def resume(
        self, platform: Resumes, request: RunRequest, delivered: Sequence[Event]
    ) -> AsyncGenerator[list[Event], None]:
        """Yield the events after ``delivered``, which `attach` and this have yielded so far."""
        inserted = {id(event) for event in self._inserted}
        return self._with_insertions(
            platform.resume(
                request,
                run_id=self._run_id,
                session_id=self._session_id,
                delivered=[event for event in delivered if id(event) not in inserted],
            )
        )

    async def _with_insertions(
        self, batches: AsyncGenerator[list[Event], None]
    ) -> AsyncGenerator[list[Event], None]:
        async with aclosing(batches):
            async for batch in batches:
                events = [each for event in batch for each in self._surround(event)]
                if isinstance(batch, PlayedBatch):
                    batch[:] = events
                    yield batch
                else:
                    yield events

    def _surround(self, event: Event) -> list[Event]:
        before: list[Event] = []
        after: list[Event] = []
        if isinstance(event, TextDelta) or (isinstance(event, RunFinished) and event.output):
            self._missing_text = ""
        elif isinstance(event, TERMINAL_EVENTS) and self._missing_text:
            before.append(TextDelta(self._missing_text))
            self._missing_text = ""
        if isinstance(event, ApprovalRequested) and self._take_decision(event.approval_id):
            after.append(RunStarted(run_id=self._run_id, session_id=self._session_id))
        self._inserted += before + after
        return [*before, event, *after]

    def _take_decision(self, approval_id: str | None) -> bool:
        """Return whether an approval was decided, and remove its decision."""
        decided = self._decided
        if approval_id is None and not decided[None]:
            # A record of events may lack the id that the stream had.
            approval_id = next(decided.elements(), None)
        if decided[approval_id] <= 0:
            return False
        decided[approval_id] -= 1
        return True

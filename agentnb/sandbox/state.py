"""Sessions, messages and runs of one platform of the sandbox.

Everything is bounded: the oldest go first.  A store belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from agentnb.event.transcript import Status, Transcript
from agentnb.event.types import TERMINAL_EVENTS, ApprovalRequested, Event, RunCancelled, RunFailed
from agentnb.platforms.local import FunctionContext, Message
from agentnb.sandbox.event_log import EventLog
from agentnb.sandbox.fault_plan import FaultPlan
from agentnb.sandbox.registry import RegisteredAgent

_MAX_SESSIONS: Final = 2000
_MAX_MESSAGES: Final = 400
_MAX_RUNS: Final = 5000
# About how many bytes finished runs may hold together.
_MAX_WEIGHT: Final = 128 * 2**20


def new_id(prefix: str) -> str:
    """Return a random id such as ``run_3f9a0c5e12ab77d4``."""
    return f"{prefix}_{secrets.token_hex(8)}"


@dataclass(slots=True, kw_only=True)
class SessionMessage:
    """One message of a session.

    ``content`` is in the platform's own form, ``text`` the same as plain text.  ``run`` wrote it,
    None for a user's message.  ``details`` belong to the dialect.
    """

    id: str
    role: str
    text: str
    content: Any
    created_at: datetime
    run: SandboxRun | None = None
    details: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True, kw_only=True)
class SandboxSession:
    """A conversation; some platforms call it a thread."""

    id: str
    created_at: datetime
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    messages: list[SessionMessage] = field(default_factory=list[SessionMessage])
    active: list[SandboxRun] = field(default_factory=list["SandboxRun"])

    def add(
        self, role: str, text: str, *, content: Any = None, run: SandboxRun | None = None
    ) -> SessionMessage:
        message = SessionMessage(
            id=new_id("msg"),
            role=role,
            text=text,
            content=text if content is None else content,
            created_at=datetime.now(UTC),
            run=run,
        )
        self.messages.append(message)
        del self.messages[:-_MAX_MESSAGES]
        return message

    def history(self) -> list[Message]:
        return [{"role": m.role, "content": m.text} for m in self.messages]


@dataclass(slots=True, kw_only=True, eq=False)
class SandboxRun:
    """One execution of an agent.

    ``details`` belong to the dialect: request fields that the response repeats.  ``with_client``
    ends the run with its last client.  ``settled`` is set when it has ended, and while it waits
    for a decision.  ``plan`` holds the faults of its connections.
    """

    id: str
    agent: RegisteredAgent
    session: SandboxSession
    prompt: str
    context: FunctionContext
    created_at: datetime
    details: dict[str, Any]
    with_client: bool
    waits_for_approval: bool
    transcript: Transcript = field(default_factory=Transcript)
    log: EventLog = field(default_factory=EventLog)
    clients: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    approvals: dict[str, ApprovalRequested] = field(default_factory=dict[str, ApprovalRequested])
    decided: asyncio.Event = field(default_factory=asyncio.Event)
    plan: FaultPlan | None = None
    grace_timer: asyncio.TimerHandle | None = None

    @property
    def status(self) -> Status:
        return self.transcript.status

    @property
    def is_final(self) -> bool:
        return self.transcript.is_final

    @property
    def waits(self) -> bool:
        """Whether it waits for a decision on an approval."""
        return bool(self.approvals) and not self.is_final

    @property
    def seconds(self) -> float:
        """Duration so far."""
        begin = self.started_at or self.created_at
        return ((self.finished_at or datetime.now(UTC)) - begin).total_seconds()

    def add(self, event: Event) -> None:
        """Apply the next event; any after the terminal one is ignored."""
        if self.is_final:
            return
        self.transcript.apply(event)
        if isinstance(event, TERMINAL_EVENTS):
            # The event goes last: a client that reads the end of the stream and sends a request
            # at once finds the session and the run in their final state.
            self.finished_at = datetime.now(UTC)
            self._cancel_grace_timer()
            self.session.active.remove(self)
            text = self.transcript.text
            if text or self.status == "completed":
                self.session.add("assistant", text, run=self)
            self.log.append(event)
            self.log.close()
            self.settled.set()
        else:
            self.log.append(event)

    def cancel(self, reason: str) -> None:
        """Mark the run cancelled, and cancel its function."""
        self._end(RunCancelled(reason=reason))

    def fail(self, event: RunFailed) -> None:
        """Mark the run failed, and cancel its function."""
        self._end(event)

    def _end(self, event: Event) -> None:
        if self.is_final:
            return
        self.add(event)
        if self.task is not None:
            self.task.cancel()

    @contextmanager
    def attach_client(self, keep: Callable[[], float] = lambda: 0.0) -> Generator[None, None, None]:
        """Count a client while it waits for the run, which may end with the last one.

        ``keep`` returns for how many seconds the run continues without clients.  A run that waits
        for a decision is not ended.
        """
        self.clients += 1
        self._cancel_grace_timer()
        try:
            yield
        finally:
            self.clients -= 1
            if self.with_client and not self.clients and not self.is_final:
                if seconds := keep():
                    loop = asyncio.get_running_loop()
                    self.grace_timer = loop.call_later(seconds, self._abandon)
                else:
                    self._abandon()

    def _abandon(self) -> None:
        self.grace_timer = None
        if not self.clients and not self.waits:
            self.cancel("The client went away.")

    def _cancel_grace_timer(self) -> None:
        if self.grace_timer is not None:
            self.grace_timer.cancel()
            self.grace_timer = None

    def weight(self) -> int:
        """Return about how many bytes the run holds."""
        return 2000 + 120 * len(self.log) + 2 * len(self.transcript.text)


class SandboxStore:
    """One platform's sessions and runs, in order of creation."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, SandboxSession] = OrderedDict()
        self._runs: OrderedDict[str, SandboxRun] = OrderedDict()
        self._weight = 0
        self._weights: OrderedDict[str, int] = OrderedDict()

    def new_session(
        self, session_id: str, *, details: dict[str, Any] | None = None
    ) -> SandboxSession:
        session = SandboxSession(id=session_id, created_at=datetime.now(UTC), details=details or {})
        self._sessions[session_id] = session
        if len(self._sessions) > _MAX_SESSIONS:
            oldest = next((s for s in self._sessions.values() if not s.active), None)
            if oldest is not None and oldest is not session:
                del self._sessions[oldest.id]
        return session

    def session(self, session_id: str) -> SandboxSession | None:
        session = self._sessions.get(session_id)
        if session is not None:
            self._sessions.move_to_end(session_id)
        return session

    def open_session(self, session_id: str) -> SandboxSession:
        """Return the session of that id, a new one if there is none."""
        return self.session(session_id) or self.new_session(session_id)

    def remove_session(self, session: SandboxSession) -> None:
        """Delete a session and its runs, cancelling those that are still running."""
        self._sessions.pop(session.id, None)
        for run in list(self.runs(session_id=session.id)):
            run.cancel("The session was deleted.")
            del self._runs[run.id]
            self._weight -= self._weights.pop(run.id, 0)

    def sessions(self) -> Iterator[SandboxSession]:
        return iter(sorted(self._sessions.values(), key=lambda s: s.created_at, reverse=True))

    def add_run(self, run: SandboxRun) -> None:
        self._runs[run.id] = run
        run.session.active.append(run)

    def run(self, run_id: str) -> SandboxRun | None:
        return self._runs.get(run_id)

    def runs(
        self,
        *,
        session_id: str | None = None,
        agent: str | None = None,
        oldest_first: bool = False,
    ) -> Iterator[SandboxRun]:
        """Iterate over the runs, newest first by default."""
        runs = self._runs.values() if oldest_first else reversed(self._runs.values())
        for run in runs:
            if session_id is not None and run.session.id != session_id:
                continue
            if agent is not None and run.agent.name != agent:
                continue
            yield run

    def settle(self, run: SandboxRun) -> None:
        """Account for a run that ended, and drop the oldest beyond the limits."""
        if run.id not in self._runs:
            return
        self._weights[run.id] = weight = run.weight()
        self._weight += weight
        while len(self._weights) > 1 and (
            self._weight > _MAX_WEIGHT or len(self._weights) > _MAX_RUNS
        ):
            oldest, weight = self._weights.popitem(last=False)
            self._weight -= weight
            self._runs.pop(oldest, None)

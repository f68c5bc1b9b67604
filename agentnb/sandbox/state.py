"""What one platform of the sandbox remembers: sessions with their messages, and runs.

Everything is bounded: beyond the limits the oldest goes.  A store belongs to one event loop.
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
from agentnb.sandbox.faulty.plan import Plan
from agentnb.sandbox.log import EventLog
from agentnb.sandbox.registry import RegisteredAgent

__all__ = ["RunRecord", "Session", "SessionMessage", "Store", "new_id"]

_MAX_SESSIONS: Final = 2000
_MAX_MESSAGES: Final = 400
_MAX_RUNS: Final = 5000
# Roughly, in bytes: what finished runs may hold altogether before the oldest go.
_MAX_WEIGHT: Final = 128 * 2**20


def new_id(prefix: str) -> str:
    """Return a random id such as ``run_3f9a0c5e12ab77d4``."""
    return f"{prefix}_{secrets.token_hex(8)}"


@dataclass(slots=True, kw_only=True)
class SessionMessage:
    """One message of a session.

    ``content`` is what was posted, in the platform's own form; ``text`` is the same as plain text.
    ``run`` is the run that wrote it, None for a user's.  ``details`` is the dialect's own.
    """

    id: str
    role: str
    text: str
    content: Any
    created_at: datetime
    run: RunRecord | None = None
    details: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True, kw_only=True)
class Session:
    """A conversation: "thread" where the platform says so."""

    id: str
    created_at: datetime
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    messages: list[SessionMessage] = field(default_factory=list[SessionMessage])
    active: list[RunRecord] = field(default_factory=list["RunRecord"])

    def add(
        self, role: str, text: str, *, content: Any = None, run: RunRecord | None = None
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
        """Return the conversation so far, as an agent's function gets it."""
        return [{"role": m.role, "content": m.text} for m in self.messages]


@dataclass(slots=True, kw_only=True, eq=False)
class RunRecord:
    """One execution of an agent.

    ``sequence`` counts the store's runs.  ``details`` is the dialect's own: what the request said
    and the answer repeats.  ``with_client`` tells that the run ends when its last client goes.
    ``settled`` is set when it has ended, and while it waits for a decision.  ``plan`` is what goes
    wrong with its connections.
    """

    id: str
    sequence: int
    agent: RegisteredAgent
    session: Session
    prompt: str
    context: FunctionContext
    created_at: datetime
    details: dict[str, Any]
    with_client: bool
    asks_approval: bool
    transcript: Transcript = field(default_factory=Transcript)
    log: EventLog = field(default_factory=EventLog)
    clients: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    approvals: dict[str, ApprovalRequested] = field(default_factory=dict[str, ApprovalRequested])
    decided: asyncio.Event = field(default_factory=asyncio.Event)
    plan: Plan | None = None
    patience: asyncio.TimerHandle | None = None

    @property
    def status(self) -> Status:
        return self.transcript.status

    @property
    def is_final(self) -> bool:
        return self.transcript.is_final

    @property
    def waits(self) -> bool:
        """Whether somebody must decide before it goes on."""
        return bool(self.approvals) and not self.is_final

    @property
    def seconds(self) -> float:
        """How long the run took, or has taken so far."""
        begin = self.started_at or self.created_at
        return ((self.finished_at or datetime.now(UTC)) - begin).total_seconds()

    def add(self, event: Event) -> None:
        """Take the next event; after the terminal one nothing counts any more."""
        if self.is_final:
            return
        self.transcript.apply(event)
        if isinstance(event, TERMINAL_EVENTS):
            # First what others ask about, then the event itself: whoever reads the end of the
            # stream and asks at once finds the session and the run as they shall be.
            self.finished_at = datetime.now(UTC)
            self._forget_patience()
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
        """Stop the run, at once for those who look, and its function as soon as it lets itself."""
        self._end(RunCancelled(reason=reason))

    def fail(self, event: RunFailed) -> None:
        """Let the run fail, as `cancel` stops it."""
        self._end(event)

    def _end(self, event: Event) -> None:
        if self.is_final:
            return
        self.add(event)
        if self.task is not None:
            self.task.cancel()

    @contextmanager
    def attended(self, keep: Callable[[], float] = lambda: 0.0) -> Generator[None, None, None]:
        """Count a client in while it waits for the run; the last one to leave may end it.

        ``keep`` tells, once the client has left, for how many seconds the run then goes on to
        wait for another.  One that waits for a decision goes on waiting: who decides comes later.
        """
        self.clients += 1
        self._forget_patience()
        try:
            yield
        finally:
            self.clients -= 1
            if self.with_client and not self.clients and not self.is_final:
                if seconds := keep():
                    loop = asyncio.get_running_loop()
                    self.patience = loop.call_later(seconds, self._left_alone)
                else:
                    self._left_alone()

    def _left_alone(self) -> None:
        self.patience = None
        if not self.clients and not self.waits:
            self.cancel("The client went away.")

    def _forget_patience(self) -> None:
        if self.patience is not None:
            self.patience.cancel()
            self.patience = None

    def weight(self) -> int:
        """Return roughly the bytes that the run holds."""
        return 2000 + 120 * len(self.log) + 2 * len(self.transcript.text)


class Store:
    """One platform's sessions and runs, in the order they were made."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._runs: OrderedDict[str, RunRecord] = OrderedDict()
        self._sequence = 0
        self._weight = 0
        self._weights: OrderedDict[str, int] = OrderedDict()

    def new_session(self, session_id: str, *, details: dict[str, Any] | None = None) -> Session:
        session = Session(id=session_id, created_at=datetime.now(UTC), details=details or {})
        self._sessions[session_id] = session
        if len(self._sessions) > _MAX_SESSIONS:
            oldest = next((s for s in self._sessions.values() if not s.active), None)
            if oldest is not None and oldest is not session:
                del self._sessions[oldest.id]
        return session

    def session(self, session_id: str) -> Session | None:
        session = self._sessions.get(session_id)
        if session is not None:
            self._sessions.move_to_end(session_id)
        return session

    def remove_session(self, session: Session) -> None:
        """Forget a session and its runs; those that go on are cancelled."""
        self._sessions.pop(session.id, None)
        for run in list(self.runs(session_id=session.id)):
            run.cancel("The session was deleted.")
            del self._runs[run.id]
            self._weight -= self._weights.pop(run.id, 0)

    def sessions(self) -> Iterator[Session]:
        """Iterate over the sessions, newest first."""
        return iter(sorted(self._sessions.values(), key=lambda s: s.created_at, reverse=True))

    def add_run(self, run: RunRecord) -> None:
        self._runs[run.id] = run
        run.session.active.append(run)

    def next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def run(self, run_id: str) -> RunRecord | None:
        return self._runs.get(run_id)

    def runs(
        self,
        *,
        session_id: str | None = None,
        agent: str | None = None,
        oldest_first: bool = False,
    ) -> Iterator[RunRecord]:
        """Iterate over the runs, newest first where not told otherwise."""
        runs = self._runs.values() if oldest_first else reversed(self._runs.values())
        for run in runs:
            if session_id is not None and run.session.id != session_id:
                continue
            if agent is not None and run.agent.name != agent:
                continue
            yield run

    def settle(self, run: RunRecord) -> None:
        """Take note that a run ended, and let the oldest go where there are too many."""
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

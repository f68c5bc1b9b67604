"""What a platform must answer: the `Platform` protocol, and what it is asked with.

A platform is one remote system.  It turns a `RunRequest` into HTTP, and the answer, by a pure
decoder, into events.  Third parties add one through the entry-point group ``agentnb.platforms``:
name -> a callable taking `PlatformSettings` and returning a `Platform`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol, TypedDict, runtime_checkable

from agentnb._support.text import printable
from agentnb.config import PlatformSettings
from agentnb.event.transcript import Status
from agentnb.event.types import Event

__all__ = [
    "AgentInfo",
    "Capabilities",
    "Exchange",
    "Forgets",
    "KeepsEvents",
    "KeepsMessages",
    "LearnsTimes",
    "Media",
    "MediaSupport",
    "Message",
    "Platform",
    "PlatformSettings",
    "RemoteRun",
    "Resumes",
    "RunRequest",
    "make_printable",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """One attachment: exactly one of ``data``, ``path`` and ``url`` is given.

    ``mime_type`` is guessed from the path or the address where it is None.
    """

    mime_type: str | None = None
    data: bytes | None = None
    path: Path | None = None
    url: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSupport:
    """What attachments a platform takes.

    ``accept`` are MIME types and patterns such as ``image/*``; where it is empty, any.
    ``max_bytes`` bounds one file, ``max_count`` the files of one question.  ``alone`` says whether
    a question may consist of attachments, without text.
    """

    accept: tuple[str, ...] = ()
    max_bytes: int
    max_count: int
    alone: bool = True


class Message(TypedDict):
    """One message of a conversation; ``role`` is ``user``, ``assistant`` or ``system``."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """One question to one agent.

    ``session_id`` continues a conversation; None begins one.  ``history`` are the messages that a
    new session begins with, oldest first, where `Capabilities.history` says that it may; with a
    ``session_id``, which has its own, it is a `RequestError`.  ``params`` are the platform's own
    request parameters, in snake_case or as the wire spells them; a platform refuses unknown ones
    with `RequestError` before it sends anything.  ``output_schema`` is a JSON schema that the
    answer is asked to follow.  ``followups`` asks for questions to ask next, where
    `Capabilities.followups` says that there may be some; elsewhere it changes nothing.
    """

    agent: str
    prompt: str
    session_id: str | None = None
    history: Sequence[Message] = ()
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    output_schema: Mapping[str, Any] | None = None
    media: Sequence[Media] = ()
    followups: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a platform can do; what it cannot raises `UnsupportedError`.

    ``history``: a new session can begin with the messages of an earlier one.  ``approvals``: a run
    that asked for an approval can be decided, with `Platform.decide`, and joined again, with
    `Platform.attach`.  ``media``: what attachments it takes, None where it takes none.
    ``followups``: it suggests further questions, where it is asked to.  ``status_batch``: what runs
    have in common that one request of `Platform.status` can ask for together: nothing (``all``),
    their ``agent`` or their ``session``; None where each run takes a request of its own.
    ``lists_sessions``: runs are listed of one session at a time only.
    """

    sessions: bool = True
    invoke: bool = True
    cancel: bool = False
    attach: bool = False
    list_agents: bool = False
    list_runs: bool = False
    lists_sessions: bool = False
    run_status: bool = False
    status_batch: Literal["all", "agent", "session"] | None = None
    output_schema: bool = False
    media: MediaSupport | None = None
    followups: bool = False
    history: bool = False
    approvals: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentInfo:
    """An agent that a platform lists.  ``raw`` is its whole entry, as it came.

    In the other fields control characters are written as signs; they are safe to print.
    """

    id: str
    name: str | None = None
    description: str | None = None
    model: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        make_printable(self, ("id", "name", "description", "model"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteRun:
    """A run as a platform lists it: the common fields, and the whole entry in ``raw``.

    Times are timezone-aware; a platform's time without a zone is read as UTC where the platform
    does not know better, see `LearnsTimes`.  In all texts but ``output`` and ``raw`` control
    characters are written as signs; they are safe to print.
    """

    id: str
    status: Status
    agent: str | None = None
    session_id: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    model: str | None = None
    output: str | None = None
    error: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        make_printable(self, ("id", "agent", "session_id", "model", "error"))


def make_printable(listed: object, names: Sequence[str]) -> None:
    """Write the controls in the fields ``names`` of a frozen dataclass as signs."""
    for name in names:
        # A platform of someone else may give an id that is no text.
        if isinstance(text := getattr(listed, name), str):
            object.__setattr__(listed, name, printable(text))


class Platform(Protocol):
    """One remote system.

    Every method is called on agentnb's own event loop.  All raise `PlatformError` for an answer
    that is an error, `TransportError` for a failed connection, `RequestError` for a request that
    cannot be sent, and `UnsupportedError` for what `capabilities` denies.
    """

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        """Start a run and yield its events, in batches of what one network read brought.

        Closing the generator closes the connection.  It ends after the wire's end,
        whether or not a terminal event came: what that means is the caller's to decide.  A
        platform that knows ids only from headers yields `RunStarted` first.
        """
        ...

    async def invoke(self, request: RunRequest) -> list[Event]:
        """Do a run without streaming; return the events that a stream would have brought."""
        ...

    def attach(
        self, run_id: str, *, agent: str | None = None, session_id: str | None = None
    ) -> AsyncGenerator[list[Event], None]:
        """Join a run that is still going; yields as `stream` does.

        What it brought before comes first, as far as the platform keeps it.
        """
        ...

    async def decide(
        self,
        run_id: str,
        approval_id: str | None,
        *,
        approved: bool,
        agent: str | None = None,
        session_id: str | None = None,
    ) -> None:
        """Answer the approval that a paused run waits for; then `attach` tells how it goes on.

        ``approval_id`` is the one of `ApprovalRequested`; None means the only one that the run
        waits for.

        Raises:
            RequestError: the run waits for no such decision, or for several, and none is named.
        """
        ...

    async def cancel(
        self, run_id: str | None, *, agent: str | None = None, session_id: str | None = None
    ) -> None:
        """Ask the platform to stop a run.

        Where the platform has no such call, closing the stream is what stops it, and this raises
        `UnsupportedError`.
        """
        ...

    async def agents(self) -> list[AgentInfo]: ...

    def runs(
        self,
        *,
        agent: str | None = None,
        session_id: str | None = None,
        status: str | None = None,
        limit: int | None = None,
        order: str = "desc",
        offset: int = 0,
    ) -> AsyncIterator[RemoteRun]:
        """Iterate over the platform's runs, newest first, over as many pages as it takes.

        ``limit`` bounds the runs yielded; None means all.
        """
        ...

    async def status(
        self, run_ids: Sequence[str], *, agent: str | None = None, session_id: str | None = None
    ) -> dict[str, RemoteRun]:
        """Return the state of each run, by id; ids that the platform does not know are absent."""
        ...

    async def aclose(self) -> None:
        """Close every connection.  Safe to call twice."""
        ...


@runtime_checkable
class KeepsEvents(Protocol):
    """A platform that can tell later what happened in its runs."""

    async def recorded_events(
        self, session_id: str
    ) -> Mapping[str, Sequence[tuple[datetime | None, Event]]]:
        """Return the events of each run of a session, by its id, in order, each with its time.

        Raises:
            NotFoundError: the platform does not know the session.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A question and its answer, as a platform keeps them; None where it does not.

    ``reasoning`` is what led to the answer.
    """

    prompt: str | None = None
    text: str | None = None
    reasoning: str | None = None


@runtime_checkable
class KeepsMessages(Protocol):
    """A platform that can tell later what was asked and answered in a session."""

    async def exchanges(
        self, session_id: str, began: Mapping[str, datetime]
    ) -> Mapping[str, Exchange]:
        """Return what was asked and answered in runs of a session, by the run's id.

        ``began`` is when each of the runs began.  A run of which nothing is kept is absent.

        Raises:
            NotFoundError: the platform does not know the session.
        """
        ...


@runtime_checkable
class LearnsTimes(Protocol):
    """A platform whose times may lack a zone, which it learns from runs whose start is known."""

    def learn_starts(self, starts: Mapping[str, datetime]) -> None:
        """Take note of when runs began, by this machine's clock: aware times by the run's id."""
        ...


@runtime_checkable
class Resumes(Protocol):
    """A platform that can take up a run's stream again after its connection broke."""

    def resume(
        self,
        request: RunRequest,
        *,
        run_id: str | None,
        session_id: str | None,
        delivered: Sequence[Event],
    ) -> AsyncGenerator[list[Event], None]:
        """Yield what came after ``delivered``, nothing of it twice and nothing left out.

        ``request`` is the one that began the run here (`stream`, or `attach`, then without a
        prompt); ``run_id`` and ``session_id`` are what its stream told.  ``delivered`` are all
        events that were yielded so far, in order.  Yields as `Platform.stream` does, and may end
        early as that may; an empty batch says that something came, and nothing of it is new.
        Nothing is asked anew: no run is started.

        Raises:
            RequestError: there is nothing to take it up by, no run id for example.
            NotFoundError: the platform does not know the run any more.
        """
        ...


@runtime_checkable
class Forgets(Protocol):
    """A platform that keeps what `Resumes.resume` goes on by, between one attempt and the next."""

    def forget(self, run_id: str) -> None:
        """Let that go: the run has ended here, and no attempt follows.

        Somebody else's attempt for the same run may follow all the same; it does without.
        """
        ...

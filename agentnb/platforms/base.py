"""The `Platform` protocol, and the values that its methods take and return.

A platform is one remote system.  It sends a `RunRequest` over HTTP and decodes the response, by a
pure decoder, into events.  Third parties add one by the entry-point group ``agentnb.platforms``:
name -> a callable taking `PlatformSettings` and returning a `Platform`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

from agentnb._support.text import printable
from agentnb.config import PlatformSettings
from agentnb.event.transcript import Status
from agentnb.event.types import Event
from agentnb.platforms.run_request import (
    ClientToolCall,
    Media,
    Message,
    RunRequest,
    ToolRound,
    ToolSpec,
)

__all__ = [
    "AgentInfo",
    "Capabilities",
    "ClientToolCall",
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
    "ToolRound",
    "ToolSpec",
    "make_printable",
]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """The features of a platform; calls for others raise `UnsupportedError`.

    ``remembers``: the platform keeps the messages of its sessions; else agentnb keeps them, and
    each request has the earlier messages as its ``history``.  ``history``: a new session can
    begin with the messages of an earlier one.  ``approvals``: a run that requested an approval can
    be decided, with `Platform.decide`, and attached to again, with `Platform.attach`.
    ``approval_payloads``: a decision may carry an answer.  ``decides_by_request``: instead, a
    further request of the run has the decisions, see `RunRequest.decisions`.  ``media``: the
    attachments it accepts, None for none.  ``client_tools``: its agents may call tools of the
    client, see `RunRequest.tools`.  ``followups``: it suggests further questions on request.
    ``status_batch``: what the runs of one `Platform.status` request have in common: nothing
    (``all``), their ``agent`` or their ``session``; None where each run takes its own request.
    ``lists_sessions``: runs are listed for one session at a time.
    """

    sessions: bool = True
    remembers: bool = True
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
    approval_payloads: bool = False
    decides_by_request: bool = False
    client_tools: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentInfo:
    """An agent that a platform lists.  ``raw`` is its whole entry, as received.

    The other fields are safe to print: control characters are replaced by symbols.
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

    Times are timezone-aware; a time without a zone is read as UTC unless the platform has
    learnt its zone, see `LearnsTimes`.  All texts but ``output`` and ``raw`` are safe to print:
    control characters are replaced by symbols.
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
    """Replace control characters in the fields ``names`` of a frozen dataclass by symbols."""
    for name in names:
        # A third party's platform may give an id that is no text.
        if isinstance(text := getattr(listed, name), str):
            object.__setattr__(listed, name, printable(text))


class Platform(Protocol):
    """One remote system.

    Every method is called on agentnb's own event loop.  All raise `PlatformError` for an error
    response, `TransportError` for a failed connection, `RequestError` for a request that cannot be
    sent, and `UnsupportedError` for what `capabilities` excludes.
    """

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        """Start a run and yield its events, one batch for each chunk received.

        Closing the generator closes the connection.  It ends with the response, with or without a
        terminal event; the caller decides what that means.  A platform that knows ids only from
        headers yields `RunStarted` first.
        """
        ...

    async def invoke(self, request: RunRequest) -> list[Event]:
        """Execute a run without streaming; return the events that a stream would have had."""
        ...

    def attach(
        self, run_id: str, *, agent: str | None = None, session_id: str | None = None
    ) -> AsyncGenerator[list[Event], None]:
        """Attach to a run in progress; yield as `stream` does.

        Its earlier events come first, as far as the platform keeps them.
        """
        ...

    async def decide(
        self,
        run_id: str,
        approval_id: str | None,
        *,
        approved: bool,
        payload: Any = None,
        agent: str | None = None,
        session_id: str | None = None,
    ) -> None:
        """Decide the approval that a paused run waits for; then `attach` yields its continuation.

        ``approval_id`` is that of `ApprovalRequested`; None means the only pending one.
        ``payload`` is an answer as JSON data, passed where `Capabilities.approval_payloads` is.

        Raises:
            RequestError: the approval is not pending, or several are and none is named.
        """
        ...

    async def cancel(
        self, run_id: str | None, *, agent: str | None = None, session_id: str | None = None
    ) -> None:
        """Stop a run on the platform.

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
        """Return the state of each run, by id; unknown ids are absent."""
        ...

    async def aclose(self) -> None:
        """Close every connection.  Safe to call twice."""
        ...


@runtime_checkable
class KeepsEvents(Protocol):
    """A platform that keeps the events of its runs."""

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
    """A prompt, its reasoning and its answer, as a platform keeps them; None for what it drops."""

    prompt: str | None = None
    text: str | None = None
    reasoning: str | None = None


@runtime_checkable
class KeepsMessages(Protocol):
    """A platform that keeps the messages of its sessions."""

    async def exchanges(
        self, session_id: str, began: Mapping[str, datetime]
    ) -> Mapping[str, Exchange]:
        """Return the prompts and answers of a session's runs, by the run's id.

        ``began`` is when each of the runs started.  A run without kept messages is absent.

        Raises:
            NotFoundError: the platform does not know the session.
        """
        ...


@runtime_checkable
class LearnsTimes(Protocol):
    """A platform that learns the zone of its times from runs with a known start."""

    def learn_starts(self, starts: Mapping[str, datetime]) -> None:
        """Take the starts of runs by this machine's clock: aware times by the run's id."""
        ...


@runtime_checkable
class Resumes(Protocol):
    """A platform that can resume a run's stream after its connection broke."""

    def resume(
        self,
        request: RunRequest,
        *,
        run_id: str | None,
        session_id: str | None,
        delivered: Sequence[Event],
    ) -> AsyncGenerator[list[Event], None]:
        """Yield the events after ``delivered``, without duplicates or gaps; starts no run.

        ``request`` is the one of this run's `stream` (or `attach`, then without a prompt);
        ``run_id`` and ``session_id`` are those received so far.  ``delivered`` are all events
        yielded so far, in order.  Yields as `Platform.stream` does, and may end early as that may;
        an empty batch means that frames arrived without news.

        Raises:
            RequestError: the stream cannot be resumed, without a run id for example.
            NotFoundError: the platform no longer knows the run.
        """
        ...


@runtime_checkable
class Forgets(Protocol):
    """A platform that keeps state for `Resumes.resume` between attempts."""

    def forget(self, run_id: str) -> None:
        """Drop the state of a run that has ended here; another client may still resume it."""
        ...

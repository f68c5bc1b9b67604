"""`RunRequest`, and the values in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from agentnb.event.approvals import Decision
from agentnb.event.types import ApprovalRequested


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


class Message(TypedDict):
    """One message of a conversation; ``role`` is ``user``, ``assistant`` or ``system``."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A tool of the client that an agent may call; ``parameters`` is a JSON schema of an object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientToolCall:
    """A call of a tool; ``output`` is its result or its error in words, None before its end."""

    call_id: str
    name: str
    arguments: str
    output: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRound:
    """An answer that ended with calls of the client's tools or approvals: its text and calls."""

    text: str
    calls: Sequence[ClientToolCall]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """One prompt to one agent.

    ``session_id`` continues a conversation; None begins one.  ``history`` are the messages that a
    new session begins with, oldest first, where `Capabilities.history` is true; a caller that
    gives both gets a `RequestError`.  Where `Capabilities.remembers` is false, agentnb sets both:
    ``session_id`` always, also in the first run, and ``history`` to the earlier messages, without
    the prompt.  ``params`` are the platform's own request parameters, in snake_case or in the
    wire's spelling; a platform refuses unknown ones with `RequestError` before it sends anything.
    ``output_schema`` is a JSON schema for the answer.  ``followups`` requests suggested questions,
    where `Capabilities.followups` is true; elsewhere it has no effect.  ``tools`` are those of the
    client that the agent may call, where `Capabilities.client_tools` is true: its calls end the
    response, and the next request of the run has their results in ``tool_rounds``, which follow
    the prompt, oldest first.  ``decisions`` are those on the approvals that ended the last round,
    where `Capabilities.decides_by_request` is true.  ``state`` is what the agent shared last in the
    session or in the run, where the platform does not keep it.
    """

    agent: str
    prompt: str
    session_id: str | None = None
    history: Sequence[Message] = ()
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    output_schema: Mapping[str, Any] | None = None
    media: Sequence[Media] = ()
    followups: bool = False
    tools: Sequence[ToolSpec] = ()
    tool_rounds: Sequence[ToolRound] = ()
    decisions: Sequence[tuple[ApprovalRequested, Decision]] = ()
    state: Any = None

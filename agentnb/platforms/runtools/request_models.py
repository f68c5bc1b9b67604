"""RunTools on the wire: what is sent."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Ge
from pydantic import Field

from agentnb.platforms._wire import Number, Outbound

__all__ = ["Message", "RunBody", "RunConfig", "RunParams"]


class Message(Outbound):
    """One message of a conversation."""

    role: str
    content: Any


class RunConfig(Outbound):
    """Limits and settings of one run."""

    max_tokens: Annotated[int, Number, Ge(1)] | None = Field(default=None, alias="maxTokens")
    max_turns: Annotated[int, Number, Ge(1)] | None = Field(default=None, alias="maxTurns")
    temperature: Annotated[float, Number] | None = None


class RunParams(Outbound):
    """What a caller may pass as parameters.

    The settings of `RunConfig` may stand at the top or in ``config``; they are sent in ``config``.
    """

    thread_id: str | None = Field(default=None, alias="threadId")
    messages: tuple[Message, ...] = ()
    metadata: dict[str, Any] | None = None
    config: RunConfig | None = None
    max_tokens: Annotated[int, Number, Ge(1)] | None = Field(default=None, alias="maxTokens")
    max_turns: Annotated[int, Number, Ge(1)] | None = Field(default=None, alias="maxTurns")
    temperature: Annotated[float, Number] | None = None


class RunBody(Outbound):
    """The body of ``POST /v1/run``: ``prompt`` or ``messages``, never both."""

    agent: str
    prompt: str | None = None
    messages: tuple[Message, ...] | None = None
    thread_id: str | None = Field(default=None, alias="threadId")
    stream: bool
    config: RunConfig | None = None
    metadata: dict[str, Any] | None = None

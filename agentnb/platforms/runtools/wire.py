"""Models of what is sent to RunTools and of what it alone sends, with the API's field names."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt
from pydantic import AliasChoices, Field

from agentnb.platforms._wire import Inbound, Number, Outbound


class RunToolsOptions(Outbound):
    """The platform's settings."""

    auth: Literal["x-api-key", "bearer"] = "x-api-key"
    poll_seconds: Annotated[float, Number, Gt(0)] = 1.0
    max_event_bytes: Annotated[int, Number, Ge(1)] = 16 * 2**20


class RunMessage(Outbound):
    """One message of a conversation."""

    role: str
    content: Any


class RunSettings(Outbound):
    """Limits and settings of one run."""

    max_tokens: Annotated[int, Number, Ge(1)] | None = Field(default=None, alias="maxTokens")
    max_turns: Annotated[int, Number, Ge(1)] | None = Field(default=None, alias="maxTurns")
    temperature: Annotated[float, Number] | None = None


class RunToolsParams(RunSettings):
    """Parameters of a run; those of `RunSettings` may be at the top or in ``config``."""

    thread_id: str | None = Field(default=None, alias="threadId")
    messages: tuple[RunMessage, ...] = ()
    metadata: dict[str, Any] | None = None
    config: RunSettings | None = None


class RunToolsBody(Outbound):
    """The body of ``POST /v1/run``, with either ``prompt`` or ``messages``."""

    agent: str
    prompt: str | None = None
    messages: tuple[RunMessage, ...] | None = None
    thread_id: str | None = Field(default=None, alias="threadId")
    stream: bool
    config: RunSettings | None = None
    metadata: dict[str, Any] | None = None


def _optional(*names: str) -> Any:
    return Field(default=None, validation_alias=AliasChoices(*names))


class FileEditFrame(Inbound):
    """The agent changed a file."""

    path: str
    diff: Any = None


class DevUrlFrame(Inbound):
    """The agent serves something at an address."""

    url: str = Field(validation_alias=AliasChoices("url", "data"))


class RunResult(Inbound):
    """The response to ``stream: false``, without its ``data`` envelope."""

    run_id: str | None = _optional("runId", "run_id", "id")
    thread_id: str | None = _optional("threadId", "thread_id")
    status: str | None = None
    result: Any = _optional("result", "output")
    usage: Any = None
    iterations: Any = None
    model: str | None = None
    error: Any = None

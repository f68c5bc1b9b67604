"""SeekrFlow's wire: what is sent, strict, and what is understood, tolerant.

Field names are the wire's own.  The request models and `Run` follow the API page field by field;
threads, messages and agents follow the vendor's published client.  The stream is in ``chunks.py``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    model_validator,
)

from agentnb.platforms._bodies import parse_time
from agentnb.platforms._wire import Inbound, Lenient, Number, Outbound, mend, mend_deep

__all__ = [
    "AgentEntry",
    "Count",
    "Mended",
    "Message",
    "ModelSettings",
    "Options",
    "Params",
    "ResponseFormat",
    "Run",
    "RunAnswer",
    "RunBody",
    "RunUsage",
    "Text",
    "Thread",
]

Mended = Annotated[str, AfterValidator(mend)]
HeaderText = Annotated[str, Field(pattern=r"^[!-~]+$")]
Text = Annotated[Mended | None, Lenient]
Time = Annotated[datetime | None, BeforeValidator(parse_time)]
Count = Annotated[int | None, Lenient]
Object = Annotated[dict[str, Any] | None, Lenient]
Metadata = Annotated[Object, Field(validation_alias=AliasChoices("meta_data", "metadata"))]


# --- sent -------------------------------------------------------------------------------------


class ModelSettings(Outbound):
    """How the model is called; the ranges are the API page's."""

    temperature: Annotated[float | None, Number, Field(ge=0, le=2)] = None
    top_p: Annotated[float | None, Number, Field(ge=0, le=1)] = None
    frequency_penalty: Annotated[float | None, Number, Field(ge=-2, le=2)] = None
    presence_penalty: Annotated[float | None, Number, Field(ge=-2, le=2)] = None
    max_tokens: Annotated[int | None, Number] = None


class ResponseFormat(Outbound):
    """A JSON schema that the answer is held to."""

    json_schema: dict[str, Any]


def _schema_of(value: Any) -> Any:
    if isinstance(value, type) and issubclass(value, BaseModel):
        return {"json_schema": value.model_json_schema()}
    return cast("Any", value)


class RunBody(Outbound):
    """The body of a run: the API page's RunRequest.  What is None is left out."""

    agent_id: str = "default_agent"
    model_settings: ModelSettings | None = None
    response_format: Annotated[ResponseFormat | None, BeforeValidator(_schema_of)] = None
    group: str | None = None
    metadata: dict[str, str] | None = None


class Params(ModelSettings):
    """What `RunRequest.params` may hold.

    The fields of RunBody but for ``agent_id``; those of ``model_settings`` also by themselves
    (``temperature=0.2``); and what shapes the request rather than its body: ``dialect``,
    ``team_id`` (sent as ``x-team-id``), ``thread_meta_data`` for a thread that is made anew, and
    ``file_ids``, files of the platform's own that go with the message.
    """

    model_settings: ModelSettings | None = None
    response_format: Annotated[ResponseFormat | None, BeforeValidator(_schema_of)] = None
    group: str | None = None
    metadata: dict[str, str] | None = None
    dialect: Literal["stream", "vercel"] | None = None
    team_id: Annotated[HeaderText | None, Field(alias="x-team-id")] = None
    thread_meta_data: dict[str, Any] | None = None
    file_ids: list[str] | None = None


class Options(Outbound):
    """What ``PlatformSettings.options`` may hold.

    ``auth_scheme`` "" sends the raw key, as the vendor's client does; "Bearer" is what the API
    page says in words.  ``team_id`` is sent as ``x-team-id``.  ``page_size`` is how many runs are
    asked for at a time; a server may send fewer.
    """

    auth_scheme: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]*$")] = ""
    team_id: HeaderText | None = None
    dialect: Literal["stream", "vercel"] = "stream"
    page_size: Annotated[int, Number, Field(ge=1)] = 200


# --- records ----------------------------------------------------------------------------------


class Record(Inbound):
    """A record of the platform; ``raw`` is the whole of it, as it came."""

    _raw: dict[str, Any] = PrivateAttr(default_factory=dict[str, Any])

    @model_validator(mode="wrap")
    @classmethod
    def _keep(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        record = handler(data)
        if isinstance(data, dict):
            record._raw = mend_deep(cast("dict[str, Any]", data))
        return record

    @property
    def raw(self) -> dict[str, Any]:
        return self._raw


class RunUsage(Inbound):
    """Tokens of a run, in the spelling of either dialect."""

    prompt_tokens: Count = None
    completion_tokens: Count = None
    total_tokens: Count = None


class Run(Record):
    """A run as the platform lists it: every field of the API page.

    Only ``id`` is insisted on; a field of another type than documented is None here and intact in
    `RemoteRun.raw`.
    """

    id: Mended
    created_at: Time = None
    agent_id: Text = None
    thread_id: Text = None
    status: Text = None
    model: Text = None
    temperature: Annotated[float | None, Lenient] = None
    top_p: Annotated[float | None, Lenient] = None
    parallel_tool_calls: Annotated[bool | None, Lenient] = None
    object: Text = "thread.run"
    is_active: Annotated[bool | None, Lenient] = False
    started_at: Time = None
    expires_at: Time = None
    cancelled_at: Time = None
    failed_at: Time = None
    completed_at: Time = None
    instructions: Text = None
    tools: Annotated[list[dict[str, Any]] | None, Lenient] = None
    meta_data: Metadata = None
    usage: Annotated[RunUsage | None, Lenient] = None
    max_completion_tokens: Count = None
    truncation_strategy: Object = None
    response_format: Any = "auto"
    tool_choice: Any = "auto"


class RunAnswer(Record):
    """The answer to a run started in the background."""

    run_id: Mended
    thread_id: Text = None
    status: Text = None
    group: Text = None


class Thread(Record):
    """A conversation."""

    id: Mended
    object: Text = "thread"
    created_at: Time = None
    status: Text = None
    active_run_id: Text = None
    meta_data: Metadata = None


class Message(Record):
    """One message of a thread; ``content`` is a string or a list of typed parts."""

    id: Text = None
    object: Text = "thread.message"
    created_at: Time = None
    thread_id: Text = None
    role: Text = None
    content: Any = None
    agent_id: Text = None
    run_id: Text = None
    meta_data: Metadata = None


class AgentEntry(Record):
    """An agent as the platform lists it."""

    id: Mended
    name: Text = None
    description: Text = None
    instructions: Text = None
    status: Text = None
    model_id: Text = None
    output: Object = None

    @property
    def model(self) -> str | None:
        """The model that answers: the agent's own, or that of its output stage."""
        if self.model_id is not None:
            return self.model_id
        found = (self.output or {}).get("model_id")
        return found if isinstance(found, str) else None

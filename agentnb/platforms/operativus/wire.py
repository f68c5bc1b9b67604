"""Models of what is sent to Operativus and of what it streams, with the API's field names.

Inbound models keep unknown fields.  A field whose wrong type must not cost the event it is in is
``Any`` and read leniently.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Final

from annotated_types import Ge
from pydantic import Field, field_validator

from agentnb.platforms._bodies import parse_zone
from agentnb.platforms._wire import Inbound, MalformedError, Number, Outbound, json_payload

__all__ = [
    "STREAM_TAGS",
    "MediaInput",
    "OperativusOptions",
    "OperativusParams",
    "PausedData",
    "RecordedEvent",
    "RunOptions",
    "RunRequestBody",
    "RunResponse",
    "StartData",
    "ToolCallRecord",
    "ToolData",
    "milliseconds",
    "nested_json",
]

# --- requests ---------------------------------------------------------------------------------


class OperativusOptions(Outbound):
    """The platform's settings."""

    user_id: str | None = None
    org_id: str | None = None
    # Of all attachments of one request together, before base64.
    max_media_bytes: Annotated[int, Number, Ge(0)] = 20 * 2**20
    max_event_bytes: Annotated[int, Number, Ge(1)] = 16 * 2**20
    time_zone: str | None = None

    @field_validator("time_zone")
    @classmethod
    def _check_zone(cls, text: str | None) -> str | None:
        if text is not None:
            parse_zone(text)
        return text


class MediaInput(Outbound):
    """A multimodal input: a MIME type, and its content in base64 or its address."""

    type: str
    data: str


class RunOptions(Outbound):
    """Settings of the agent's model that a run overrides."""

    model: str | None = None
    temperature: Annotated[float, Number] | None = None
    max_tokens: Annotated[int, Number, Ge(1)] | None = Field(default=None, alias="maxTokens")
    system_prompt: str | None = Field(default=None, alias="systemPrompt")


class OperativusParams(RunOptions):
    """Parameters of a run; those of `RunOptions` may be at the top or in ``options``."""

    session_id: str | None = Field(default=None, alias="sessionId")
    user_id: str | None = Field(default=None, alias="userId")
    org_id: str | None = Field(default=None, alias="orgId")
    generate_followups: bool | None = Field(default=None, alias="generateFollowups")
    media: tuple[MediaInput, ...] = ()
    options: RunOptions | None = None


class RunRequestBody(Outbound):
    """The body of every call that starts a run."""

    message: str
    session_id: str = Field(alias="sessionId")
    user_id: str | None = Field(default=None, alias="userId")
    org_id: str | None = Field(default=None, alias="orgId")
    generate_followups: bool | None = Field(default=None, alias="generateFollowups")
    media: tuple[MediaInput, ...] | None = None
    options: RunOptions | None = None


# --- the live stream --------------------------------------------------------------------------

STREAM_TAGS: Final = frozenset(
    {
        *("START", "REASONING_DELTA", "CONTENT_DELTA", "CONTENT_DONE", "FOLLOWUP_SUGGESTION"),
        *("TOOL_START", "TOOL_END", "TOOL_ERROR", "METRICS", "PAUSED", "AGENT_SWITCH"),
        *("STOP", "CANCELLED", "ERROR"),
    }
)
"""Values of ``event`` in ``{"event", "data", "timestamp"}``, the frame of a live stream.

``data`` is text, JSON as text, or a JSON value; ``timestamp`` is in epoch milliseconds.
"""


class StartData(Inbound):
    """START's payload."""

    run_id: str | None = Field(default=None, alias="runId")
    session_id: str | None = Field(default=None, alias="sessionId")


class ToolData(Inbound):
    """The payload of TOOL_START, TOOL_END and TOOL_ERROR; both fields hold the tool's name."""

    name: str | None = None
    tool_name: str | None = Field(default=None, alias="toolName")


class PausedData(Inbound):
    """PAUSED's payload: the action that a person has to take."""

    type: str | None = None
    approval_id: str | None = Field(default=None, alias="approvalId")
    escalation_id: str | None = Field(default=None, alias="escalationId")
    tool: str | None = None
    tool_name: str | None = Field(default=None, alias="toolName")
    args: Any = None
    arguments: Any = None
    message: str | None = None


class ToolCallRecord(Inbound):
    """One entry of a `RunResponse`'s ``tools``."""

    name: str | None = None
    tool_name: str | None = Field(default=None, alias="toolName")
    tool_input: Any = Field(default=None, alias="toolInput")
    tool_output: Any = Field(default=None, alias="toolOutput")
    arguments: Any = None
    result: Any = None
    is_error: Any = Field(default=None, alias="isError")


class RunResponse(Inbound):
    """A whole run: the response of the synchronous call, and a team agent's STOP."""

    run_id: str | None = Field(default=None, alias="runId")
    session_id: str | None = Field(default=None, alias="sessionId")
    content: str | None = None
    metadata: dict[str, Any] | None = None
    tools: list[ToolCallRecord] | None = None
    reasoning_steps: list[str] | None = Field(default=None, alias="reasoningSteps")
    followups: Any = None
    status: str | None = None
    metrics: dict[str, Any] | None = None


class RecordedEvent(Inbound):
    """One frame of ``/api/v1/runs/{run}/events``."""

    event_type: str = Field(alias="eventType")
    run_id: str | None = Field(default=None, alias="runId")
    agent_id: str | None = Field(default=None, alias="agentId")
    session_id: str | None = Field(default=None, alias="sessionId")
    payload: dict[str, Any] | None = None
    event_ts: Any = Field(default=None, alias="eventTs")


# --- values -----------------------------------------------------------------------------------


def nested_json(data: Any) -> Any:
    """Return the value of a payload that is JSON in a string, and any other payload unchanged."""
    if isinstance(data, str) and data.lstrip().startswith(("{", "[")):
        try:
            return json_payload(data)
        except MalformedError:
            return data
    return data


def milliseconds(value: Any) -> float | None:
    """Return a timestamp, None if it is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None

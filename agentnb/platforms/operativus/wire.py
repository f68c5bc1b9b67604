"""Models of what is sent to Operativus and of what it streams, with the API's field names.

Inbound models keep unknown fields.  A field whose wrong type must not cost the event it is in is
read from there, leniently.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Final

from annotated_types import Ge
from pydantic import Field, field_validator

from agentnb.platforms._bodies import parse_zone
from agentnb.platforms._payloads import first_value
from agentnb.platforms._wire import Inbound, MalformedError, Number, Outbound, Text, json_payload


def _alias(name: str) -> Any:
    return Field(default=None, alias=name)


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
    max_tokens: Annotated[int, Number, Ge(1)] | None = _alias("maxTokens")
    system_prompt: str | None = _alias("systemPrompt")


class _RunFields(Outbound):
    session_id: str | None = _alias("sessionId")
    user_id: str | None = _alias("userId")
    org_id: str | None = _alias("orgId")
    generate_followups: bool | None = _alias("generateFollowups")
    media: tuple[MediaInput, ...] | None = None
    options: RunOptions | None = None


class OperativusParams(RunOptions, _RunFields):
    """Parameters of a run; those of `RunOptions` may be at the top or in ``options``."""


class RunRequestBody(_RunFields):
    """The body of every call that starts a run."""

    message: str


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

    run_id: Text = _alias("runId")
    session_id: Text = _alias("sessionId")


class ToolData(Inbound):
    """A tool call, its start or its end, streamed, recorded or in a `RunResponse`."""

    name: Text = None
    tool_name: Text = _alias("toolName")

    @property
    def tool(self) -> str:
        return self.name or self.tool_name or ""

    def value(self, *names: str) -> Any:
        """Return the first of these other fields that is not None."""
        return first_value(self.model_extra or {}, *names)


class PausedData(Inbound):
    """The action that a person has to take while a run is paused."""

    type: Text = None
    approval_id: Text = _alias("approvalId")
    escalation_id: Text = _alias("escalationId")
    tool: Text = None
    tool_name: Text = _alias("toolName")
    args: Any = None
    arguments: Any = None
    message: Text = None
    reason: Text = None


class RunResponse(Inbound):
    """A whole run: the response of the synchronous call, and a team agent's STOP."""

    run_id: Text = _alias("runId")
    session_id: Text = _alias("sessionId")
    content: Text = None
    metadata: dict[str, Any] | None = None
    tools: list[ToolData] | None = None
    reasoning_steps: list[str] | None = _alias("reasoningSteps")
    status: Text = None
    metrics: dict[str, Any] | None = None


class RecordedEvent(Inbound):
    """One frame of ``/api/v1/runs/{run}/events``, without text deltas."""

    event_type: str = Field(alias="eventType")
    run_id: Text = _alias("runId")
    agent_id: Text = _alias("agentId")
    session_id: Text = _alias("sessionId")
    payload: dict[str, Any] | None = None
    event_ts: Any = _alias("eventTs")


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

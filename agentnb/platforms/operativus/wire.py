"""Operativus on the wire: what its stream says.

Field names are the API's own.  The models name what agentnb reads and keep the rest; a field
whose misspelling must not cost the event it stands in is ``Any`` and read leniently.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field

from agentnb.platforms._wire import EventCodec, Inbound

__all__ = [
    "BOOKKEEPING",
    "RUN_EVENTS",
    "STREAM_EVENTS",
    "PausedData",
    "RunEvent",
    "RunResponse",
    "StartData",
    "StreamEvent",
    "ToolCallRecord",
    "ToolData",
]


# --- the stream -------------------------------------------------------------------------------


class StreamEvent(Inbound):
    """One frame of a run's stream.

    ``timestamp`` is epoch milliseconds.  ``data`` is text, and where the event's kind says so the
    text is JSON; servers that send that JSON as a value are understood too.
    """

    timestamp: Any = None


class Start(StreamEvent):
    """The run began; the data holds ``runId`` and ``sessionId``, or is empty."""

    event: Literal["START"]
    data: Any = None


class ReasoningDelta(StreamEvent):
    """A fragment of what the agent thinks."""

    event: Literal["REASONING_DELTA"]
    data: str


class ContentDelta(StreamEvent):
    """A fragment of the answer."""

    event: Literal["CONTENT_DELTA"]
    data: str


class ContentDone(StreamEvent):
    """All of the answer was sent; followups may still come."""

    event: Literal["CONTENT_DONE"]
    data: Any = None


class ToolStart(StreamEvent):
    """A tool is about to be called: `ToolData` as JSON, or a sentence that names it."""

    event: Literal["TOOL_START"]
    data: Any = None


class ToolEnd(StreamEvent):
    """A call ended: `ToolData` as JSON, or its bare result."""

    event: Literal["TOOL_END"]
    data: Any = None


class ToolError(StreamEvent):
    """A call failed: `ToolData` as JSON, or the error's text."""

    event: Literal["TOOL_ERROR"]
    data: Any = None


class FollowupSuggestion(StreamEvent):
    """Suggested questions: a JSON array of strings."""

    event: Literal["FOLLOWUP_SUGGESTION"]
    data: Any = None


class Metrics(StreamEvent):
    """The run's usage, as JSON."""

    event: Literal["METRICS"]
    data: Any = None


class Paused(StreamEvent):
    """The run waits for a person: `PausedData` as JSON, or a sentence."""

    event: Literal["PAUSED"]
    data: Any = None


class AgentSwitch(StreamEvent):
    """Another agent of a team goes on."""

    event: Literal["AGENT_SWITCH"]
    data: Any = None


class Stop(StreamEvent):
    """The stream is complete; the data may hold followups or a whole `RunResponse`."""

    event: Literal["STOP"]
    data: Any = None


class Cancelled(StreamEvent):
    """The run was cancelled; no STOP follows."""

    event: Literal["CANCELLED"]
    data: Any = None


class Error(StreamEvent):
    """The run failed; the data is the message.  A STOP may follow and is no success then."""

    event: Literal["ERROR"]
    data: Any = None


STREAM_EVENTS: Final = EventCodec[StreamEvent](
    {
        "START": Start,
        "REASONING_DELTA": ReasoningDelta,
        "CONTENT_DELTA": ContentDelta,
        "CONTENT_DONE": ContentDone,
        "TOOL_START": ToolStart,
        "TOOL_END": ToolEnd,
        "TOOL_ERROR": ToolError,
        "FOLLOWUP_SUGGESTION": FollowupSuggestion,
        "METRICS": Metrics,
        "PAUSED": Paused,
        "AGENT_SWITCH": AgentSwitch,
        "STOP": Stop,
        "CANCELLED": Cancelled,
        "ERROR": Error,
    }
)


class StartData(Inbound):
    """START's payload."""

    run_id: str | None = Field(default=None, alias="runId")
    session_id: str | None = Field(default=None, alias="sessionId")


class ToolData(Inbound):
    """A tool event's payload; ``name`` and ``tool_name`` are two spellings of one thing."""

    name: str | None = None
    tool_name: str | None = Field(default=None, alias="toolName")
    id: Any = None
    call_id: Any = Field(default=None, alias="toolCallId")
    arguments: Any = None
    result: Any = None
    output: Any = None
    error: Any = None
    message: Any = None


class PausedData(Inbound):
    """PAUSED's payload: the action that is required of a person."""

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
    """A whole run: the answer of the synchronous call, and a team agent's STOP."""

    run_id: str | None = Field(default=None, alias="runId")
    session_id: str | None = Field(default=None, alias="sessionId")
    content: str | None = None
    metadata: dict[str, Any] | None = None
    tools: list[ToolCallRecord] | None = None
    reasoning_steps: list[str] | None = Field(default=None, alias="reasoningSteps")
    followups: Any = None
    status: str | None = None
    metrics: dict[str, Any] | None = None


# --- the events of a run that is joined again ---------------------------------------------------


class RunEvent(Inbound):
    """One frame of ``/api/v1/runs/{run}/events``: what was recorded about a run, not its text."""

    event_type: str = Field(alias="eventType")
    run_id: str | None = Field(default=None, alias="runId")
    agent_id: str | None = Field(default=None, alias="agentId")
    session_id: str | None = Field(default=None, alias="sessionId")
    payload: dict[str, Any] | None = None
    event_ts: Any = Field(default=None, alias="eventTs")


BOOKKEEPING: Final = frozenset(
    {
        *("LLM_REQUEST", "LLM_RESPONSE", "DELEGATION_START", "DELEGATION_COMPLETE", "HANDOFF"),
        *("ORCHESTRATOR_DECISION", "TASK_CREATED", "TASK_UPDATED"),
    }
)
"""Kinds of `RunEvent` that tell how the platform works, and nothing of what its agent does."""

RUN_EVENTS: Final = EventCodec[RunEvent](
    {
        "RUN_START": RunEvent,
        "TOOL_INVOKED": RunEvent,
        "TOOL_COMPLETED": RunEvent,
        "RUN_PAUSED": RunEvent,
        "RUN_COMPLETE": RunEvent,
        "RUN_FAILED": RunEvent,
        "RUN_CANCELLED": RunEvent,
    }
)

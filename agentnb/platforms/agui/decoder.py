"""Decode AG-UI events, of 1.0 and of earlier versions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, cast

from agentnb.event import (
    ApprovalRequested,
    CustomEvent,
    Event,
    ReasoningDelta,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    StateDelta,
    StateSnapshot,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from agentnb.event.state import apply_patch
from agentnb.platforms.agui.interrupts import read_interrupt
from agentnb.plugin import BaseDecoder, MalformedError, RunRequest, Steps, as_text, read_usage


class Decoder(BaseDecoder):
    """Decodes one run, which ends or pauses only with ``RUN_FINISHED`` and ``RUN_ERROR``.

    In place of a start, content and an end a server may send chunks; one without an id continues
    the message or the call before it.
    """

    #: What frames messages, and what only the provider of the model can read.
    ignored: ClassVar = frozenset(
        (
            *("TEXT_MESSAGE_END", "TOOL_CALL_END"),
            *("REASONING_START", "REASONING_MESSAGE_END", "REASONING_END"),
            *("THINKING_START", "THINKING_TEXT_MESSAGE_END", "THINKING_END"),
            "REASONING_ENCRYPTED_VALUE",
        )
    )

    def __init__(self, request: RunRequest) -> None:
        super().__init__(request)
        # The ids of what a chunk without one continues.
        self._message = self._reasoning = self._call = ""
        # Messages that are not the agent's: a server may repeat those of the user.
        self._others: set[str] = set()
        # Number of passages of reasoning without an id, which earlier versions have.
        self._passages = 0
        # The name and the arguments of each call, and the calls without a result.
        self._calls: dict[str, tuple[str, list[str]]] = {}
        self._pending: dict[str, None] = {}
        # The answer in the latest snapshot of the conversation.
        self._answer = ""
        self._steps = Steps()
        # The content of each activity, by the id of its message.
        self._activities: dict[str, Any] = {}

    def on(self, name: str, data: Any) -> Iterable[Event] | None:
        events = self._events(name, data)
        return events and self._steps.placed(_text(data, "subagentRunId"), list(events))

    def _events(self, name: str, data: Any) -> Iterable[Event] | None:
        match name:
            case "RUN_STARTED":
                run_id, thread_id = _text(data, "runId"), _text(data, "threadId")
                return [RunStarted(run_id=run_id or None, session_id=thread_id or None)]
            case "TEXT_MESSAGE_START" | "TEXT_MESSAGE_CONTENT" | "TEXT_MESSAGE_CHUNK":
                return self._on_text(data)
            case (
                "REASONING_MESSAGE_START"
                | "REASONING_MESSAGE_CONTENT"
                | "REASONING_MESSAGE_CHUNK"
                | "THINKING_TEXT_MESSAGE_CONTENT"
            ):
                self._reasoning = _text(data, "messageId") or self._reasoning
                text = _fragment(data)
                return [ReasoningDelta(text, self._reasoning or None)] if text else []
            case "THINKING_TEXT_MESSAGE_START":
                self._passages += 1
                self._reasoning = f"thinking {self._passages}"
                return []
            case "TOOL_CALL_START" | "TOOL_CALL_ARGS" | "TOOL_CALL_CHUNK":
                return self._on_call(data)
            case "TOOL_CALL_RESULT":
                call_id = _required(data, "toolCallId")
                self._pending.pop(call_id, None)
                return [ToolCallFinished(call_id=call_id, result=_content(data["content"]))]
            case "STATE_SNAPSHOT":
                return [StateSnapshot(state=data["snapshot"])]
            case "STATE_DELTA":
                return [StateDelta(patch=data["delta"])]
            case "CUSTOM":
                return [CustomEvent(name=_required(data, "name"), value=data.get("value"))]
            case "ACTIVITY_SNAPSHOT" | "ACTIVITY_DELTA":
                return self._on_activity(name, data)
            case "STEP_STARTED" | "STEP_FINISHED":
                change = self._steps.start if name == "STEP_STARTED" else self._steps.finish
                return change(_text(data, "subagentRunId"), _required(data, "stepName"))
            case "SUBAGENT_STARTED" | "SUBAGENT_FINISHED" | "SUBAGENT_ERROR":
                return self._on_subagent(name, data)
            case "MESSAGES_SNAPSHOT":
                self._answer = _answer(data["messages"])
                return None
            case "RUN_FINISHED":
                return self._on_finished(data)
            case "RUN_ERROR":
                message = as_text(data.get("message")) or "The run failed."
                code = as_text(data.get("code")) or None
                return [*_usage(data), RunFailed(message=message, code=code)]
            case _:
                return None

    def _on_text(self, data: Any) -> list[Event] | None:
        self._message = message_id = _text(data, "messageId") or self._message
        if data.get("role") not in (None, "assistant"):
            self._others.add(message_id)
        if message_id in self._others:
            return None
        if not (text := _fragment(data)):
            return []
        # The answer is the agent's own text; that of a subagent leads to it.
        kind = ReasoningDelta if data.get("subagentRunId") else TextDelta
        return [kind(text, message_id or None)]

    def _on_call(self, data: Any) -> list[Event]:
        self._call = call_id = _text(data, "toolCallId") or self._call
        if not call_id:
            raise MalformedError("toolCallId: is missing")
        events: list[Event] = []
        if (tool := _text(data, "toolCallName")) and call_id not in self._calls:
            self._calls[call_id] = tool, []
            self._pending[call_id] = None
            events.append(ToolCallStarted(call_id=call_id, name=tool))
        if delta := _fragment(data):
            if call_id in self._calls:
                self._calls[call_id][1].append(delta)
            events.append(ToolCallDelta(call_id=call_id, arguments=delta))
        return events

    def _on_activity(self, name: str, data: Any) -> list[Event] | None:
        """Return an activity with its whole content; None if this change does not fit it."""
        message, kind = _text(data, "messageId"), _required(data, "activityType")
        if name == "ACTIVITY_SNAPSHOT":
            content = data["content"]
            if message in self._activities and data.get("replace") is False:
                return []
        elif message in self._activities:
            content = apply_patch(self._activities[message], data["patch"])
        else:
            return None
        self._activities[message] = content
        return [CustomEvent(name=kind, value=content)]

    def _on_subagent(self, name: str, data: Any) -> list[Event]:
        agent = _required(data, "subagentRunId")
        if name == "SUBAGENT_STARTED":
            parent = _text(data, "parentSubagentRunId")
            return self._steps.start_agent(agent, _text(data, "name"), parent=parent)
        error = _text(data, "message") or "The subagent failed."
        return self._steps.finish_agent(agent, error if name == "SUBAGENT_ERROR" else None)

    def _on_finished(self, data: Any) -> list[Event]:
        usage, outcome = _usage(data), _object(data.get("outcome"))
        if outcome.get("type") == "cancelled":
            return [*usage, RunCancelled()]
        if outcome.get("type") == "interrupt":
            interrupts = outcome.get("interrupts")
            if not isinstance(interrupts, list) or not interrupts:
                raise MalformedError("outcome: an interrupt without interrupts")
            return [
                *usage,
                *(self._approval(_object(item)) for item in cast("list[Any]", interrupts)),
            ]
        details = {name: data[name] for name in ("result", "outcome") if data.get(name) is not None}
        if self._pending:
            details["pending_tool_call_ids"] = list(self._pending)
        output = self._answer or as_text(data.get("result")) or None
        return [*usage, RunFinished(output=output, details=details)]

    def _approval(self, interrupt: dict[str, Any]) -> ApprovalRequested:
        for name in ("id", "reason", "message", "expiresAt"):
            _text(interrupt, name)
        tool, arguments = self._calls.get(_text(interrupt, "toolCallId")) or ("", [])
        return read_interrupt(interrupt, tool, "".join(arguments))


def _fragment(data: Any, name: str = "delta") -> str:
    """Return a field that is text, "" where it is missing.

    It may end within a surrogate pair, of which the next fragment has the other half.

    Raises:
        MalformedError: it is something else.
    """
    value = data.get(name)
    if not isinstance(value, str | None):
        raise MalformedError(f"{name}: must be text")
    return value or ""


def _text(data: Any, name: str) -> str:
    return as_text(_fragment(data, name))


def _required(data: Any, name: str) -> str:
    if not (value := _text(data, name)):
        raise MalformedError(f"{name}: is missing")
    return value


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _content(content: Any) -> str:
    """Return a tool's result, which is text, or parts of which some may be files."""
    parts = (
        [_object(part) for part in cast("list[Any]", content)] if isinstance(content, list) else []
    )
    texts = [part.get("text") for part in parts if part.get("type") == "text"]
    if not parts or len(texts) < len(parts):
        return as_text(content)
    return "".join(map(as_text, texts))


def _answer(messages: Any) -> str:
    """Return the agent's text after the last prompt of a conversation."""
    texts: list[str] = []
    for message in map(_object, messages):
        if message.get("role") == "user":
            texts.clear()
        elif message.get("role") == "assistant" and not message.get("subagentRunId"):
            texts.append(as_text(message.get("content")))
    return "\n\n".join(filter(None, texts))


def _usage(data: Any) -> list[Event]:
    """Return the usage at the end of a run, which has an entry for each provider and model."""
    entries = data.get("usage")
    rows = [_object(row) for row in cast("list[Any]", entries)] if isinstance(entries, list) else []
    totals: dict[str, Any] = {}
    for usage in filter(None, map(read_usage, rows)):
        for name, count in usage.to_dict().items():
            totals[name] = totals.get(name, 0) + count
    models = {as_text(row.get("model")) for row in rows} - {""}
    model = models.pop() if len(models) == 1 else None
    return [UsageReported(usage=Usage(**totals), model=model)] if totals else []

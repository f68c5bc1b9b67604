"""A thread's messages as the events that a stream would have brought for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any, cast

from agentnb.event.types import (
    Event,
    RawEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
)
from agentnb.platforms._wire import as_text, mend, mend_deep
from agentnb.platforms.seekr.api import SeekrApi
from agentnb.platforms.seekr.plans import split_plan
from agentnb.platforms.seekr.speakers import is_from_sub_agent
from agentnb.platforms.seekr.wire import Message

__all__ = ["answer_messages", "message_events", "message_text"]


async def answer_messages(
    api: SeekrApi, thread_id: str, *, run_id: str, question_id: str | None = None
) -> list[Message]:
    """Return the newest messages of a thread up to the question, oldest first.

    Those of other runs than ``run_id`` are left out.
    """
    found: list[Message] = []
    async with aclosing(api.walk_messages(thread_id)) as pages:
        async for page in pages:
            questions = 0
            for message in page:
                if question_id is not None and message.id == question_id:
                    return found[::-1]
                if message.role == "user":
                    if found:
                        return found[::-1]
                    # Maybe the question of a later run.
                    questions += 1
                elif message.run_id == run_id or (message.run_id is None and not questions):
                    found.append(message)
            if questions:
                break
    return found[::-1]


def message_events(messages: Sequence[Message]) -> list[Event]:
    """Return the events that a stream would have brought for these messages.

    Plans and the text of sub-agents are reasoning.  A plan is the answer where there is no other.
    """
    events: list[Event] = []
    plan: str | None = None
    for message in messages:
        from_sub_agent = is_from_sub_agent(message.raw)
        for part in _parts(message):
            for event in _part_events(part, from_sub_agent=from_sub_agent, number=len(events)):
                if isinstance(event, ReasoningDelta) and _is_plan_id(event.part_id):
                    plan = event.text
                events.append(event)
    if plan is not None and not any(isinstance(e, TextDelta) and e.text.strip() for e in events):
        events.append(TextDelta(plan))
    return events


def message_text(message: Message) -> str:
    """Return the text of a message, such as a question, without attachments."""
    texts = (_text_of(part) for part in _parts(message))
    return "\n".join(text for text in texts if text)


def _parts(message: Message) -> list[Any]:
    content = message.content
    if isinstance(content, list):
        return cast("list[Any]", content)
    return [content if isinstance(content, dict) else as_text(content)]


def _text_of(part: Any) -> str:
    if isinstance(part, str):
        return mend(part)
    if not isinstance(part, dict):
        return ""
    fields = cast("dict[str, Any]", part)
    is_text = fields.get("type") in (None, "text", "input_text", "output_text", "output_guardrail")
    return as_text(_first(fields, "text", "content")) if is_text else ""


def _part_events(part: Any, *, from_sub_agent: bool, number: int) -> list[Event]:
    """Return the events of a part; ``number`` keeps passages of reasoning apart."""
    if isinstance(part, str):
        return _text_events(mend(part), from_sub_agent=from_sub_agent, number=number)
    if not isinstance(part, dict):
        return [RawEvent(name="message part", data=as_text(part), problem="not a JSON object")]
    fields = cast("dict[str, Any]", part)
    match fields.get("type"):
        case "text" | "output_text" | "output_guardrail":
            text = as_text(_first(fields, "text", "content"))
            from_sub_agent = from_sub_agent or is_from_sub_agent(fields)
            return _text_events(text, from_sub_agent=from_sub_agent, number=number)
        case _:
            return [_part_event(fields)]


def _text_events(text: str, *, from_sub_agent: bool, number: int) -> list[Event]:
    if from_sub_agent:
        return [ReasoningDelta(text, f"agent {number}")] if text else []
    pieces = split_plan(text)
    if not any(is_plan for is_plan, _ in pieces):
        return [TextDelta(text)] if text else []
    events: list[Event] = []
    for is_plan, piece in pieces:
        if is_plan:
            events.append(ReasoningDelta(piece, f"{_PLAN}{number}"))
        elif rest := piece.lstrip():
            events.append(TextDelta(rest))
    return events


_PLAN = "plan "


def _is_plan_id(part_id: str | None) -> bool:
    return part_id is not None and part_id.startswith(_PLAN)


def _part_event(fields: Mapping[str, Any]) -> Event:
    kind = as_text(fields.get("type"))
    call_id = as_text(_first(fields, "toolCallId", "tool_call_id", "tool_id"))
    name = as_text(_first(fields, "toolName", "tool_name"))
    match kind:
        case "reasoning":
            return ReasoningDelta(as_text(_first(fields, "text", "reasoning", "content")))
        case "tool-call" if call_id:
            arguments = as_text(_first(fields, "args", "input", "arguments"))
            return ToolCallStarted(call_id=call_id, name=name, arguments=arguments)
        case "tool-result" if call_id:
            result = as_text(_first(fields, "result", "output"))
            return ToolCallFinished(call_id=call_id, name=name or None, result=result)
        case "tool-error" if call_id:
            error = as_text(_first(fields, "error", "errorText")) or "The tool failed."
            return ToolCallFinished(call_id=call_id, name=name or None, error=error)
        case _:
            return RawEvent(name=kind or "message part", data=as_text(mend_deep(fields)))


def _first(fields: Mapping[str, Any], *names: str) -> Any:
    return next((fields[n] for n in names if fields.get(n) is not None), None)

"""Frames of some dialects, translated to what most servers would send."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, cast

from agentnb.platforms._payloads import as_list, as_object, first_value
from agentnb.platforms._wire import MalformedError, json_payload
from agentnb.platforms.generic.categories import normalized, words

# Kinds of lines in the AI SDK's data stream, and the field for a line that is a text.
_CODES: Final = {
    "0": ("text-delta", "delta"),
    "2": ("data-parts", "data"),
    "3": ("error", "errorText"),
    "8": ("annotations", "data"),
    "9": ("tool-call", ""),
    "a": ("tool-result", ""),
    "b": ("tool-call-start", ""),
    "c": ("tool-call-delta", ""),
    "d": ("finish", ""),
    "e": ("finish-step", ""),
    "f": ("start-step", ""),
    "g": ("reasoning", "delta"),
    "h": ("source", ""),
}
_CODED: Final = re.compile(r'([0-9a-h]):([{\["].*)', re.DOTALL)
_RESULT: Final = words("toolOutput tool_output observation output result content")

Translation = tuple[Literal["frame", "call", "result", "messages"], dict[str, Any]]
"""A frame to decode, or a call, a result or a state of messages, each of which may be a repeat."""


def data_stream_part(text: str) -> dict[str, Any] | None:
    """Return a line of the AI SDK's data stream, such as ``0:"Hello"``, as an object."""
    line = _CODED.fullmatch(text.strip())
    if line is None or line[1] not in _CODES:
        return None
    kind, key = _CODES[line[1]]
    try:
        value = json_payload(line[2])
    except MalformedError:
        return None
    if key:
        return {"type": kind, key: value}
    return {"type": kind, **as_object(value)} if isinstance(value, dict) else None


def translated(kind: str, fields: Mapping[str, Any]) -> list[Translation] | None:
    """Return the translation of a frame, None if it needs none; ``kind`` is its name or type."""
    if isinstance(fields.get("ops"), list):
        return list(_patches(fields["ops"]))
    if isinstance(fields.get("current_tool_use"), dict):
        call = as_object(fields["current_tool_use"])
        is_whole = isinstance(call.get("input"), dict)
        return [("call", call if is_whole else {**call, "input": None})]
    name = normalized(kind)
    result = first_value(fields, "tool_call_result", "toolCallResult")
    if isinstance(result, dict) and name != "tool_call_result":
        call = as_object(cast("object", result))
        return [("result", {**as_object(call.get("origin")), **call})]
    if name == "agent_thought" and "observation" in fields:
        return list(_dify_thought(fields))
    if "tool" in name or "function" in name:
        for key in ("data", "content"):
            if calls := _listed_calls(fields.get(key)):
                return list(_calls(calls))
    if messages := _messages(fields):
        return list(_graph_state(messages))
    return None


def _patches(operations: Any) -> Iterator[Translation]:
    """Yield what LangServe's JSON patches add to the output of a run."""
    for operation in map(as_object, operations):
        if operation.get("path") == "/streamed_output/-":
            value = operation.get("value")
            is_object = isinstance(value, dict)
            yield "frame", as_object(value) if is_object else {"type": "text", "text": value}


def _dify_thought(fields: Mapping[str, Any]) -> Iterator[Translation]:
    """Yield a step of a Dify agent: a thought, a call and its result."""
    if isinstance(thought := fields.get("thought"), str) and thought:
        yield "frame", {"type": "reasoning", "text": thought}
    if fields.get("tool"):
        yield from _calls([dict(fields)])


def _calls(calls: list[dict[str, Any]]) -> Iterator[Translation]:
    for fields in calls:
        call = {key: value for key, value in fields.items() if key not in (*_RESULT, "type")}
        result = first_value(fields, *_RESULT)
        has_arguments = bool(call.keys() & {"toolInput", "tool_input", "input", "arguments"})
        if has_arguments:
            yield "call", call
        if result not in (None, "") or not has_arguments:
            yield "result", {**call, "output": result}


def _listed_calls(value: Any) -> list[dict[str, Any]]:
    """Return several calls, or results of some; none if ``value`` is anything else."""
    items = [as_object(item) for item in as_list(value)]
    names = {"tool", "toolName", "tool_name", "call_id", "toolCallId", "tool_call_id"}
    whole = {"id", "name", "arguments"}
    is_calls = all(item.keys() & names or whole <= item.keys() for item in items)
    return items if is_calls else []


def _messages(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the messages in a graph's state if they have calls or usage."""
    for state in (fields, *fields.values()):
        messages = [as_object(item) for item in as_list(as_object(state).get("messages"))]
        has_calls = any(m.get("tool_calls") or m.get("type") == "tool" for m in messages)
        if has_calls or (messages and messages[-1].get("usage_metadata")):
            return messages
    return []


def _graph_state(messages: list[dict[str, Any]]) -> Iterator[Translation]:
    for message in messages:
        for call in as_list(message.get("tool_calls")):
            yield "call", as_object(call)
        if message.get("type") == "tool":
            yield "result", message
    yield "messages", {"messages": messages}

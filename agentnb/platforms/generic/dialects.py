"""Frames of some servers, rewritten as most others would send them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, cast

from agentnb.platforms._wire import MalformedError, json_payload
from agentnb.platforms.generic.fields import first, mapping
from agentnb.platforms.generic.names import normalized

__all__ = ["coded", "rewritten"]

# The kinds of lines in the AI SDK's data stream, and where a line holds a text, its field.
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
_RESULT: Final = ("toolOutput", "tool_output", "observation", "output", "result", "content")


Meant = tuple[Literal["frame", "call", "result", "messages"], dict[str, Any]]
"""A frame to be decoded, or a call, its result, or a state, each of which may come again."""


def coded(text: str) -> dict[str, Any] | None:
    """Return a line of the AI SDK's data stream, as ``0:"Hello"``, as the object that it means."""
    found = _CODED.fullmatch(text.strip())
    kind, key = _CODES.get(found[1], ("", "")) if found else ("", "")
    if found is None or not kind:
        return None
    try:
        value = json_payload(found[2])
    except MalformedError:
        return None
    if key:
        return {"type": kind, key: value}
    return {"type": kind, **mapping(value)} if isinstance(value, dict) else None


def rewritten(kind: str, fields: Mapping[str, Any]) -> list[Meant] | None:
    """Return what a frame means, None where it means what it says.

    ``kind`` is its name, or the type that its JSON names.
    """
    if isinstance(fields.get("ops"), list):
        return list(_patched(fields["ops"]))
    if isinstance(used := fields.get("current_tool_use"), dict):
        call = mapping(cast("object", used))
        is_whole = isinstance(call.get("input"), dict)
        return [("call", call if is_whole else {**call, "input": None})]
    name = normalized(kind)
    result = first(fields, "tool_call_result", "toolCallResult")
    if isinstance(result, dict) and name != "tool_call_result":
        told = mapping(cast("object", result))
        return [("result", {**mapping(told.get("origin")), **told})]
    if name == "agent_thought" and "observation" in fields:
        return list(_thought(fields))
    for key in ("data", "content"):
        calls = _listed(fields.get(key))
        if calls and ("tool" in name or "function" in name):
            return list(_calls(calls))
    if (messages := _messages(fields)) is not None:
        return list(_of_messages(messages))
    return None


def _patched(operations: Any) -> Iterator[Meant]:
    """Yield what JSON patches add to the output of a run, as LangServe logs one."""
    for operation in map(mapping, cast("list[Any]", operations)):
        path, value = operation.get("path"), operation.get("value")
        if path == "/streamed_output/-":
            is_object = isinstance(value, dict)
            yield "frame", mapping(value) if is_object else {"type": "text", "text": value}


def _thought(fields: Mapping[str, Any]) -> Iterator[Meant]:
    """Yield a step of an agent, as Dify has it: a thought, a call, and what came of that."""
    if isinstance(thought := fields.get("thought"), str) and thought:
        yield "frame", {"type": "reasoning", "text": thought}
    if fields.get("tool"):
        yield from _calls([dict(fields)])


def _calls(calls: list[dict[str, Any]]) -> Iterator[Meant]:
    for call in calls:
        given = {key: value for key, value in call.items() if key not in (*_RESULT, "type")}
        result = first(call, *_RESULT)
        has_arguments = bool(given.keys() & {"toolInput", "tool_input", "input", "arguments"})
        if has_arguments:
            yield "call", given
        if result not in (None, "") or not has_arguments:
            yield "result", {**given, "output": result}


def _listed(value: Any) -> list[dict[str, Any]] | None:
    """Return several calls, or results of some; None where ``value`` is anything else."""
    items = [mapping(item) for item in cast("list[Any]", value)] if isinstance(value, list) else []
    names = {"tool", "toolName", "tool_name", "call_id", "toolCallId", "tool_call_id"}
    whole = {"id", "name", "arguments"}
    is_calls = all(item.keys() & names or whole <= item.keys() for item in items)
    return items if items and is_calls else None


def _messages(fields: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the messages of a graph's state that hold calls, None where it holds none."""
    for state in (fields, *fields.values()):
        messages = mapping(state).get("messages")
        if isinstance(messages, list):
            items = [mapping(item) for item in cast("list[Any]", messages)]
            if any(map(_is_of_call, items)) or (items and items[-1].get("usage_metadata")):
                return items
    return None


def _is_of_call(message: Mapping[str, Any]) -> bool:
    return bool(message.get("tool_calls")) or message.get("type") == "tool"


def _of_messages(messages: list[dict[str, Any]]) -> Iterator[Meant]:
    for message in messages:
        calls = message.get("tool_calls")
        for call in cast("list[Any]", calls) if isinstance(calls, list) else []:
            yield "call", mapping(call)
        if message.get("type") == "tool":
            yield "result", message
    yield "messages", {"messages": messages}

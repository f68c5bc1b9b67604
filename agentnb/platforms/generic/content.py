"""Content of messages in any of the usual shapes, and frames of dialects that need translation."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple, cast

from agentnb.platforms._payloads import as_list, as_object, first_value
from agentnb.platforms._wire import MalformedError, json_payload
from agentnb.platforms.generic.categories import (
    Category,
    category_of,
    normalized,
    word_set,
    words,
)
from agentnb.platforms.generic.fields import only_text, text_in
from agentnb.platforms.generic.tool_calls import read_call

_REASONING: Final = words("reasoning_content reasoning thinking thought thoughts reasoning_text")
_TEXT: Final = words(
    "delta content text token chunk message answer response completion generated_text output_text "
    "parts refusal content_delta blocks"
)
_THOUGHTS: Final = words("thinking text reasoning content summary delta content_delta")
# Also text if the event's name says so.
_MORE_TEXT: Final = (
    *_TEXT,
    *words("output data value body reply update messages fragment artifact"),
)
_CALLS: Final = words("tool_call_chunks tool_calls function_call")
_STOPS: Final = words("finish_reason stop_reason done_reason completion_reason")
# Values of these fields while the model has not stopped.
_NO_STOPS: Final = frozenset({"", *words("null none not_finished unfinished")})
_NOT_THE_AGENT: Final = word_set("user human system developer")
_CHOICES: Final = words("choices candidates results")
RESULTS: Final[frozenset[Category]] = frozenset({"tool_result", "tool_error"})
"""Categories of content that a message to the agent may have beside the user's text."""
_MAX_DEPTH: Final = 8


class Content(NamedTuple):
    """A text, a fragment of a tool call, or a call with its place.

    ``value`` is the text of ``text`` and ``reasoning`` and the fields of anything else; ``key`` is
    the name of its field.
    """

    category: Category
    value: Any
    key: str = ""
    place: Hashable = None


def contents(
    fields: Mapping[str, Any], *, is_text: bool = False, place: Hashable = None, depth: int = 0
) -> Iterator[Content]:
    """Yield the content of an event, in order; ``is_text``: its name says that it is text.

    Of several fields with text, the one for fragments counts.
    """
    if depth > _MAX_DEPTH:
        return
    if is_of_user(fields):
        found = _texts(fields, _MORE_TEXT, place, depth)
        yield from (each for each in found if each.category in RESULTS)
        return
    if fields.get("role") in ("tool", "function"):
        yield Content("tool_result", fields)
        return
    choice = _choice(fields)
    if choice is not None:
        inner = first_value(choice, "delta", "message")
        node = choice if inner is None else as_object(inner)
        yield from contents(node, is_text=True, depth=depth + 1)
        return
    for name in _REASONING:
        if (text := _text(fields.get(name))) is not None:
            if text:
                yield Content("reasoning", text, name)
            break
    yield from _texts(fields, _MORE_TEXT if is_text else _TEXT, place, depth)
    for name in _CALLS:
        calls = fields.get(name)
        if isinstance(calls, list | dict) and calls:
            yield Content("call", calls, "tool_calls")
            break


def _text(value: Any, names: tuple[str, ...] = ("text", "content", "thinking")) -> str | None:
    """Return a text, or that in one of an object's fields."""
    if isinstance(value, dict):
        value = first_value(cast("dict[str, Any]", value), *names)
    return value if isinstance(value, str) else None


def _texts(
    fields: Mapping[str, Any], names: tuple[str, ...], place: Hashable, depth: int
) -> list[Content]:
    """Return the content of the first of these fields that has any."""
    empty: list[Content] = []
    for name in names:
        value = fields.get(name)
        if isinstance(value, dict):
            part = cast("dict[str, Any]", value)
            if name == "token" and part.get("special") is True:
                # A special token, such as the end of a sentence.
                empty = [Content("text", "", name)]
                continue
            found = list(_part(part, name, place, depth))
        elif isinstance(value, str):
            found = [Content("text", value, name)] if value else []
            empty = [Content("text", "", name)]
        else:
            found = list(_parts(as_list(value), name, depth))
        if found:
            return found
    return empty


def _parts(items: list[Any], key: str, depth: int) -> Iterator[Content]:
    for number, item in enumerate(items):
        if isinstance(item, str):
            yield Content("text", item, key)
        else:
            part = as_object(item)
            yield from _part(part, key, place_of(part, ("part", number)), depth)


def _part(fields: dict[str, Any], key: str, place: Hashable, depth: int) -> Iterator[Content]:
    """Yield the content of a part of a message, by its type or by its shape."""
    kind = first_value(fields, "type", "part_kind", "part_delta_kind")
    kind = kind if isinstance(kind, str) else ""
    if kind == "tool_call" and "args_delta" in fields:
        kind = "tool_call_delta"
    result = first_value(fields, "functionResponse", "function_response", "toolResult")
    call = first_value(fields, "toolUse", "functionCall")
    match category_of(kind):
        case "reasoning":
            if (text := _text(fields, _THOUGHTS)) is not None:
                yield Content("reasoning", text, key)
        case "call" | "tool":
            yield Content("call", fields, "", place)
        case "arguments":
            yield Content("arguments", fields, "", place)
        case "tool_result" | "tool_error" as category:
            yield Content(category, fields)
        case _ if kind.endswith("_tool_result"):
            yield Content("tool_result", fields)
        case _ if isinstance(result, dict):
            yield Content("tool_result", result)
        case _ if isinstance(call, dict):
            category = "call" if "name" in call else "arguments"
            yield Content(category, read_call(cast("dict[str, Any]", call)).fields, "", place)
        case _ if fields.get("thought") is True and isinstance(fields.get("text"), str):
            yield Content("reasoning", fields["text"], key)
        case _ if isinstance(fields.get("text"), dict):
            # As in the Assistants API.
            if (text := _text(fields["text"], ("value",))) is not None:
                yield Content("text", text, key)
        case _:
            for each in contents(fields, is_text=True, place=place, depth=depth + 1):
                yield each if each.category == "call" else each._replace(key=key)


def stop_reason(fields: Mapping[str, Any]) -> str | None:
    """Return why the model stopped, None if it did not."""
    fields = _choice(fields) or fields
    if True in (fields.get("turnComplete"), fields.get("turn_complete")):
        return "stop"
    nodes = (fields, *(as_object(fields.get(name)) for name in ("delta", "message", "details")))
    part = as_object(fields.get("part"))
    for node in (*nodes, {"stop_reason": part.get("reason")}):
        reason = first_value(node, *_STOPS)
        if isinstance(reason, str) and reason.lower() not in _NO_STOPS:
            return reason
    return None


def is_of_user(fields: Mapping[str, Any]) -> bool:
    """Return whether a message is one to the agent, from its user or its developer."""
    role = first_value(fields, "role", "sender", "author", "source")
    return isinstance(role, str) and role.lower() in _NOT_THE_AGENT


def listed_calls(fields: Mapping[str, Any]) -> list[Any] | None:
    """Return calls, or fragments of some, listed as in Chat Completions, None without any."""
    delta = as_object(fields.get("delta"))
    messages = (as_object(node.get("message")) for node in (delta, fields))
    for node in (fields, delta, *messages):
        items = first_value(node, "tool_calls", "toolCalls")
        if isinstance(items, list):
            return cast("list[Any]", items)
        if isinstance(items, dict):
            return [{"index": fields.get("index"), **cast("dict[str, Any]", items)}]
    return None


def last_answer(state: Any) -> str | None:
    """Return the text of the last message in a graph's state, None if it is no answer."""
    messages = as_list(as_object(state).get("messages"))
    last = as_object(messages[-1]) if messages else {}
    is_answer = last.get("type") in ("ai", "AIMessage", "assistant", None) and not is_of_user(last)
    return text_in(last.get("content")) if is_answer and last.get("role") != "tool" else None


def _choice(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the first of several alternative answers, None without any."""
    for name in _CHOICES:
        items = fields.get(name)
        if not isinstance(items, list) or not items:
            continue
        choice = as_object(cast("list[Any]", items)[0])
        # Results may be those of a search.
        if name != "results" or not {"generated_text", "outputText"}.isdisjoint(choice):
            return choice
    return None


def place_of(fields: Mapping[str, Any], default: Hashable = None) -> Hashable:
    """Return which of a message's blocks an event is about."""
    index = first_value(fields, "index", "contentBlockIndex")
    return ("block", index) if isinstance(index, int) else default


def text_of(fields: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """Return the text in one of these fields, or the event's only text.

    Raises:
        MalformedError: it has none.
    """
    texts = (_text(fields.get(name)) for name in names)
    text = next((text for text in texts if text is not None), None)
    text = only_text(fields) if text is None else text
    if text is None:
        raise MalformedError(f"{names[0]}: Input should be a valid string")
    return text


# --- translated frames ------------------------------------------------------------------------

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
_RESULT: Final = words("tool_output observation output result content")

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

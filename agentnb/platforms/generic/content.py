"""Content of messages in any of the usual shapes: fragments, messages, parts, choices."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

from agentnb.platforms._wire import MalformedError
from agentnb.platforms.generic.categories import Category, category_of, word_set, words
from agentnb.platforms.generic.fields import (
    as_list,
    as_object,
    first_value,
    only_text,
    read_call,
    text_in,
)

__all__ = [
    "RESULTS",
    "Content",
    "contents",
    "is_of_user",
    "last_answer",
    "listed_calls",
    "place_of",
    "stop_reason",
    "text_of",
]

_REASONING: Final = words(
    "reasoning_content reasoningContent reasoning thinking thought thoughts reasoning_text"
)
_TEXT: Final = words(
    "delta content text token chunk message answer response completion generated_text output_text "
    "outputText parts refusal content_delta contentDelta blocks"
)
# Also text if the event's name says so.
_MORE_TEXT: Final = (
    *_TEXT,
    *words("output data value body reply update messages fragment artifact"),
)
_CALLS: Final = words("tool_call_chunks tool_calls toolCalls function_call functionCall")
_STOPS: Final = words(
    "finish_reason finishReason stop_reason stopReason done_reason completionReason "
    "completion_reason"
)
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
    fields: Mapping[str, Any],
    *,
    is_text: bool = False,
    place: Hashable = None,
    depth: int = 0,
) -> Iterator[Content]:
    """Yield the content of an event, in order; ``is_text``: its name says that it is text.

    Of several fields with text, the one for fragments counts.
    """
    if depth > _MAX_DEPTH:
        return
    if is_of_user(fields):
        found = _texts(fields, is_text=True, place=place, depth=depth)
        yield from (each for each in found if each.category in RESULTS)
        return
    if fields.get("role") in ("tool", "function"):
        yield Content("tool_result", fields)
        return
    choice = _choice(fields)
    if choice is not None:
        inner = first_value(choice, "delta", "message")
        node = as_object(inner) if inner is not None else choice
        yield from contents(node, is_text=True, depth=depth + 1)
        return
    for name in _REASONING:
        value = fields.get(name)
        if isinstance(value, str):
            if value:
                yield Content("reasoning", value, name)
            break
        if isinstance(value, dict):
            text = first_value(cast("dict[str, Any]", value), "text", "content", "thinking")
            if isinstance(text, str):
                yield Content("reasoning", text, name)
                break
    yield from _texts(fields, is_text=is_text, place=place, depth=depth)
    for name in _CALLS:
        calls = fields.get(name)
        if isinstance(calls, list | dict) and calls:
            yield Content("call", calls, "tool_calls")
            break


def _texts(
    fields: Mapping[str, Any], *, is_text: bool, place: Hashable, depth: int
) -> Iterator[Content]:
    empty: Content | None = None
    for name in _MORE_TEXT if is_text else _TEXT:
        value = fields.get(name)
        found: list[Content] = []
        if isinstance(value, str):
            if value:
                yield Content("text", value, name)
                return
            empty = Content("text", value, name)
        elif isinstance(value, dict):
            part = cast("dict[str, Any]", value)
            if name == "token" and part.get("special") is True:
                # A special token, such as the end of a sentence.
                empty = Content("text", "", name)
                continue
            found = list(_part(part, name, place=place, depth=depth))
        elif isinstance(value, list) and value:
            for number, item in enumerate(cast("list[Any]", value)):
                if isinstance(item, str):
                    found.append(Content("text", item, name))
                    continue
                part = as_object(item)
                index = part.get("index")
                at = ("block", index) if isinstance(index, int) else ("part", number)
                found += _part(part, name, place=at, depth=depth)
        if found:
            yield from found
            return
    if empty is not None:
        yield empty


def _part(fields: dict[str, Any], key: str, *, place: Hashable, depth: int) -> Iterator[Content]:
    """Yield the content of a part of a message, by its type."""
    kind = first_value(fields, "type", "part_kind", "part_delta_kind")
    if kind == "tool_call" and "args_delta" in fields:
        kind = "tool_call_delta"
    category = category_of(kind) if isinstance(kind, str) else None
    match category:
        case "reasoning":
            names = ("thinking", "text", "reasoning", "content", "summary", "delta")
            text = first_value(fields, *names, "content_delta")
            if isinstance(text, str):
                yield Content("reasoning", text, key)
        case "call" | "tool":
            yield Content("call", fields, "", place)
        case "arguments":
            yield Content("arguments", fields, "", place)
        case "tool_result" | "tool_error":
            yield Content(category, fields)
        case _ if isinstance(kind, str) and kind.endswith("_tool_result"):
            yield Content("tool_result", fields)
        case _:
            yield from _untyped_part(fields, key, place=place, depth=depth)


def _untyped_part(
    fields: dict[str, Any], key: str, *, place: Hashable, depth: int
) -> Iterator[Content]:
    result = first_value(fields, "functionResponse", "function_response", "toolResult")
    call = first_value(fields, "toolUse", "functionCall")
    text = fields.get("text")
    if isinstance(result, dict):
        yield Content("tool_result", result)
    elif isinstance(call, dict):
        category: Category = "call" if "name" in call else "arguments"
        yield Content(category, read_call(cast("dict[str, Any]", call)).fields, "", place)
    elif fields.get("thought") is True and isinstance(text, str):
        yield Content("reasoning", text, key)
    elif isinstance(text, dict):
        # As in the Assistants API.
        inner = cast("dict[str, Any]", text).get("value")
        if isinstance(inner, str):
            yield Content("text", inner, key)
    else:
        for each in contents(fields, is_text=True, place=place, depth=depth + 1):
            yield each if each.category == "call" else each._replace(key=key)


def stop_reason(fields: Mapping[str, Any]) -> str | None:
    """Return why the model stopped, None if it did not."""
    choice = _choice(fields)
    if choice is not None:
        fields = choice
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


def place_of(fields: Mapping[str, Any]) -> Hashable:
    """Return which of a message's blocks an event is about, None if it does not say."""
    index = first_value(fields, "index", "contentBlockIndex")
    return ("block", index) if isinstance(index, int) else None


def text_of(fields: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """Return the text in one of these fields, or the event's only text.

    Raises:
        MalformedError: it has none.
    """
    for name in names:
        value = fields.get(name)
        if isinstance(value, dict):
            value = first_value(cast("dict[str, Any]", value), "text", "content", "thinking")
        if isinstance(value, str):
            return value
    text = only_text(fields)
    if text is None:
        raise MalformedError(f"{names[0]}: Input should be a valid string")
    return text

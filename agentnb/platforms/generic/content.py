"""What a model says, in whichever of the usual shapes: fragments, messages, parts, choices."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

from agentnb.platforms._wire import MalformedError
from agentnb.platforms.generic.fields import first, mapping, only_text, read_call, text_in
from agentnb.platforms.generic.names import Category, category_of

__all__ = [
    "RESULTS",
    "Said",
    "is_of_user",
    "last_answer",
    "listed_calls",
    "place_of",
    "said_in",
    "stop_in",
    "text_of",
]

_REASONING: Final = (
    *("reasoning_content", "reasoningContent", "reasoning", "thinking", "thought", "thoughts"),
    "reasoning_text",
)
_TEXT: Final = (
    *("delta", "content", "text", "token", "chunk", "message", "answer", "response"),
    *("completion", "generated_text", "output_text", "outputText", "parts", "refusal"),
    *("content_delta", "contentDelta", "blocks"),
)
# Under a name that means text these mean it, too.
_MORE_TEXT: Final = (
    *("output", "data", "value", "body", "reply", "update", "messages", "fragment", "artifact"),
)
_STOPS: Final = (
    *("finish_reason", "finishReason", "stop_reason", "stopReason", "done_reason"),
    *("completionReason", "completion_reason"),
)
# What stands there as long as the model has not stopped.
_NO_STOPS: Final = frozenset({"", "null", "none", "not_finished", "unfinished"})
_NOT_THE_AGENT: Final = frozenset({"user", "human", "system", "developer"})
_CHOICES: Final = ("choices", "candidates", "results")
RESULTS: Final[frozenset[Category]] = frozenset({"tool_result", "tool_error"})
"""What a message to the agent may bring, beside the user's own words."""
_DEEPEST: Final = 8


class Said(NamedTuple):
    """One thing that was said: a text, a fragment of a call, or a call with its place.

    ``value`` is the text of ``text`` and ``reasoning`` and the fields of anything else; ``key`` is
    the name that it stood under.
    """

    category: Category
    value: Any
    key: str = ""
    place: Hashable = None


def said_in(
    fields: Mapping[str, Any],
    *,
    is_text: bool = False,
    place: Hashable = None,
    depth: int = 0,
) -> Iterator[Said]:
    """Yield what an event says, in order; ``is_text``: its name says that it is text.

    Where several names hold a text, the one that means a fragment counts.
    """
    if depth > _DEEPEST:
        return
    if is_of_user(fields):
        said = _texts(fields, is_text=True, place=place, depth=depth)
        yield from (each for each in said if each.category in RESULTS)
        return
    if fields.get("role") in ("tool", "function"):
        yield Said("tool_result", fields)
        return
    choice = _choice(fields)
    if choice is not None:
        inner = first(choice, "delta", "message")
        node = mapping(inner) if inner is not None else choice
        yield from said_in(node, is_text=True, depth=depth + 1)
        return
    for name in _REASONING:
        value = fields.get(name)
        if isinstance(value, str):
            if value:
                yield Said("reasoning", value, name)
            break
        if isinstance(value, dict):
            nested = mapping(cast("object", value))
            text = first(nested, "text", "content", "thinking")
            if isinstance(text, str):
                yield Said("reasoning", text, name)
                break
    yield from _texts(fields, is_text=is_text, place=place, depth=depth)
    for name in ("tool_call_chunks", "tool_calls", "toolCalls", "function_call", "functionCall"):
        calls = fields.get(name)
        if isinstance(calls, list | dict) and calls:
            yield Said("call", calls, "tool_calls")
            break


def _texts(
    fields: Mapping[str, Any], *, is_text: bool, place: Hashable, depth: int
) -> Iterator[Said]:
    empty: Said | None = None
    for name in (*_TEXT, *_MORE_TEXT) if is_text else _TEXT:
        value = fields.get(name)
        if isinstance(value, str):
            if value:
                yield Said("text", value, name)
                return
            empty = Said("text", value, name)
        elif isinstance(value, dict):
            if name == "token" and mapping(cast("object", value)).get("special") is True:
                # The end of a sentence, as the model writes it.
                empty = Said("text", "", name)
                continue
            found = list(_part(value, name, place=place, depth=depth))
            if found:
                yield from found
                return
        elif isinstance(value, list) and value:
            found = [
                said
                for number, item in enumerate(cast("list[Any]", value))
                for said in _item(item, name, place=("part", number), depth=depth)
            ]
            if found:
                yield from found
                return
    if empty is not None:
        yield empty


def _item(item: Any, key: str, *, place: Hashable, depth: int) -> Iterator[Said]:
    if isinstance(item, str):
        yield Said("text", item, key)
    elif isinstance(item, dict):
        fields = cast("dict[str, Any]", item)
        index = fields.get("index")
        place = ("block", index) if isinstance(index, int) else place
        yield from _part(fields, key, place=place, depth=depth)


def _part(value: Any, key: str, *, place: Hashable, depth: int) -> Iterator[Said]:
    """Yield what a part of a message says, by its type."""
    fields = cast("dict[str, Any]", value)
    kind = first(fields, "type", "part_kind", "part_delta_kind")
    if kind == "tool_call" and "args_delta" in fields:
        kind = "tool_call_delta"
    category = category_of(kind) if isinstance(kind, str) else None
    match category:
        case "reasoning":
            text = first(fields, "thinking", "text", "reasoning", "content", "summary", "delta")
            text = text if text is not None else fields.get("content_delta")
            if isinstance(text, str):
                yield Said("reasoning", text, key)
        case "call" | "tool":
            yield Said("call", fields, "", place)
        case "arguments":
            yield Said("arguments", fields, "", place)
        case "tool_result" | "tool_error" as result:
            yield Said(result, fields)
        case _:
            result = first(fields, "functionResponse", "function_response", "toolResult")
            used = first(fields, "toolUse", "functionCall")
            if isinstance(kind, str) and kind.endswith("_tool_result"):
                yield Said("tool_result", fields)
            elif isinstance(result, dict):
                yield Said("tool_result", result)
            elif isinstance(used, dict):
                is_begun = "name" in used
                call = read_call(cast("dict[str, Any]", used)).fields
                yield Said("call" if is_begun else "arguments", call, "", place)
            elif fields.get("thought") is True and isinstance(fields.get("text"), str):
                yield Said("reasoning", fields["text"], key)
            elif isinstance(text := fields.get("text"), dict):
                # As the Assistants API has it.
                inner = mapping(cast("object", text)).get("value")
                if isinstance(inner, str):
                    yield Said("text", inner, key)
            else:
                for said in said_in(fields, is_text=True, place=place, depth=depth + 1):
                    yield said._replace(key=said.key if said.category == "call" else key)


def stop_in(fields: Mapping[str, Any]) -> str | None:
    """Return why the model stopped, where an event says that it did."""
    choice = _choice(fields)
    if choice is not None:
        fields = choice
    if True in (fields.get("turnComplete"), fields.get("turn_complete")):
        return "stop"
    part = mapping(fields.get("part"))
    nodes = (fields, *(mapping(fields.get(name)) for name in ("delta", "message", "details")))
    for node in (*nodes, {"stop_reason": part.get("reason")}):
        reason = first(node, *_STOPS)
        if isinstance(reason, str) and reason.lower() not in _NO_STOPS:
            return reason
    return None


def is_of_user(fields: Mapping[str, Any]) -> bool:
    """Return whether a message is one to the agent, of its user or its developer."""
    role = first(fields, "role", "sender", "author", "source")
    return isinstance(role, str) and role.lower() in _NOT_THE_AGENT


def listed_calls(fields: Mapping[str, Any]) -> list[Any] | None:
    """Return calls, or fragments of some, as Chat Completions lists them; None where none are."""
    delta = mapping(fields.get("delta"))
    for node in (fields, delta, mapping(delta.get("message")), mapping(fields.get("message"))):
        items = first(node, "tool_calls", "toolCalls")
        if isinstance(items, list):
            return cast("list[Any]", items)
        if isinstance(items, dict):
            return [{"index": fields.get("index"), **cast("dict[str, Any]", items)}]
    return None


def last_answer(state: Any) -> str | None:
    """Return the text of the last message of a graph's state, None where it is no answer."""
    messages = mapping(state).get("messages")
    last = mapping(messages[-1]) if isinstance(messages, list) and messages else {}
    is_answer = last.get("type") in ("ai", "AIMessage", "assistant", None) and not is_of_user(last)
    return text_in(last.get("content")) if is_answer and last.get("role") != "tool" else None


def _choice(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the first of several answers, None where an event holds no such list."""
    for name in _CHOICES:
        items = fields.get(name)
        if not isinstance(items, list) or not items:
            continue
        choice = mapping(cast("list[Any]", items)[0])
        # Results may be those of a search.
        if name != "results" or not {"generated_text", "outputText"}.isdisjoint(choice):
            return choice
    return None


def place_of(fields: Mapping[str, Any]) -> Hashable:
    """Return which of a message's blocks an event is about, None where it does not say."""
    index = first(fields, "index", "contentBlockIndex")
    return ("block", index) if isinstance(index, int) else None


def text_of(fields: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """Return a text under one of these names.

    Raises:
        MalformedError: there is none.
    """
    for name in names:
        value = fields.get(name)
        if isinstance(value, dict):
            value = first(mapping(value), "text", "content", "thinking")
        if isinstance(value, str):
            return value
    text = only_text(fields)
    if text is None:
        raise MalformedError(f"{names[0]}: Input should be a valid string")
    return text

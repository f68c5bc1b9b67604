"""What an event of any server holds, under the names that are usual for it.

Everything here is total: what is not there, or of another type, is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields as fields_of
from typing import Any, Final, cast

from agentnb.event.types import Usage
from agentnb.platforms._usage import read_usage
from agentnb.platforms._wire import as_text
from agentnb.platforms.generic.names import category_of, normalized

__all__ = [
    "ARGUMENTS",
    "CALL_IDS",
    "OUTPUT",
    "TYPE_KEYS",
    "CallFields",
    "envelopes",
    "first",
    "is_told_of_part",
    "mapping",
    "named_by_key",
    "only_text",
    "own_types",
    "read_call",
    "text_in",
    "unwrapped",
    "usage_in",
    "whole_text",
]

Fields = Mapping[str, Any]

TYPE_KEYS: Final = (
    *("type", "event", "event_type", "eventType", "kind", "object", "event_name", "eventName"),
    *("message_type", "messageType", "msg_type", "event_kind", "eventKind"),
    *("part_kind", "part_delta_kind"),
)
"""Where an event's JSON names its kind, in this order."""

_ENVELOPES: Final = ("payload", "data", "event", "params", "body", "value")

CALL_IDS: Final = (
    *("toolCallId", "tool_call_id", "toolUseId", "tool_use_id", "callId", "call_id", "callID"),
    *("toolId", "tool_id", "toolCallID"),
)
_NAMES: Final = (
    *("tool", "toolName", "tool_name", "toolCallName", "tool_call_name", "function_name"),
    *("functionName", "name", "function"),
)
_NESTED_CALLS: Final = (
    *("tool", "tool_call", "toolCall", "tool_use", "toolUse", "function", "function_call"),
    *("functionCall", "item", "content_block", "call", "start", "part", "state", "data"),
)
ARGUMENTS: Final = (
    *("input", "arguments", "args", "params", "parameters", "tool_input", "toolInput"),
    *("tool_args", "toolArgs", "kwargs", "tool_kwargs", "toolKwargs"),
)
_RESULTS: Final = (
    *("output", "result", "tool_output", "toolOutput", "tool_result", "toolResult", "content"),
    *("tool_return", "toolReturn", "aggregated_output", "response", "data", "text", "value"),
    *("observation", "message"),
)
OUTPUT: Final = (
    *("output", "result", "content", "text", "answer", "response", "final_output", "finalOutput"),
    *("final_answer", "finalAnswer", "final", "output_text", "generated_text", "full_text"),
    *("fullText", "full_response", "fullResponse", "reply", "completion", "message", "data"),
    *("value", "delta", "token", "chunk"),
)
"""Where the end of a run may hold the whole answer, in this order."""

_USAGE: Final = (
    *("usage", "usage_metadata", "usageMetadata", "token_usage", "tokenUsage", "metrics"),
    *("totalUsage", "total_usage", "stats", "tokens", "models_usage", "modelsUsage"),
)
_AROUND_USAGE: Final = (
    *("message", "response", "delta", "metadata", "x_groq", "run", "output", "meta", "chunk"),
    *("messageMetadata", "message_metadata", "part"),
)
_COUNTS: Final = {
    **dict.fromkeys(("input", "prompt", "tokens_in", "tokensIn"), "input_tokens"),
    **dict.fromkeys(("output", "completion", "tokens_out", "tokensOut"), "output_tokens"),
    "total": "total_tokens",
}
# What may stand beside the text of a message without being a part of what it says.
_MESSAGE: Final = frozenset(
    {
        *("type", "role", "id", "object", "index", "annotations", "status", "name", "logprobs"),
        *("usage", "model", "created", "created_at", "createdAt", "stop_reason", "metadata"),
        *("stop_sequence", "finish_reason", "timestamp", "content", "text", "message", "parts"),
        *("response_metadata", "usage_metadata", "additional_kwargs", "tool_calls", "output"),
        *("invalid_tool_calls", "tool_call_chunks", "example", "refusal", "value"),
    }
)
_TEXT: Final = ("content", "text", "parts", "output_text", "value", "message", "output", "answer")
_PARTS: Final = (
    *("step", "node", "task", "tool", "name", "item", "phase", "stage", "step_id", "node_id"),
    *("item_id", "tool_call_id", "toolCallId", "stepId", "nodeId", "component"),
)
_DEEPEST: Final = 6
# Where nothing else stands beside it, a name is that of the event, and not a tool's.
_NAMED: Final = frozenset({"name", "action", "data", "payload", "id", "timestamp"})
# What an event may hold, though these are also names of kinds.
_HELD: Final = frozenset(
    {
        *(
            "tool_calls",
            "toolCalls",
            "content_block",
            "contentBlock",
            "function_call",
            "tool_call_result",
        ),
        *("functionCall", "usage_metadata", "usageMetadata", "token_usage", "tokenUsage"),
    }
)


def first(fields: Fields, *names: str) -> Any:
    """Return the first of these fields that is there and not null; None where there is none."""
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def mapping(value: Any) -> dict[str, Any]:
    """Return ``value`` where it is an object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def own_types(fields: Fields) -> list[str]:
    """Return the names that an event's JSON gives itself, the most telling one first."""
    found = [name for key in TYPE_KEYS if isinstance(name := fields.get(key), str) and name]
    if not found and isinstance(qualified := fields.get("qualified_name"), str):
        # A class of Python, with its module.
        found = [qualified.rpartition(".")[2]]
    if not found and fields.keys() <= _NAMED:
        found = [name for key in ("name", "action") if isinstance(name := fields.get(key), str)]
    return found


def unwrapped(outer: dict[str, Any]) -> dict[str, Any]:
    """Return an event's own fields, which some servers put into an envelope.

    What stands beside the envelope belongs to them; the names of its kind do not.
    """
    for key in _ENVELOPES:
        inner = outer.get(key)
        if isinstance(inner, dict):
            around = {k: v for k, v in outer.items() if k not in TYPE_KEYS and k not in _ENVELOPES}
            return {**around, **cast("dict[str, Any]", inner)}
    fields = {k: v for k, v in outer.items() if k not in TYPE_KEYS}
    if "payload" in fields and "data" not in fields:
        fields["data"] = fields.pop("payload")
    return fields


def named_by_key(outer: Fields) -> Fields:
    """Return an event whose only field is named after its kind with that kind as its type.

    Bedrock's are of that form: ``{"contentBlockDelta": {...}}``.
    """
    nested = [key for key, value in outer.items() if isinstance(value, dict | list)]
    if len(nested) != 1 or len(outer) > 2 or own_types(outer):
        return outer
    for key, inner in outer.items():
        # A bare word, as "message", is what an event holds rather than what it is.
        is_name = "_" in normalized(key) and key not in _HELD
        if isinstance(inner, dict) and is_name and category_of(key) not in (None, "whole_text"):
            rest = {name: value for name, value in outer.items() if name != key}
            return {**rest, **cast("dict[str, Any]", inner), "type": key}
    return outer


def envelopes(outer: Fields) -> list[dict[str, Any]]:
    """Return the objects in which an event may hold the event proper."""
    names = (*_ENVELOPES, "message", "chunk", "update", "result", "value")
    return [inner for name in names if (inner := mapping(outer.get(name)))]


def is_told_of_part(fields: Fields) -> bool:
    """Return whether an event is about a step, a node or the like, and not about the run."""
    return any(fields.get(name) is not None for name in _PARTS)


# --- text -------------------------------------------------------------------------------------


def text_in(value: Any, *, depth: int = 0) -> str | None:
    """Return the text of a message, of one of its parts, or of a list of them.

    Reasoning and tool calls among them are left out.  None where there is no text.
    """
    if isinstance(value, str):
        return value
    if depth > _DEEPEST:
        return None
    if isinstance(value, list):
        items = cast("list[Any]", value)
        found = [t for item in items if (t := text_in(item, depth=depth + 1)) is not None]
        return "".join(found) if found else None
    if not isinstance(value, dict):
        return None
    fields = cast("dict[str, Any]", value)
    kind = fields.get("type")
    if isinstance(kind, str) and category_of(kind) not in ("text", "whole_text", "end", None):
        return None
    for key in _TEXT:
        if (text := text_in(fields.get(key), depth=depth + 1)) is not None:
            return text
    return None


def whole_text(value: Any) -> str:
    """Return the answer that ``value`` is: the text of a message, else its JSON; "" of None."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        if fields.keys() <= _MESSAGE and (text := text_in(fields)) is not None:
            return as_text(text)
    elif isinstance(value, list):
        items = cast("list[Any]", value)
        if items and all(_is_part(item) for item in items):
            return as_text(text_in(items) or "")
    elif isinstance(value, bool):
        return ""
    return as_text(value)


def _is_part(item: Any) -> bool:
    fields = mapping(item)
    return isinstance(fields.get("type") or fields.get("role"), str)


def only_text(fields: Fields) -> str | None:
    """Return the one text that an event of an unknown shape holds, None unless there is one.

    Ids, names, times and the like are none.
    """
    found = [
        value
        for key, value in fields.items()
        if isinstance(value, str) and value and not _is_label(key)
    ]
    if len(found) == 1:
        return found[0]
    nested = [mapping(value) for value in fields.values() if isinstance(value, dict)]
    return only_text(nested[0]) if not found and len(nested) == 1 else None


_LABELS: Final = frozenset(
    {
        *("id", "ids", "type", "event", "kind", "object", "role", "name", "model", "agent", "at"),
        *("index", "status", "state", "time", "timestamp", "date", "version", "language", "lang"),
        *("reason", "code", "level", "author", "source", "node", "provider", "mode", "method"),
        *("jsonrpc", "fingerprint", "signature", "created", "url", "path", "format", "subtype"),
        *("sequence", "seq", "title", "step", "user", "channel", "key", "no", "phase", "hash"),
    }
)


def _is_label(key: str) -> bool:
    return not _LABELS.isdisjoint(normalized(key).split("_"))


# --- usage ------------------------------------------------------------------------------------


def usage_in(fields: Fields, *, bare: bool = False) -> Usage | None:
    """Return the usage that an event reports; ``bare``: also where it stands beside the rest."""
    found: Usage | None = None
    sources: list[Any] = [fields] if bare else []
    around = [inner for key in _AROUND_USAGE if (inner := mapping(fields.get(key)))]
    for each in (*around, fields):
        sources += [each[name] for name in _USAGE if name in each]
    for source in sources:
        usage = _counts(source) or _counts(mapping(source).get("tokens"))
        if usage is not None:
            found = usage if found is None else found.merged(usage)
    if found is not None and found.cost_usd is None:
        cost = first(fields, "cost") or mapping(fields.get("part")).get("cost")
        priced = read_usage({"cost_usd": cost})
        found = found if priced is None else found.merged(priced)
    if found is None or all(getattr(found, f.name) is None for f in fields_of(found)):
        return None
    return found


def _counts(source: Any) -> Usage | None:
    """Return the usage that an object of counts holds, also under names that are short there."""
    counts = mapping(source)
    if not counts:
        return None
    return read_usage({**{_COUNTS[key]: counts[key] for key in counts if key in _COUNTS}, **counts})


# --- tool calls -------------------------------------------------------------------------------


class CallFields:
    """What an event says of a tool call; ``fields`` are its own and those nested in it, merged."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = fields

    @property
    def name(self) -> str | None:
        """The tool's name."""
        return next((n for key in _NAMES if isinstance(n := self.fields.get(key), str) and n), None)

    @property
    def call_id(self) -> str | None:
        """The id that the call goes by, where the event names it as that."""
        return as_text(first(self.fields, *CALL_IDS)) or None

    @property
    def own_id(self) -> str | None:
        """An id that may be the call's or the event's own."""
        return as_text(self.fields.get("id")) or None

    @property
    def arguments(self) -> Any:
        """The arguments, None where there are none."""
        return first(self.fields, *ARGUMENTS)

    @property
    def fragment(self) -> str | None:
        """A fragment of the arguments."""
        names = ("partial_json", "delta", "inputTextDelta", "input_text_delta", "args_delta")
        for name in (*names, "argsTextDelta", "arguments_delta", "chunk", *ARGUMENTS, "data"):
            value = self.fields.get(name)
            if isinstance(value, str):
                return value
            nested = mapping(value)
            for inner in ("partial_json", "text", "content", *ARGUMENTS):
                if isinstance(nested.get(inner), str):
                    return nested[inner]
        return None

    @property
    def result(self) -> str | None:
        """The result as text, None where there is none."""
        value = first(self.fields, *_RESULTS)
        return None if value is None else result_text(value)

    @property
    def says_of_call(self) -> bool:
        """Whether the event is about a tool call, whatever its name."""
        named = first(self.fields, "tool", "toolName", "tool_name") is not None
        return named or self.call_id is not None


def result_text(value: Any) -> str:
    """Return a tool's result as text: parts of text joined, anything else as JSON."""
    if isinstance(value, list) and value:
        items = cast("list[Any]", value)
        parts = [mapping(item) for item in items]
        if all(_is_text_part(part) for part in parts):
            return as_text("".join(part["text"] for part in parts))
    result = mapping(value)
    if "tool_name" in result and isinstance(result.get("content"), str):
        return as_text(result["content"])
    return as_text(value)


def _is_text_part(part: Mapping[str, Any]) -> bool:
    return part.get("type", "text") == "text" and isinstance(part.get("text"), str)


def read_call(fields: Fields) -> CallFields:
    """Return what an event says of a tool call, also where it nests that."""
    merged = dict(fields)
    for _ in range(2):
        for key in _NESTED_CALLS:
            inner = merged.get(key)
            if isinstance(inner, dict):
                del merged[key]
                nested = {k: v for k, v in cast("dict[str, Any]", inner).items() if v is not None}
                merged = {**merged, **nested}
    return CallFields(merged)

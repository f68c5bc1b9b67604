"""Fields of an event of any server, under their usual names.

Nothing here raises: a field that is missing or of another type is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from agentnb.event.types import Usage
from agentnb.platforms._payloads import as_list, as_object, first_value
from agentnb.platforms._usage import read_usage
from agentnb.platforms._wire import as_text
from agentnb.platforms.generic.categories import category_of, normalized, word_set, words

Fields = Mapping[str, Any]

# In order of preference, as all tuples here.
_TYPE_KEYS: Final = words(
    "type event event_type kind object event_name message_type msg_type event_kind part_kind "
    "part_delta_kind"
)
_ENVELOPES: Final = words("payload data event params body value")
OUTPUT: Final = words(
    "output result content text answer response final_output final_answer final output_text "
    "generated_text full_text full_response reply completion message data value delta token chunk"
)
"""Fields in which the end of a run may have the whole answer."""

_USAGE: Final = words(
    "usage usage_metadata token_usage metrics total_usage stats tokens models_usage"
)
_AROUND_USAGE: Final = words(
    "message response delta metadata x_groq run output meta chunk message_metadata part"
)
_COUNTS: Final = {
    **dict.fromkeys(("input", "prompt", "tokens_in", "tokensIn"), "input_tokens"),
    **dict.fromkeys(("output", "completion", "tokens_out", "tokensOut"), "output_tokens"),
    "total": "total_tokens",
}
# Fields of a message that may be beside its text without being content themselves.
_MESSAGE: Final = word_set(
    "type role id object index annotations status name logprobs usage model created created_at "
    "createdAt stop_reason metadata stop_sequence finish_reason timestamp content text message "
    "parts response_metadata usage_metadata additional_kwargs tool_calls output "
    "invalid_tool_calls tool_call_chunks example refusal value"
)
_TEXT: Final = words("content text parts output_text value message output answer")
_PARTS: Final = words(
    "step node task tool name item phase stage step_id node_id item_id tool_call_id component"
)
_MAX_DEPTH: Final = 6
# If an event has no other fields, its name is its type and not a tool's.
_NAMED: Final = word_set("name action data payload id timestamp")
# Fields with content, though they are also names of types.
_CONTENT: Final = word_set(
    "tool_calls toolCalls content_block contentBlock function_call tool_call_result functionCall "
    "usage_metadata usageMetadata token_usage tokenUsage"
)
# Words in names of fields whose text is not content.
_LABELS: Final = word_set(
    "id ids type event kind object role name model agent at index status state time timestamp "
    "date version language lang reason code level author source node provider mode method jsonrpc "
    "fingerprint signature created url path format subtype sequence seq title step user channel "
    "key no phase hash"
)


def own_types(fields: Fields) -> list[str]:
    """Return the types in an event's JSON, the most specific one first."""
    types = [name for key in _TYPE_KEYS if isinstance(name := fields.get(key), str) and name]
    if not types and isinstance(qualified := fields.get("qualified_name"), str):
        # A Python class with its module.
        types = [qualified.rpartition(".")[2]]
    if not types and fields.keys() <= _NAMED:
        types = [name for key in ("name", "action") if isinstance(name := fields.get(key), str)]
    return types


def unwrapped(outer: dict[str, Any]) -> dict[str, Any]:
    """Return an event's fields without its envelope and its types.

    Fields beside the envelope belong to the event.
    """
    for key in _ENVELOPES:
        inner = outer.get(key)
        if isinstance(inner, dict):
            around = {k: v for k, v in outer.items() if k not in _TYPE_KEYS and k not in _ENVELOPES}
            return {**around, **cast("dict[str, Any]", inner)}
    fields = {k: v for k, v in outer.items() if k not in _TYPE_KEYS}
    if "payload" in fields and "data" not in fields:
        fields["data"] = fields.pop("payload")
    return fields


def named_by_key(outer: Fields) -> Fields:
    """Return an event whose only field is named after its type with that type.

    Bedrock sends such: ``{"contentBlockDelta": {...}}``.
    """
    nested = [key for key, value in outer.items() if isinstance(value, dict | list)]
    if len(nested) != 1 or len(outer) > 2 or own_types(outer):
        return outer
    for key, inner in outer.items():
        # A single word, such as "message", is a field rather than a type.
        is_type = "_" in normalized(key) and key not in _CONTENT
        if isinstance(inner, dict) and is_type and category_of(key) not in (None, "whole_text"):
            rest = {name: value for name, value in outer.items() if name != key}
            return {**rest, **cast("dict[str, Any]", inner), "type": key}
    return outer


def envelopes(outer: Fields) -> list[dict[str, Any]]:
    """Return the objects in which an event may wrap the actual one."""
    names = (*_ENVELOPES, "message", "chunk", "update", "result", "value")
    return [inner for name in names if (inner := as_object(outer.get(name)))]


def is_about_part(fields: Fields) -> bool:
    """Return whether an event is about a step, a node or the like, and not about the run."""
    return any(fields.get(name) is not None for name in _PARTS)


# --- text -------------------------------------------------------------------------------------


def text_in(value: Any, *, depth: int = 0) -> str | None:
    """Return the text of a message, of one of its parts, or of a list of them, None without any.

    Reasoning and tool calls are left out.
    """
    if isinstance(value, str):
        return value
    if depth > _MAX_DEPTH:
        return None
    if isinstance(value, list):
        texts = [text_in(item, depth=depth + 1) for item in as_list(value)]
        known = [text for text in texts if text is not None]
        return "".join(known) if known else None
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
    """Return an answer as text: the text of a message, else its JSON; "" for None."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        if fields.keys() <= _MESSAGE and (text := text_in(fields)) is not None:
            return as_text(text)
    elif items := as_list(value):
        parts = map(as_object, items)
        if all(isinstance(part.get("type") or part.get("role"), str) for part in parts):
            return as_text(text_in(items))
    return "" if isinstance(value, bool) else as_text(value)


def only_text(fields: Fields) -> str | None:
    """Return the text of an event of an unknown shape, None unless there is exactly one.

    Ids, names, times and the like do not count.
    """
    texts = [
        value
        for key, value in fields.items()
        if isinstance(value, str) and value and _LABELS.isdisjoint(normalized(key).split("_"))
    ]
    if len(texts) == 1:
        return texts[0]
    nested = [as_object(value) for value in fields.values() if isinstance(value, dict)]
    return only_text(nested[0]) if not texts and len(nested) == 1 else None


# --- usage ------------------------------------------------------------------------------------


def usage_in(fields: Fields, *, bare: bool = False) -> Usage | None:
    """Return the usage that an event reports; ``bare``: also if its counts are not nested."""
    around = [inner for key in _AROUND_USAGE if (inner := as_object(fields.get(key)))]
    sources: list[Any] = [fields] if bare else []
    sources += [each[name] for each in (*around, fields) for name in _USAGE if name in each]
    total = Usage()
    for source in map(as_object, sources):
        for counts in (source, as_object(source.get("tokens"))):
            # Counts may have short names there.
            long = {_COUNTS[key]: counts[key] for key in counts if key in _COUNTS}
            if (usage := read_usage({**long, **counts})) is not None:
                total = total.merged(usage)
                break
    if total == Usage():
        return None
    if total.cost_usd is None:
        cost = first_value(fields, "cost") or as_object(fields.get("part")).get("cost")
        total = total.merged(read_usage({"cost_usd": cost}) or Usage())
    return total

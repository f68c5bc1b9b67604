"""Redact secrets in events, including secrets split across several events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import fields, replace
from operator import is_
from typing import Any, Final, cast, get_args

from agentnb.event.types import (
    Event,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    event_from_dict,
    event_to_dict,
)
from agentnb.redaction.secrets import (
    HARMLESS,
    MASK,
    gives_away,
    has_secret,
    mask_growing,
    mask_pieces,
    mask_value,
    may_begin_secret,
    near_secret,
)

__all__ = ["StreamMask", "masked_event", "without_secrets"]

# Identifies a text that grows, and the field of the event that appends to it.
_TextKey = tuple[Hashable, str]
_DETAILS: Final = "details"


class StreamMask:
    """Redacts the events of one stream, before any consumer receives them.

    Texts that arrive in pieces (the answer, the reasoning, a call's arguments and output) are
    redacted across pieces.  If a piece ends with 4 or more characters of a possible secret, they
    are buffered until the next piece of the same text; any other event, and `flush`, releases them,
    so that events keep their order.  A released end is masked if it is half of a secret or more;
    the rest of the secret is masked in any case.

    Events without a secret are unchanged, except that a buffered end moves to the next event.
    """

    __slots__ = ("_buffered", "_prefixes")

    def __init__(self) -> None:
        # The end of each text that could be the beginning of a secret, released or not.
        self._prefixes: dict[_TextKey, str] = {}
        # The buffered end, as an event.
        self._buffered: Event | None = None

    def feed(self, batch: Sequence[Event]) -> Sequence[Event]:
        """Return the events to release after ``batch``, usually ``batch`` itself."""
        result: list[Event] | None = None
        for index, event in enumerate(batch):
            if self._buffered is None and self._is_clean(event):
                if result is not None:
                    result.append(event)
            else:
                if result is None:
                    result = list(batch[:index])
                self._redact(event, result)
        if result is None or (len(result) == len(batch) and all(map(is_, result, batch))):
            return batch
        return result

    def flush(self) -> list[Event]:
        """Return the buffered events."""
        result: list[Event] = []
        self._release(result)
        return result

    def _is_clean(self, event: Event) -> bool:
        """Return whether ``event`` cannot be part of a secret; remember how its text ends."""
        kind = type(event)
        if kind is TextDelta or kind is ReasoningDelta:
            delta = cast("TextDelta", event)
            if delta.part_id is not None and has_secret(delta.part_id):
                return False
            return self._is_clean_text(((kind, delta.part_id), "text"), delta.text)
        if isinstance(event, ToolCallDelta):
            call, arguments, output = event.call_id, event.arguments, event.output
            if has_secret(call):
                return False
            if not (arguments and output):
                name = "arguments" if arguments else "output"
                return self._is_clean_text((call, name), arguments or output)
            # Remember neither unless both pass.
            return (
                not self._is_near((call, "output"), output)
                and self._is_clean_text((call, "arguments"), arguments)
                and self._is_clean_text((call, "output"), output)
            )
        if _has_secret(event):
            return False
        if isinstance(event, ToolCallStarted):
            return self._is_clean_text((event.call_id, "arguments"), event.arguments)
        return True

    def _is_near(self, key: _TextKey, text: str) -> bool:
        return len(near_secret(self._prefixes.get(key, "") + text)) > HARMLESS

    def _is_clean_text(self, key: _TextKey, text: str) -> bool:
        prefix = self._prefixes.get(key, "")
        near = near_secret(prefix + text)
        if len(near) > HARMLESS:
            return False
        if near:
            self._prefixes[key] = near
        elif prefix:
            del self._prefixes[key]
        return True

    def _redact(self, event: Event, result: list[Event]) -> None:
        key = _text_key(event)
        if key is None:
            self._release(result)
            result.append(masked_event(event) if _has_secret(event) else event)
            return
        if isinstance(event, ToolCallDelta) and not (event.arguments or event.output):
            # Appends no text, so it releases none.
            result.append(masked_event(event) if _has_secret(event) else event)
            return
        if isinstance(event, ToolCallDelta) and event.arguments and event.output:
            self._redact(replace(event, output=""), result)
            self._redact(replace(event, arguments=""), result)
            return
        buffered = ""
        if self._buffered is not None:
            if _text_key(self._buffered) == key:
                buffered = getattr(self._buffered, key[1])
                self._buffered = None
            else:
                self._release(result)
        text: str = getattr(event, key[1])
        prefix = self._prefixes.pop(key, "")
        clean, prefix, kept_back = mask_growing(prefix + text, len(prefix) - len(buffered))
        if prefix:
            self._prefixes[key] = prefix
        if kept_back:
            clean, rest = clean[:-kept_back], clean[-kept_back:]
            self._buffered = _appended(event, key[1], rest)
        if clean != text:
            if not clean and not isinstance(event, ToolCallStarted):
                return
            event = replace(event, **{key[1]: clean})
        result.append(masked_event(event) if _has_secret(event) else event)

    def _release(self, result: list[Event]) -> None:
        buffered, self._buffered = self._buffered, None
        if buffered is None or (key := _text_key(buffered)) is None:
            return
        prefix, kept_back = self._prefixes[key], getattr(buffered, key[1])
        if gives_away(prefix):
            if gives_away(prefix[: -len(kept_back)]):
                return  # its mask was released before
            buffered = replace(buffered, **{key[1]: MASK})
        result.append(masked_event(buffered) if _has_secret(buffered) else buffered)


def without_secrets(events: Sequence[Event]) -> tuple[Sequence[Event], bool]:
    """Return ``events`` without secrets that are split across several of them.

    Also return whether the texts end with the beginning of another secret.
    """
    texts: defaultdict[Hashable, list[int]] = defaultdict(list)
    for index, event in enumerate(events):
        kind = type(event)
        if kind is TextDelta or kind is ReasoningDelta:
            texts[kind].append(index)
            if (part := cast("TextDelta | ReasoningDelta", event).part_id) is not None:
                texts[kind, part].append(index)
        elif isinstance(event, ToolCallDelta | ToolCallStarted):
            texts["arguments", event.call_id].append(index)
            if isinstance(event, ToolCallDelta):
                texts["output", event.call_id].append(index)
    half = False
    changed = events
    for key, indices in texts.items():
        name = key[0] if isinstance(key, tuple) and isinstance(key[0], str) else "text"
        pieces: list[str] = [getattr(changed[index], name) for index in indices]
        half = half or may_begin_secret("".join(pieces))
        if (masked := mask_pieces(pieces)) is None:
            continue
        changed = list(changed)
        for index, piece in zip(indices, masked, strict=True):
            changed[index] = replace(changed[index], **{name: piece})
    return changed, half


def masked_event(event: Event) -> Event:
    """Return ``event`` with all its texts masked; omit details that nest too deeply."""
    data = event_to_dict(event)
    try:
        clean = mask_value(data)
    except RecursionError:
        clean = mask_value({name: value for name, value in data.items() if name != _DETAILS})
    return event_from_dict({**clean, "type": event.type})


def _text_key(event: Event) -> _TextKey | None:
    """Return the key of the text that ``event`` appends to, or None."""
    kind = type(event)
    if kind is TextDelta or kind is ReasoningDelta:
        return (kind, cast("TextDelta", event).part_id), "text"
    if isinstance(event, ToolCallDelta):
        return event.call_id, "arguments" if event.arguments else "output"
    return (event.call_id, "arguments") if isinstance(event, ToolCallStarted) else None


def _appended(event: Event, name: str, text: str) -> Event:
    """Return an event that appends ``text`` after ``event``."""
    if isinstance(event, ToolCallStarted):
        return ToolCallDelta(call_id=event.call_id, arguments=text)
    return replace(event, **{name: text})


def _has_secret(event: Event) -> bool:
    """Return whether `masked_event` would change ``event``."""
    return any(_holds_secret(getattr(event, name)) for name in _FIELDS[type(event)])


def _holds_secret(value: Any) -> bool:
    if isinstance(value, str):
        return has_secret(value)
    if isinstance(value, tuple):
        return any(map(_holds_secret, cast("tuple[Any, ...]", value)))
    if isinstance(value, dict):
        try:
            return bool(mask_value(value) != value)
        except RecursionError:
            return True
    return False


_FIELDS: Final = {kind: tuple(each.name for each in fields(kind)) for kind in get_args(Event)}

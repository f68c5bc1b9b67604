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
    RefusalDelta,
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

# Identifies a text that grows: its passage or call, and the field of the event that appends to it.
_TextKey = tuple[Hashable, str]
_GROWING: Final[dict[type, tuple[str, ...]]] = {
    TextDelta: ("text",),
    ReasoningDelta: ("text",),
    RefusalDelta: ("text",),
    ToolCallStarted: ("arguments",),
    ToolCallDelta: ("arguments", "output"),
}
_OTHERS: Final = {
    kind: [each.name for each in fields(kind) if each.name not in _GROWING.get(kind, ())]
    for kind in get_args(Event)
}


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
        """Return whether ``event`` cannot be part of a secret; remember how its texts end."""
        if (
            isinstance(event, TextDelta)
            and event.part_id is None
            and not self._prefixes
            and not near_secret(event.text)
        ):
            return True  # nearly all events, in a fifth of the time
        ends: list[tuple[_TextKey, str]] = []
        for name in _texts(event):
            key = _key(event, name)
            end = near_secret(self._prefixes.get(key, "") + getattr(event, name))
            if len(end) > HARMLESS:
                return False
            ends.append((key, end))
        for name in _OTHERS[type(event)]:
            if _holds_secret(getattr(event, name)):
                return False
        for key, end in ends:
            if end:
                self._prefixes[key] = end
            else:
                self._prefixes.pop(key, None)
        return True

    def _redact(self, event: Event, result: list[Event]) -> None:
        names = _texts(event)
        if not names:
            # A fragment without text follows what is buffered, and releases nothing.
            if type(event) not in _GROWING or isinstance(event, ToolCallStarted):
                self._release(result)
            result.append(_masked(event))
            return
        if len(names) > 1:
            for name in names:
                empty = dict.fromkeys(names, "")
                self._redact(replace(event, **{**empty, name: getattr(event, name)}), result)
            return
        name = names[0]
        key, text = _key(event, name), getattr(event, name)
        buffered = ""
        if self._buffered is not None:
            other = _texts(self._buffered)[0]
            if _key(self._buffered, other) == key:
                buffered = getattr(self._buffered, name)
                self._buffered = None
            else:
                self._release(result)
        prefix = self._prefixes.pop(key, "")
        clean, prefix, kept_back = mask_growing(prefix + text, len(prefix) - len(buffered))
        if prefix:
            self._prefixes[key] = prefix
        if kept_back:
            clean, rest = clean[:-kept_back], clean[-kept_back:]
            if isinstance(event, ToolCallStarted):
                self._buffered = ToolCallDelta(call_id=event.call_id, arguments=rest)
            else:
                self._buffered = replace(event, **{name: rest})
        if clean != text:
            if not clean and not isinstance(event, ToolCallStarted):
                return
            event = replace(event, **{name: clean})
        result.append(_masked(event))

    def _release(self, result: list[Event]) -> None:
        buffered, self._buffered = self._buffered, None
        if buffered is None:
            return
        name = _texts(buffered)[0]
        prefix, kept_back = self._prefixes[_key(buffered, name)], getattr(buffered, name)
        if gives_away(prefix):
            if gives_away(prefix[: -len(kept_back)]):
                return  # its mask was released before
            buffered = replace(buffered, **{name: MASK})
        result.append(_masked(buffered))


def without_secrets(events: Sequence[Event]) -> tuple[Sequence[Event], bool]:
    """Return ``events`` without secrets that are split across several of them.

    Also return whether the texts end with the beginning of another secret.
    """
    texts: defaultdict[_TextKey, list[int]] = defaultdict(list)
    for index, event in enumerate(events):
        for name in _GROWING.get(type(event), ()):
            if name == "text":
                # A secret may be split across passages, too.
                texts[(event.type, None), name].append(index)
            if getattr(event, "part_id", "") is not None:
                texts[_key(event, name)].append(index)
    half = False
    changed = events
    for (_, name), indices in texts.items():
        pieces: list[str] = [getattr(changed[index], name) for index in indices]
        half = half or may_begin_secret("".join(pieces))
        if (masked := mask_pieces(pieces)) is None:
            continue
        changed = list(changed)
        for index, piece in zip(indices, masked, strict=True):
            changed[index] = replace(changed[index], **{name: piece})
    return changed, half


def masked_event(event: Event) -> Event:
    """Return ``event`` with all its texts masked; omit data that nest too deeply."""
    data = event_to_dict(event)
    try:
        clean = mask_value(data)
    except RecursionError:
        clean = mask_value({k: v for k, v in data.items() if not isinstance(v, dict | list)})
    return event_from_dict({**clean, "type": event.type})


def _texts(event: Event) -> list[str]:
    """Return the fields of ``event`` that append text to a growing one."""
    return [name for name in _GROWING.get(type(event), ()) if getattr(event, name)]


def _key(event: Any, name: str) -> _TextKey:
    return (event.type, event.part_id) if name == "text" else event.call_id, name


def _masked(event: Event) -> Event:
    """Return `masked_event` if that would change ``event``."""
    names = (*_OTHERS[type(event)], *_GROWING.get(type(event), ()))
    return masked_event(event) if any(_holds_secret(getattr(event, n)) for n in names) else event


def _holds_secret(value: Any) -> bool:
    if isinstance(value, str):
        return has_secret(value)
    if isinstance(value, tuple):
        return any(map(_holds_secret, cast("tuple[Any, ...]", value)))
    if isinstance(value, dict | list):
        try:
            return bool(mask_value(value) != value)
        except RecursionError:
            return True
    return False

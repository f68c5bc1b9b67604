"""Taking secrets out of events, also those that lie across several of them."""

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

# A text that grows, and the field of the event that brings more of it.
_Place = tuple[Hashable, str]
_DETAILS: Final = "details"


class StreamMask:
    """Takes secrets out of the events of one stream, before anybody sees them.

    Also out of texts that come in pieces: the answer, the reasoning, a call's arguments and its
    output.  A piece that ends with what could be the beginning of a secret (4 characters of it, or
    more) waits with that end for the next piece of the same text; whatever else comes first, and
    `flush`, lets it go, so that events keep their order.  What is let go is masked itself where it
    is half of a secret, and the rest of the secret is masked even then.

    An event may lose its end to the next one, or vanish into it; nothing else is changed where
    there is no secret.
    """

    __slots__ = ("_begun", "_held")

    def __init__(self) -> None:
        # The end of each text that could be the beginning of a secret, shown or not.
        self._begun: dict[_Place, str] = {}
        # What is kept back of the last event, as an event.
        self._held: Event | None = None

    def feed(self, batch: Sequence[Event]) -> Sequence[Event]:
        """Return what can be shown after ``batch``; mostly that is ``batch`` itself."""
        result: list[Event] | None = None
        for index, event in enumerate(batch):
            if self._held is None and self._passes(event):
                if result is not None:
                    result.append(event)
            else:
                if result is None:
                    result = list(batch[:index])
                self._take(event, result)
        if result is None or (len(result) == len(batch) and all(map(is_, result, batch))):
            return batch
        return result

    def flush(self) -> list[Event]:
        """Return what was kept back."""
        result: list[Event] = []
        self._let_go(result)
        return result

    def _passes(self, event: Event) -> bool:
        """Tell quickly whether ``event`` is nowhere near a secret; note how its text ends."""
        kind = type(event)
        if kind is TextDelta or kind is ReasoningDelta:
            delta = cast("TextDelta", event)
            if delta.part_id is not None and has_secret(delta.part_id):
                return False
            return self._passes_text(((kind, delta.part_id), "text"), delta.text)
        if isinstance(event, ToolCallDelta):
            call, arguments, output = event.call_id, event.arguments, event.output
            if has_secret(call):
                return False
            if not (arguments and output):
                name = "arguments" if arguments else "output"
                return self._passes_text((call, name), arguments or output)
            # Nothing is noted of the one unless the other passes, too.
            return (
                not self._is_near((call, "output"), output)
                and self._passes_text((call, "arguments"), arguments)
                and self._passes_text((call, "output"), output)
            )
        if _has_secret(event):
            return False
        if isinstance(event, ToolCallStarted):
            return self._passes_text((event.call_id, "arguments"), event.arguments)
        return True

    def _is_near(self, place: _Place, text: str) -> bool:
        return len(near_secret(self._begun.get(place, "") + text)) > HARMLESS

    def _passes_text(self, place: _Place, text: str) -> bool:
        begun = self._begun.get(place, "")
        near = near_secret(begun + text)
        if len(near) > HARMLESS:
            return False
        if near:
            self._begun[place] = near
        elif begun:
            del self._begun[place]
        return True

    def _take(self, event: Event, result: list[Event]) -> None:
        place = _place(event)
        if place is None:
            self._let_go(result)
            result.append(masked_event(event) if _has_secret(event) else event)
            return
        if isinstance(event, ToolCallDelta) and not (event.arguments or event.output):
            # It goes on with no text, and so lets none go.
            result.append(masked_event(event) if _has_secret(event) else event)
            return
        if isinstance(event, ToolCallDelta) and event.arguments and event.output:
            self._take(replace(event, output=""), result)
            self._take(replace(event, arguments=""), result)
            return
        held = ""
        if self._held is not None:
            if _place(self._held) == place:
                held = getattr(self._held, place[1])
                self._held = None
            else:
                self._let_go(result)
        text: str = getattr(event, place[1])
        begun = self._begun.pop(place, "")
        clean, begun, back = mask_growing(begun + text, len(begun) - len(held))
        if begun:
            self._begun[place] = begun
        if back:
            clean, rest = clean[:-back], clean[-back:]
            self._held = _more(event, place[1], rest)
        if clean != text:
            if not clean and not isinstance(event, ToolCallStarted):
                return
            event = replace(event, **{place[1]: clean})
        result.append(masked_event(event) if _has_secret(event) else event)

    def _let_go(self, result: list[Event]) -> None:
        held, self._held = self._held, None
        if held is None or (place := _place(held)) is None:
            return
        begun, back = self._begun[place], getattr(held, place[1])
        if gives_away(begun):
            if gives_away(begun[: -len(back)]):
                return  # its mask was shown already
            held = replace(held, **{place[1]: MASK})
        result.append(masked_event(held) if _has_secret(held) else held)


def without_secrets(events: Sequence[Event]) -> tuple[Sequence[Event], bool]:
    """Return ``events`` without the secrets that lie across several of them.

    And whether what comes next may complete another one.
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
    for place, indices in texts.items():
        name = place[0] if isinstance(place, tuple) and isinstance(place[0], str) else "text"
        pieces: list[str] = [getattr(changed[index], name) for index in indices]
        half = half or may_begin_secret("".join(pieces))
        if (masked := mask_pieces(pieces)) is None:
            continue
        changed = list(changed)
        for index, piece in zip(indices, masked, strict=True):
            changed[index] = replace(changed[index], **{name: piece})
    return changed, half


def masked_event(event: Event) -> Event:
    """Return ``event`` with every text in it masked, without details that nest too deeply."""
    told = event_to_dict(event)
    try:
        clean = mask_value(told)
    except RecursionError:
        clean = mask_value({name: value for name, value in told.items() if name != _DETAILS})
    return event_from_dict({**clean, "type": event.type})


def _place(event: Event) -> _Place | None:
    """Return which text grows by ``event``; None where none does."""
    kind = type(event)
    if kind is TextDelta or kind is ReasoningDelta:
        return (kind, cast("TextDelta", event).part_id), "text"
    if isinstance(event, ToolCallDelta):
        return event.call_id, "arguments" if event.arguments else "output"
    return (event.call_id, "arguments") if isinstance(event, ToolCallStarted) else None


def _more(event: Event, name: str, text: str) -> Event:
    """Return an event that brings ``text`` after what ``event`` brought."""
    if isinstance(event, ToolCallStarted):
        return ToolCallDelta(call_id=event.call_id, arguments=text)
    return replace(event, **{name: text})


def _has_secret(event: Event) -> bool:
    """Tell whether `masked_event` would change ``event``."""
    return any(_holds_secret(getattr(event, name)) for name in _NAMES[type(event)])


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


_NAMES: Final = {kind: tuple(each.name for each in fields(kind)) for kind in get_args(Event)}

"""Join characters that a server, or a user's function, cut in half (lone surrogates).

No file and no terminal takes half of a surrogate pair; U+FFFD stands for one without its other.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import replace
from typing import Any

from agentnb._support.text import well_formed
from agentnb.event.types import (
    TERMINAL_EVENTS,
    Event,
    ReasoningDelta,
    RefusalDelta,
    RunFinished,
    TextDelta,
)


class SurrogateJoiner:
    """Joins halves across the fragments of several texts, each of them known by a ``key``.

    A server that slices by UTF-16 units sends an emoji's two halves in two fragments.  The first
    half is withheld until the other one arrives under the same key.
    """

    __slots__ = ("held",)

    def __init__(self) -> None:
        #: Withheld halves by key.  While there is none, `feed` returns ASCII unchanged.
        self.held: dict[Any, str] = {}

    def feed(self, text: str, key: Hashable = "") -> str:
        """Return ``text`` with its characters whole, without a first half at its end."""
        if not self.held and text.isascii():
            return text
        text = self.held.pop(key, "") + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self.held[key] = text[-1]
            text = text[:-1]
        return well_formed(text)

    def flush(self) -> dict[Any, str]:
        """Return a replacement character for each withheld half, by key."""
        lone = dict.fromkeys(self.held, "\ufffd")
        self.held.clear()
        return lone


class EventSurrogateJoiner:
    """Joins halves across the texts of one run, part by part."""

    __slots__ = ("_joiner",)

    def __init__(self) -> None:
        self._joiner = SurrogateJoiner()

    def feed(self, batch: Iterable[Event]) -> tuple[Event, ...]:
        """Return the events of ``batch`` with text that can be encoded."""
        batch = tuple(batch)
        if not self._joiner.held and all(map(_is_encodable, batch)):
            return batch
        events: list[Event] = []
        for event in batch:
            if isinstance(event, TextDelta | ReasoningDelta | RefusalDelta):
                text = self._joiner.feed(event.text, (type(event), event.part_id))
                event = replace(event, text=text)
            elif isinstance(event, TERMINAL_EVENTS):
                events += [kind(text, part) for (kind, part), text in self._joiner.flush().items()]
                if isinstance(event, RunFinished) and event.output:
                    event = replace(event, output=well_formed(event.output))
            events.append(event)
        return tuple(events)


def _is_encodable(event: Event) -> bool:
    if isinstance(event, TextDelta | ReasoningDelta | RefusalDelta):
        return event.text.isascii() or well_formed(event.text) is event.text
    return not isinstance(event, RunFinished) or not event.output or event.output.isascii()

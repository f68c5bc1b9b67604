"""Halves of characters (lone surrogates), which no file and no terminal takes, out of a run's text.

Some servers, and functions of users, cut text in the middle of a character.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from agentnb._support.text import well_formed
from agentnb.event.types import TERMINAL_EVENTS, Event, ReasoningDelta, RunFinished, TextDelta

__all__ = ["Halves"]

_Place = tuple[type[TextDelta] | type[ReasoningDelta], str | None]


class Halves:
    """Joins the halves of characters in the fragments of one run; U+FFFD stands for a lone one.

    A first half that a fragment ends with waits for the next fragment of the same text.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[_Place, str] = {}

    def feed(self, batch: Iterable[Event]) -> tuple[Event, ...]:
        """Return the events of ``batch`` as they can be encoded."""
        batch = tuple(batch)
        if not self._held and all(map(_is_whole, batch)):
            return batch
        made: list[Event] = []
        for event in batch:
            if isinstance(event, TextDelta | ReasoningDelta):
                made.append(self._joined(event))
                continue
            if isinstance(event, TERMINAL_EVENTS):
                made += [kind("\ufffd", part) for kind, part in self._held]
                self._held.clear()
            if isinstance(event, RunFinished) and event.output:
                event = replace(event, output=well_formed(event.output))
            made.append(event)
        return tuple(made)

    def _joined(self, event: TextDelta | ReasoningDelta) -> Event:
        place = (type(event), event.part_id)
        text = self._held.pop(place, "") + event.text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._held[place] = text[-1]
            text = text[:-1]
        return replace(event, text=well_formed(text))


def _is_whole(event: Event) -> bool:
    """Tell whether nothing in ``event`` is to be joined or replaced."""
    if isinstance(event, TextDelta | ReasoningDelta):
        return event.text.isascii() or well_formed(event.text) is event.text
    return not isinstance(event, RunFinished) or not event.output or event.output.isascii()

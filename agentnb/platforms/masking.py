"""Taking secrets out of events, also those that lie across several of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import cast

from agentnb._secrets import mask_pieces, mask_value, may_begin_secret
from agentnb.event import (
    Event,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    event_from_dict,
    event_to_dict,
)

__all__ = ["masked_event", "without_secrets"]


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
    """Return ``event`` with every text in it masked; one that nests too deeply as it is."""
    told = event_to_dict(event)
    try:
        return event_from_dict({**mask_value(told), "type": event.type})
    except RecursionError:
        return event

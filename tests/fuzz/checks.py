"""What must hold of any stream, however damaged."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final

from agentnb.errors import EventTooLargeError
from agentnb.event.transcript import fold
from agentnb.event.types import (
    TERMINAL_EVENTS,
    Event,
    ReasoningDelta,
    TextDelta,
    event_from_dict,
    event_to_dict,
)
from agentnb.platforms.generic.decoder import GenericDecoder
from agentnb.platforms.operativus.decoder import Decoder as OperativusDecoder
from agentnb.platforms.runagent.decoder import Decoder as RunAgentDecoder
from agentnb.platforms.runtools.decoder import Decoder as RunToolsDecoder
from agentnb.platforms.seekr.decoder import Decoder as SeekrDecoder
from agentnb.sse import Decoder, ServerSentEvent
from tests.platforms.recorded import EventDecoder

__all__ = ["DECODERS", "check"]

DECODERS: Final[dict[str, Callable[[], EventDecoder]]] = {
    "seekr": SeekrDecoder,
    "runagent": RunAgentDecoder,
    "operativus": OperativusDecoder,
    "runtools": RunToolsDecoder,
    "generic": GenericDecoder,
}
# Small, so that damaged streams meet it.
_CAP: Final = 20_000


def check(platform: str, chunks: Sequence[bytes]) -> int:
    """Hold one stream of ``platform`` to what must hold of all; return how many events it gave.

    The pieces it comes in change nothing; nothing is raised but the refusal of what is too large;
    what comes out can be stored, read again and folded, ends once, and is no more than what came.
    """
    whole = b"".join(chunks)
    frames, refused = _frames([whole])
    assert _frames(chunks) == (frames, refused)
    decoder = DECODERS[platform]()
    events = [event for frame in frames for event in decoder.decode(frame)]
    events += decoder.finish()
    assert sum(isinstance(event, TERMINAL_EVENTS) for event in events) <= 1
    stored = json.dumps([event_to_dict(event) for event in events], ensure_ascii=False)
    # What cannot be written as UTF-8 could be neither stored nor shown.
    stored.encode()
    read: list[Event] = [event_from_dict(each) for each in json.loads(stored)]
    transcript = fold(events)
    assert json.dumps(fold(read).to_dict()) == json.dumps(transcript.to_dict())
    said = sum(len(e.text) for e in events if isinstance(e, TextDelta | ReasoningDelta))
    assert said <= len(whole)
    return len(events)


def _frames(chunks: Sequence[bytes]) -> tuple[list[ServerSentEvent], bool]:
    decoder = Decoder(max_event_bytes=_CAP)
    frames: list[ServerSentEvent] = []
    try:
        for chunk in chunks:
            frames += decoder.feed(chunk)
        frames += decoder.feed(b"")
    except EventTooLargeError:
        return frames, True
    return frames, False

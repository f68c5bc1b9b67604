"""A first look at what one read of a stream brought.

Nearly all frames are a fragment of the answer in a small JSON object, and a decoder that looks at
those first need not do for each of them all that it does for the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from pydantic_core import from_json

from agentnb.platforms._wire import SHALLOW, could_be_deep
from agentnb.sse import ServerSentEvent

__all__ = ["peek"]

# Longer ones may hold a number of more digits than Python agrees to read.
_LONGEST: Final = 4000


def peek(frames: Sequence[ServerSentEvent]) -> Iterable[dict[str, Any] | None]:
    """Return, for each frame, the JSON object that its data is, None where that is not certain.

    It is what `json_payload` makes of it, but that numbers which are none, or are too large for a
    float, are not None here.  So this is to find fragments of text by, and nothing more.
    """
    if len(frames) == 1:
        return (_object_in(frames[0].data),)
    texts = [frame.data for frame in frames]
    if max(map(len, texts), default=0) <= SHALLOW:
        try:
            values = list(map(from_json, texts))
        except ValueError:
            pass
        else:
            if set(map(type, values)) == {dict}:
                return values
    return map(_object_in, texts)


def _object_in(text: str) -> dict[str, Any] | None:
    if len(text) > SHALLOW and (len(text) > _LONGEST or could_be_deep(text)):
        return None
    try:
        value = from_json(text)
    except ValueError:
        return None
    return cast("dict[str, Any]", value) if type(value) is dict else None

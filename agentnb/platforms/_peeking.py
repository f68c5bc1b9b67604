"""A first look at what one read of a stream brought.

Nearly all frames are a fragment of the answer in a small JSON object, and a decoder that looks at
those first need not do for each of them all that it does for the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from pydantic_core import from_json

from agentnb.platforms._wire import SHALLOW, could_be_deep
from agentnb.sse import ServerSentEvent

__all__ = ["peek"]

# Longer ones may hold a number of more digits than Python agrees to read.
_LONGEST: Final = 4000


def peek(frames: Sequence[ServerSentEvent]) -> Iterable[Any]:
    """Return, for each frame, the JSON value that its data is, None where that is not certain.

    What `json_payload` has nothing against, it reads as this does, but for numbers too large for a
    float, which are infinite here.  So this is to find fragments of text by, and nothing more.
    """
    if len(frames) == 1:
        return (_value_of(frames[0].data),)
    texts = [frame.data for frame in frames]
    if max(map(len, texts), default=0) <= SHALLOW:
        try:
            return list(map(from_json, texts))
        except ValueError:
            pass
    return map(_value_of, texts)


def _value_of(text: str) -> Any:
    if len(text) > SHALLOW and (len(text) > _LONGEST or could_be_deep(text)):
        return None
    try:
        return from_json(text)
    except ValueError:
        return None

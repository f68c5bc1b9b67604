"""The JSON of many frames, read in one go.

A frame is so small that calling a JSON decoder costs more than what it then does.  So the frames of
one read are joined into one array.  What is found of each is what it would be by itself; where that
is not certain, it is left to be read by itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final

from agentnb.platforms._wire import JSON_DECODER, SHALLOW, could_be_deep
from agentnb.sse import ServerSentEvent

__all__ = ["json_objects"]

# Stands between two texts.  Nobody outside knows it, so that no text can hold it: where all of them
# come back, each in its place, what is between two of them is one text's value and nothing else's.
_BETWEEN: Final = secrets.token_hex(8)
_COMMA: Final = f',"{_BETWEEN}",'
# So many are left to be read by themselves where one of them cannot be read.
_FEW: Final = 16


def json_objects(frames: Sequence[ServerSentEvent]) -> list[dict[str, Any] | None]:
    """Return, for each frame, the JSON object that its data is, as `json_payload` returns it.

    None where the data is to be read by itself: it is none, or malformed, or stands near what is.
    """
    texts = [frame.data for frame in frames]
    if (together := _read(texts)) is not None:
        return together
    found: list[dict[str, Any] | None] = []
    for start in range(0, len(texts), _FEW):
        few = texts[start : start + _FEW]
        read = _read(few) if len(few) < len(texts) else None
        found += [None] * len(few) if read is None else read
    return found


def _read(texts: list[str]) -> list[dict[str, Any] | None] | None:
    """Return the objects; None where a text is no JSON, or could be nested too deeply."""
    if max(map(len, texts), default=0) > SHALLOW and any(map(could_be_deep, texts)):
        return None
    # What a read brings of a stream that is not behind is copied nowhere.
    joined = texts[0] if len(texts) == 1 else f"[{_COMMA.join(texts)}]"
    try:
        values, end = JSON_DECODER.raw_decode(joined)
    except (ValueError, RecursionError):
        return None
    if end != len(joined):
        return None
    if len(texts) == 1:
        values = [values]
    else:
        # Brackets may be open in one text and closed in another, and one may hold several values.
        between = values[1::2]
        if len(values) != 2 * len(texts) - 1 or between.count(_BETWEEN) != len(between):
            return None
        values = values[::2]
    return [value if type(value) is dict else None for value in values]

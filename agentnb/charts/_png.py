"""Charts as small PNGs, and text that can be drawn."""

from __future__ import annotations

import re
import struct
import zlib
from typing import Any, Final, NamedTuple, cast

from agentnb._support.text import control_signs

_SCALE: Final = 1.5  # sharp enough on most screens
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
# Besides most control characters, not allowed in XML even if escaped.
_NO_XML: Final = re.compile("[\ufffe\uffff]")


class Picture(NamedTuple):
    """A PNG and its size in CSS pixels."""

    png: bytes
    width: int
    height: int


def drawable(spec: Any) -> Any:
    """Return a specification without characters that cannot be drawn.

    vl-convert draws text as SVG, and ends the process on text that is no XML.
    """
    match spec:
        case str():
            return spec if spec.isprintable() else _NO_XML.sub("\ufffd", control_signs(spec))
        case dict():
            items = cast("dict[str, Any]", spec).items()
            return {drawable(key): drawable(value) for key, value in items}
        case list() | tuple():
            return [drawable(value) for value in cast("list[Any]", spec)]
        case _:
            return spec


def render_png(spec: dict[str, Any]) -> Picture | None:
    """Return the chart as PNG, None where vl-convert is missing or cannot draw it."""
    try:
        import vl_convert
    except ImportError:
        return None
    try:
        png: bytes = cast("Any", vl_convert).vegalite_to_png(spec, scale=_SCALE)
    except ValueError:
        # The frontend may still draw the chart.
        return None
    width, height = struct.unpack_from(">II", png, len(_SIGNATURE) + 8)
    return Picture(recompress(png), round(width / _SCALE), round(height / _SCALE))


def recompress(png: bytes) -> bytes:
    """Return the same picture, compressed to about a seventh.

    vl-convert compresses for speed, and a notebook keeps the picture.
    """
    before: list[bytes] = []
    data: list[bytes] = []
    after: list[bytes] = []
    at = len(_SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        chunk = png[at : at + 12 + length]
        if chunk[4:8] == b"IDAT":
            data.append(chunk[8:-4])
        else:
            (after if data else before).append(chunk)
        at += len(chunk)
    content = b"IDAT" + zlib.compress(zlib.decompress(b"".join(data)), 9)
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return b"".join([_SIGNATURE, *before, chunk, *after])

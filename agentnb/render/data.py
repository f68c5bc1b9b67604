"""What a tool got or gave, made easier to read without being changed."""

from __future__ import annotations

import json
import re
from typing import Final

__all__ = ["spread_json"]

_SHORT: Final = 80
_LONG: Final = 200_000
# Deeper than this, containers stay on one line: rows of a table read best so.
_DEPTH: Final = 2
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def spread_json(text: str) -> str:
    """Return JSON of more than one line's length spread over lines; all else as it is.

    Only the space between tokens changes: numbers, the order of keys and doubled keys stay.
    """
    if not _SHORT < len(text) <= _LONG or "\n" in text or text[0] not in "{[":
        return text
    try:
        # Numbers are left unread, since one may be too long to be read.
        json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return text
    out: list[str] = []
    depth = 0
    before = ""
    for token in _TOKEN.findall(text):
        if token in "}]":
            depth -= 1
        if (before in ("{", "[", ",") or token in "}]") and before + token not in ("{}", "[]"):
            broken = depth <= (_DEPTH - 1 if token in "}]" else _DEPTH)
            space = " " if before == "," else ""
            out.append("\n" + "  " * depth if broken else space)
        elif before == ":":
            out.append(" ")
        out.append(token)
        if token in "{[":
            depth += 1
        before = token
    return "".join(out)

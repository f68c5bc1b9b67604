"""Time zones as users name them."""

from __future__ import annotations

import re
from datetime import UTC, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

__all__ = ["LEAST_OFFSET", "MOST_OFFSET", "parse_zone"]

LEAST_OFFSET: Final = timedelta(hours=-12)
MOST_OFFSET: Final = timedelta(hours=14)
"""The zones that there are lie between these offsets from UTC."""

_OFFSET: Final = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d{2}))?", re.IGNORECASE)


def parse_zone(text: str) -> tzinfo:
    """Return the zone of an IANA name (``Europe/Berlin``) or an offset (``+05:30``).

    Raises:
        ValueError: it is neither.
    """
    name = text.strip()
    if name.upper() in ("UTC", "GMT", "Z"):
        return UTC
    if (match := _OFFSET.fullmatch(name)) is not None:
        size = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        offset = -size if match[1] == "-" else size
        if int(match[3] or 0) < 60 and LEAST_OFFSET <= offset <= MOST_OFFSET:
            return timezone(offset)
    else:
        try:
            return ZoneInfo(name)
        except (LookupError, OSError, ValueError):
            pass
    raise ValueError("must be a time zone such as 'Europe/Berlin' or '+05:30'")

"""What a report may be given away with: no keys, no names of users."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from agentnb._secrets import mask

__all__ = ["discreet", "shown_address"]

# The folder of another user, or of this one under another name for home.
_HOMES: Final = re.compile(
    r"((?:^|[\s:='\"(])(?:[A-Za-z]:)?[/\\](?:home|Users)[/\\])[^/\\\s,;:'\")]+"
)

_UNREADABLE: Final = "an address that cannot be read"


def discreet(text: str) -> str:
    """Return ``text`` without the keys that are known here, home as ``~``, users as ``…``."""
    text = mask(text)
    try:
        home = str(Path.home())
    except RuntimeError:  # nobody's
        home = ""
    if len(home) > 1:
        # Not where it only begins the name of another folder.
        text = re.sub(re.escape(home) + r"(?=$|[/\\\s,;:.'\")])", "~", text)
    return _HOMES.sub(r"\1…", text)


def shown_address(address: str) -> str:
    """Return ``address`` without user, password and query, any of which may be secret."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return _UNREADABLE
    host = parts.netloc.rpartition("@")[2]
    return (
        f"{parts.scheme}://{host}{parts.path}".rstrip("/") if parts.scheme and host else _UNREADABLE
    )

"""What a report may be given away with: no keys, no names of users."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from agentnb.redaction.secrets import MASK, looks_like_key, mask

__all__ = ["discreet", "shown_address"]

# The folder of another user, or of this one under another name for home.
_HOMES: Final = re.compile(
    r"((?:^|[\s:='\"(])(?:[A-Za-z]:)?[/\\](?:home|Users)[/\\])[^/\\\s,;:'\")]+"
)

# What nobody would call a part of an address, whatever it begins with.
_RANDOM: Final = re.compile(
    r"(?=.*[0-9])(?=.*[A-Za-z]).*[A-Za-z0-9]{16}.*|[0-9A-Fa-f-]{32,}", re.DOTALL
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
    """Return ``address`` without user, password and query, any of which may be secret.

    What looks like a key in its path is masked, whether it is known or not.
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return _UNREADABLE
    host = parts.netloc.rpartition("@")[2]
    if not parts.scheme or not host:
        return _UNREADABLE
    path = "/".join(map(_shown_segment, parts.path.split("/")))
    return mask(f"{parts.scheme}://{host}{path}".rstrip("/"))


def _shown_segment(segment: str) -> str:
    plain = unquote(segment)
    is_key = looks_like_key(plain) or _RANDOM.fullmatch(plain) or mask(plain) != plain
    return MASK if is_key else segment

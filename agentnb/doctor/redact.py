"""Remove keys and user names from a report, so that it can be shared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from agentnb.redaction.secrets import MASK, looks_like_key, mask

__all__ = ["redact_text", "redact_url"]

# Home directories of other users, or of this one under another path.
_HOMES: Final = re.compile(
    r"((?:^|[\s:='\"(])(?:[A-Za-z]:)?[/\\](?:home|Users)[/\\])[^/\\\s,;:'\")]+"
)
# Random segments of a path, whatever their prefix.
_RANDOM: Final = re.compile(
    r"(?=.*[0-9])(?=.*[A-Za-z]).*[A-Za-z0-9]{16}.*|[0-9A-Fa-f-]{32,}", re.DOTALL
)
_INVALID_URL: Final = "an address that cannot be read"


def redact_text(text: str) -> str:
    """Return ``text`` with known keys masked, home as ``~`` and user names as ``…``."""
    text = mask(text)
    try:
        home = str(Path.home())
    except RuntimeError:  # no home directory
        home = ""
    if len(home) > 1:
        # Only whole path segments: another folder's name may start with the same characters.
        text = re.sub(re.escape(home) + r"(?=$|[/\\\s,;:.'\")])", "~", text)
    return _HOMES.sub(r"\1…", text)


def redact_url(address: str) -> str:
    """Return a URL without user, password and query, and with key-like path segments masked."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return _INVALID_URL
    host = parts.netloc.rpartition("@")[2]
    if not parts.scheme or not host:
        return _INVALID_URL
    path = "/".join(map(_redact_segment, parts.path.split("/")))
    return mask(f"{parts.scheme}://{host}{path}".rstrip("/"))


def _redact_segment(segment: str) -> str:
    plain = unquote(segment)
    is_key = looks_like_key(plain) or _RANDOM.fullmatch(plain) or mask(plain) != plain
    return MASK if is_key else segment

"""Sanitize the names, types and addresses of attachments."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from agentnb._support.text import well_formed
from agentnb.redaction.secrets import MASK, is_secret_name, mask

_MAX_NAME: Final = 200
_MAX_SUFFIX: Final = 20
_UNNAMED: Final = "attachment"
# Controls, line ends, bidirectional marks and characters without width.
_INVISIBLE: Final = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\uffff\ufffe"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
    "]+"
)
# Joiners and variation selectors outside of emoji, Persian, Indic and Japanese words.
_STRAY_JOINER: Final = re.compile(
    r"(?<![\u0300-\u1fff\u2010-\ufe0f\ufe20-\U000dffff\U000e0100-\U000e01ef])[\u200c\u200d]"
    r"|[\u200c\u200d](?![\u0300-\u1fff\u2010-\ufdff\ufe20-\U000dffff])"
    r"|(?<![\u2010-\ufdff\ufe20-\U000dffff#*0-9©®])[\ufe0e\ufe0f]"
    r"|(?<![\u2e80-\ufdff\U00020000-\U0003ffff])[\U000e0100-\U000e01ef]"
)
_DRIVE: Final = re.compile(r"[A-Za-z]:")
# Device names of Windows, which it reserves in every folder and with any suffix.
_DEVICE: Final = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\s*(?:[.:].*)?", re.IGNORECASE
)


# Type and subtype, which may be a pattern, and parameters such as a character set.
_MEDIA_TYPE: Final = re.compile(
    r"[\w!#$&.+*^-]{1,127}/[\w!#$&.+*^-]{1,127}(?: *;[ -~]{0,200})?", re.ASCII
)


def is_media_type(text: object) -> bool:
    """Return whether this is a MIME type or a pattern of one."""
    return isinstance(text, str) and _MEDIA_TYPE.fullmatch(text) is not None


def attachment_name(name: str) -> str:
    """Return the file name in ``name``: one line without folders, keys and invisible characters.

    A harmless name stays unchanged, in every script.  One that is too long keeps its suffix, and a
    Windows device gets an underscore.
    """
    text = _INVISIBLE.sub("", well_formed(name))
    # Removing one can leave another without its neighbour.
    while (fewer := _STRAY_JOINER.sub("", text)) != text:
        text = fewer
    last = re.split(r"[\\/]", mask(text))[-1].strip()
    while _DRIVE.match(last):
        last = last[2:].strip()
    if _DEVICE.fullmatch(last):
        last = f"_{last}"
    if len(last) > _MAX_NAME:
        stem, dot, suffix = last.rpartition(".")
        ending = f"{dot}{suffix}" if stem and len(suffix) < _MAX_SUFFIX else ""
        last = last[: _MAX_NAME - len(ending)] + ending
    return last.rstrip(". ").rstrip() or _UNNAMED


def storable_url(url: str) -> str:
    """Return ``url`` without its password, signature or data."""
    if url.lower().startswith("data:"):
        return url.partition(",")[0]
    try:
        parts = urlsplit(well_formed(url))
        query, fragment = _unsigned(parts.query), _unsigned(parts.fragment)
    except ValueError:
        return MASK
    host = parts.netloc.rpartition("@")[2]
    return mask(urlunsplit(parts._replace(netloc=host, query=query, fragment=fragment)))


def _unsigned(query: str) -> str:
    """Return a query with ``***`` for each value that is secret by its name or content."""
    given = parse_qsl(query, keep_blank_values=True)
    kept = [(n, MASK if is_secret_name(n) or "sig" in n.lower() else mask(v)) for n, v in given]
    return query if kept == given else urlencode(kept, safe="*")

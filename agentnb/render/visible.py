"""Make hidden characters of untrusted text visible.

Text of a model or a tool can contain terminal sequences, bidirectional overrides and zero-width
characters, which hide words from the reader or act on the terminal.  All text that agentnb displays
passes one of these functions first.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import Final

from agentnb._support.text import strip_controls
from agentnb.redaction.secrets import mask

_INVISIBLE: Final = re.compile(
    "(["
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "]+)"
)
_TRAILING_INVISIBLE: Final = re.compile(_INVISIBLE.pattern.replace("]+)", "]++)") + r"\Z")
_RIGHT_TO_LEFT: Final = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff]")
_TAG_FLAGS: Final = frozenset(
    "".join(chr(0xE0000 + ord(letter)) for letter in region) + "\U000e007f"
    for region in ("gbeng", "gbsct", "gbwls")
)
_MAX_MARKER_KINDS: Final = 4
_MAX_MARKER_TEXT: Final = 200


def visible(text: str) -> str:
    """Return ``text`` without control sequences, and with invisible characters as ``⟨U+202E⟩``.

    Those that emoji, Arabic, Persian, Hebrew and the Indic scripts need are kept.
    """
    stripped = strip_controls(text)
    # Without the control characters, a key may be whole again.
    text = text if stripped == text else mask(stripped)
    if text.isascii() or not _INVISIBLE.search(text):
        return text
    return _reveal(text, has_rtl=_RIGHT_TO_LEFT.search(text) is not None)


def _reveal(text: str, *, has_rtl: bool) -> str:
    # Alternating visible text and runs of invisible characters.
    pieces = _INVISIBLE.split(text)
    markers: dict[str, str] = {}
    for at in range(1, len(pieces), 2):
        run = pieces[at]
        if _is_legitimate(run, pieces[at - 1][-1:], pieces[at + 1][:1], has_rtl=has_rtl):
            continue
        if run not in markers:
            markers[run] = _marker(run)
        pieces[at] = markers[run]
    return "".join(pieces)


def one_line(text: str, limit: int = 200) -> str:
    """Return ``text`` visible and on one line, cut with "…" after ``limit`` characters."""
    line = " ".join(visible(text[: limit * 4]).split())
    if len(line) > limit or text[limit * 4 :].strip():
        return line[: limit - 1] + "…"
    return line


def _is_legitimate(run: str, before: str, after: str, *, has_rtl: bool) -> bool:
    """Return whether a run of invisible characters is part of a spelling or an emoji."""
    if run in ("\u200c", "\u200d"):
        return before > "\u02ff" and after > "\u02ff"
    if run == "\ufe0f\u200d":
        return before > "\u2000" and after > "\u2000"
    if run in _TAG_FLAGS:
        return before == "\U0001f3f4"
    if len(run) > 1:
        return False
    if "\ufe00" <= run <= "\ufe0f":
        return before > "\u2000" or before in tuple("#*0123456789©®")
    if "\U000e0100" <= run <= "\U000e01ef":
        return before >= "\u2e80"
    if run in "\u200e\u200f\u061c":
        return has_rtl
    if run == "\u00ad":
        return before.isalpha() and after.isalpha()
    return "\u180b" <= run <= "\u180f" and "\u1800" <= before <= "\u18af"


def _marker(run: str) -> str:
    if all("\U000e0020" <= char <= "\U000e007e" for char in run):
        words = "".join(chr(ord(char) - 0xE0000) for char in run[:_MAX_MARKER_TEXT])
        more = "…" if len(run) > _MAX_MARKER_TEXT else ""
        return f"⟨hidden: {words}{more}⟩"
    kinds: list[str] = []
    for char, same in groupby(run):
        if len(kinds) == _MAX_MARKER_KINDS:
            return f"⟨{' '.join(kinds)} … {len(run)} hidden characters⟩"
        count = sum(1 for _ in same)
        kinds.append(f"U+{ord(char):04X}" + (f" ×{count}" if count > 1 else ""))
    return f"⟨{' '.join(kinds)}⟩"


_INCOMPLETE: Final = re.compile(
    r"(?:(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*+\x1b?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*"
    r"|\x1b[ -/]*"
    r"|\r|[\ud800-\udbff])\Z"
)
# Characters that are held back at most; a longer sequence is none.
_MAX_HELD: Final = 4096


class StreamCleaner:
    """`visible` for text that arrives in chunks, as on a terminal.

    An incomplete control sequence is held back until it is complete or too long, and invisible
    characters until the next visible one.
    """

    def __init__(self) -> None:
        self._incomplete = ""
        self._invisible = ""
        self._before = ""
        self._has_rtl = False

    def feed(self, text: str) -> str:
        """Return the text that can be displayed by now and was not returned before."""
        text = self._incomplete + text
        self._incomplete = ""
        match = _INCOMPLETE.search(text)
        if match is not None and len(match[0]) <= _MAX_HELD:
            text, self._incomplete = text[: match.start()], match[0]
        text = self._invisible + strip_controls(text)
        self._invisible = ""
        if (last := _TRAILING_INVISIBLE.search(text)) and len(last[0]) <= _MAX_HELD:
            text, self._invisible = text[: last.start()], last[0]
        return self._make_visible(text)

    def flush(self) -> str:
        """Return the text held back, at the end of the stream."""
        text = self._invisible + strip_controls(self._incomplete)
        self._incomplete = self._invisible = ""
        return self._make_visible(text)

    def _make_visible(self, text: str) -> str:
        if not text:
            return ""
        self._has_rtl |= _RIGHT_TO_LEFT.search(text) is not None
        result = _reveal(self._before + text, has_rtl=self._has_rtl)[len(self._before) :]
        self._before = "" if _INVISIBLE.match(text[-1]) else text[-1]
        return result

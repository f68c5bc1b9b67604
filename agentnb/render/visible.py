"""What a reader must be able to see: text from outside, without what acts unseen.

Text of a model or a tool can hold terminal sequences, bidirectional overrides and characters of no
width, which hide words from the reader or act on the terminal.  Everything that agentnb shows goes
through one of these functions first.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import Final

from agentnb._support.text import control_signs, strip_controls, well_formed
from agentnb.redaction.secrets import mask

__all__ = [
    "StreamCleaner",
    "control_signs",
    "one_line",
    "strip_controls",
    "visible",
    "well_formed",
]

_INVISIBLE: Final = re.compile(
    "(["
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "]+)"
)
_LAST_UNSEEN: Final = re.compile(_INVISIBLE.pattern.replace("]+)", "]++)") + r"\Z")
_RIGHT_TO_LEFT: Final = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff]")
_TAG_FLAGS: Final = frozenset(
    "".join(chr(0xE0000 + ord(letter)) for letter in region) + "\U000e007f"
    for region in ("gbeng", "gbsct", "gbwls")
)
_MARKER_KINDS: Final = 4
_MARKER_WORDS: Final = 200


def visible(text: str) -> str:
    """Return ``text`` without controls, and with the unseen in it spelled out: ``⟨U+202E⟩``.

    What emoji, Arabic, Persian, Hebrew and the Indic scripts need stays as it is.
    """
    stripped = strip_controls(text)
    # What is left out may have split a key.
    text = text if stripped == text else mask(stripped)
    if text.isascii() or not _INVISIBLE.search(text):
        return text
    return _revealed(text, marks_belong=_RIGHT_TO_LEFT.search(text) is not None)


def _revealed(text: str, *, marks_belong: bool) -> str:
    # Text and runs of the unseen in turn.
    pieces = _INVISIBLE.split(text)
    markers: dict[str, str] = {}
    for at in range(1, len(pieces), 2):
        run = pieces[at]
        if _belongs(run, pieces[at - 1][-1:], pieces[at + 1][:1], marks_belong=marks_belong):
            continue
        if run not in markers:
            markers[run] = _marker(run)
        pieces[at] = markers[run]
    return "".join(pieces)


def one_line(text: str, limit: int = 200) -> str:
    """Return ``text`` visible and on one line, cut after ``limit`` characters.

    What is cut off is marked, also where the characters before it are hardly any to see.
    """
    line = " ".join(visible(text[: limit * 4]).split())
    if len(line) > limit or text[limit * 4 :].strip():
        return line[: limit - 1] + "…"
    return line


def _belongs(run: str, before: str, after: str, *, marks_belong: bool) -> bool:
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
        return marks_belong
    if run == "\u00ad":
        return before.isalpha() and after.isalpha()
    return "\u180b" <= run <= "\u180f" and "\u1800" <= before <= "\u18af"


def _marker(run: str) -> str:
    if all("\U000e0020" <= char <= "\U000e007e" for char in run):
        words = "".join(chr(ord(char) - 0xE0000) for char in run[:_MARKER_WORDS])
        more = "…" if len(run) > _MARKER_WORDS else ""
        return f"⟨hidden: {words}{more}⟩"
    kinds: list[str] = []
    for char, same in groupby(run):
        if len(kinds) == _MARKER_KINDS:
            return f"⟨{' '.join(kinds)} … {len(run)} hidden characters⟩"
        count = sum(1 for _ in same)
        kinds.append(f"U+{ord(char):04X}" + (f" ×{count}" if count > 1 else ""))
    return f"⟨{' '.join(kinds)}⟩"


class StreamCleaner:
    """`visible` for text that arrives in pieces, as on a terminal.

    A sequence that has begun is held back until it is whole, or too long to be one, and unseen
    characters until it is known what follows them.
    """

    _LONGEST: Final = 4096

    def __init__(self) -> None:
        self._held = ""
        self._unseen = ""
        self._before = ""
        self._marks_belong = False

    def feed(self, text: str) -> str:
        """Return what of the text so far can be shown and was not returned before."""
        text = self._held + text
        self._held = ""
        start = _unfinished(text)
        if start is not None and len(text) - start <= self._LONGEST:
            text, self._held = text[:start], text[start:]
        text = self._unseen + strip_controls(text)
        self._unseen = ""
        if (last := _LAST_UNSEEN.search(text)) and len(last[0]) <= self._LONGEST:
            text, self._unseen = text[: last.start()], last[0]
        return self._show(text)

    def flush(self) -> str:
        """Return what was held back; nothing follows."""
        text = self._unseen + strip_controls(self._held)
        self._held = self._unseen = ""
        return self._show(text)

    def _show(self, text: str) -> str:
        if not text:
            return ""
        self._marks_belong |= _RIGHT_TO_LEFT.search(text) is not None
        shown = _revealed(self._before + text, marks_belong=self._marks_belong)
        shown = shown[len(self._before) :]
        self._before = "" if _INVISIBLE.match(text[-1]) else text[-1]
        return shown


_BEGUN: Final = re.compile(
    r"(?:(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*+\x1b?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*"
    r"|\x1b[ -/]*"
    r"|\r|[\ud800-\udbff])\Z"
)


def _unfinished(text: str) -> int | None:
    match = _BEGUN.search(text)
    return None if match is None else match.start()

"""Short texts from outside, such as ids and names, so that printing one commands no terminal."""

from __future__ import annotations

import re
from typing import Final

# Of each control what Unicode has to write it with; of a C1 control the two characters that mean
# the same to a terminal.  Tabs and line ends are no signs: they are what text is made of.
_SIGNS: Final = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n\r"},
    0x7F: "\u2421",
    **{code: f"\u241b{chr(code - 0x40)}" for code in range(0x80, 0xA0)},
}
_SIGNED: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# Marks, embeddings, overrides and isolates, which change the order of what a terminal shows.
_BIDI: Final = {
    code: f"⟨U+{code:04X}⟩"
    for code in (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
# A name is one line.
_LINE_SIGNS: Final = {
    **{ord(char): chr(0x2400 + ord(char)) for char in "\t\n\r"},
    **{code: f"⟨U+{code:04X}⟩" for code in (0x2028, 0x2029)},
}
# It has what follows written over what a terminal shows on the line.
_RETURN: Final = re.compile(r"\r(?!\n)")
# Operating-system commands and their like, up to their terminator; then control sequences (colours,
# cursor moves); then the two-character escapes.  Both spellings: ESC x, and the single C1 byte.
# What begins a sequence ends the search for the end of another, so that the time stays linear.
_SEQUENCE: Final = re.compile(
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*+(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[ -/]*[0-Z\\^-~]"
)
_LINE_ENDS: Final = re.compile(r"\r\n?|[\x85\u2028\u2029]")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_ACTING: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")

_NOT_IN_IDS: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def well_formed(text: str) -> str:
    """Return ``text`` as it can be encoded: split surrogate pairs joined, lone ones replaced.

    A JSON escape can put lone surrogates into a str.  The length in UTF-16 units stays.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def control_signs(text: str) -> str:
    """Return ``text`` with a sign for each control in it: ``␛[31m``, ``␀``; nothing is left out.

    Tabs and line ends stay what they are.  For data that is computed with and printed as it is,
    where a terminal must take nothing for a command.
    """
    text = well_formed(text)
    return text.translate(_SIGNS) if _SIGNED.search(text) else text


def strip_controls(text: str) -> str:
    """Return ``text`` without terminal sequences and control characters.

    Tabs stay, and every kind of line end becomes a newline.
    """
    text = well_formed(text)
    if not _ACTING.search(text):
        return text
    return _CONTROLS.sub("", _LINE_ENDS.sub("\n", _SEQUENCE.sub("", text)))


def printable(text: str) -> str:
    """Return ``text`` with `control_signs`, and each bidirectional control as ``⟨U+202E⟩``.

    A carriage return is a sign, too, where it is not part of a line end.
    """
    if text.isascii() and text.isprintable():
        return text
    text = control_signs(text).translate(_BIDI)
    return _RETURN.sub("\u240d", text) if "\r" in text else text


def name_signs(text: str) -> str:
    """Return a name as `printable` text of one line: tabs and line ends are signs, too."""
    if text.isprintable() and text.isascii():
        return text
    return printable(text).translate(_LINE_SIGNS)


def printable_or_none(text: str | None) -> str | None:
    """Return `printable` text, and None for None."""
    return None if text is None else printable(text)


def identifier_or_none(text: str | None) -> str | None:
    """Return an id unchanged, and None for one with control characters: nothing can go by it."""
    return None if text is None or _NOT_IN_IDS.search(text) else text


def escaped(text: str) -> str:
    """Return ``text`` with each character that cannot be printed as Python escapes it."""
    return text if text.isprintable() else "".join(map(_escape, text))


def _escape(char: str) -> str:
    if char.isprintable() or char in "\n\t\u00a0":
        return char
    return char.encode("unicode_escape").decode()


def shortened(text: str, limit: int) -> str:
    """Return ``text``, truncated to ``limit`` characters and a note on the rest."""
    more = len(text) - limit
    return text if more <= 0 else f"{text[:limit]}… ({more:,} more characters)"

"""Text cut as a language model streams it, and an estimate of its tokens."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["count_tokens", "pieces"]

_WORD: Final = re.compile(r"\S+\s*|\s+")
_CHARACTERS_PER_TOKEN: Final = 4


def pieces(text: str) -> list[str]:
    """Return ``text`` cut into words, each with the white space that follows it."""
    return _WORD.findall(text)


def count_tokens(characters: int) -> int:
    """Return the estimated tokens of a text of so many characters, rounded up."""
    return -(-characters // _CHARACTERS_PER_TOKEN)

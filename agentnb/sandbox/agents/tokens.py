"""Cutting text as a language model streams it, and guessing how many tokens it is."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["count_tokens", "pieces"]

_WORD: Final = re.compile(r"\S+\s*|\s+")
_CHARACTERS_PER_TOKEN: Final = 4


def pieces(text: str) -> list[str]:
    """Return ``text`` cut into words, each with the white space that follows it."""
    return _WORD.findall(text)


def count_tokens(text: str) -> int:
    """Return an estimate of the tokens in ``text``: one for every four characters begun."""
    return -(-len(text) // _CHARACTERS_PER_TOKEN)

"""What the rows are measured with, made by a seed: another one gives other inputs of the kind."""

from __future__ import annotations

import json
import random
from typing import Final

__all__ = ["SEED", "WIDTH", "encoded_texts", "event", "sentences", "texts"]

SEED: Final = 1
# Characters of a text.
WIDTH: Final = 5
_LETTERS: Final = "aabcdeeefghiilmnnooprsttuuvwy      "
# What JSON has to escape, and what UTF-8 takes several bytes for: one in fifty texts has either.
_RARE: Final = '"\\\n\téß€–日本'
_DIFFERENT: Final = 5000


def texts(seed: int) -> list[str]:
    """Return some thousand fragments of an answer, of `WIDTH` characters each."""
    chance = random.Random(seed)
    made: list[str] = []
    for _ in range(_DIFFERENT):
        text = chance.choices(_LETTERS, k=WIDTH)
        if chance.random() < 0.04:
            text[chance.randrange(WIDTH)] = chance.choice(_RARE)
        made.append("".join(text))
    return made


def encoded_texts(seed: int) -> list[str]:
    """Return the same as JSON writes them, without the quotes around."""
    return [json.dumps(text, ensure_ascii=False)[1:-1] for text in texts(seed)]


def event(text: str) -> bytes:
    """Return an event of about 55 bytes for a text of `WIDTH` characters, as JSON writes it."""
    return f'data: {{"type": "text_delta", "text": "{text}"}}\n\n'.encode()


def sentences(seed: int, count: int) -> list[str]:
    """Return prompts of four to twelve words, no two of them the same."""
    chance = random.Random(seed)
    words = [word.strip() for word in texts(seed) if word.strip().isalpha()]
    return [
        f"{' '.join(chance.choices(words, k=chance.randint(4, 12)))} {number}?"
        for number in range(count)
    ]

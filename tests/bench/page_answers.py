"""Answers as agents write them, made by a seed: whole ones, and single blocks of one kind."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

WORDS: Final = (
    "revenue margin growth quarter segment services cash flow guidance outlook analysts market"
    " share price demand supply costs capacity orders backlog customers region currency the a of"
    " in and to for over was were rose fell held expected reported compared mostly partly while"
)
NAMES: Final = "total rate before after parts index figure share"


class Writer:
    """Writes Markdown; the same seed gives the same text."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._known = WORDS.split()
        self._names = NAMES.split()

    def answer(self, length: int) -> str:
        """Return an answer of ``length`` characters, of blocks of all kinds."""
        kinds: tuple[Callable[[], str], ...] = (
            *[self._paragraph] * 6,
            *[self._list] * 3,
            self._heading,
            self._heading,
            self._table,
            self._code,
            self._quote,
        )
        return self._filled(length, lambda: self._random.choice(kinds)(), "\n\n")

    def items(self, length: int) -> str:
        """Return one list."""
        return self._filled(length, lambda: f"- {self._sentence()}", "\n")

    def code(self, length: int) -> str:
        """Return one block of code, which is not closed."""
        return self._filled(length, self._line, "\n", begin="```python\n")

    def prose(self, length: int) -> str:
        """Return one paragraph on one line."""
        return self._filled(length, self._sentence, " ")

    def _filled(self, length: int, part: Callable[[], str], between: str, begin: str = "") -> str:
        parts: list[str] = []
        size = 0
        while size < length:
            parts.append(part())
            size += len(parts[-1]) + len(between)
        return (begin + between.join(parts))[:length]

    def _words(self, least: int, most: int) -> str:
        return " ".join(self._random.choices(self._known, k=self._random.randint(least, most)))

    def _sentence(self) -> str:
        pieces = [self._words(3, 9).capitalize()]
        for _ in range(self._random.randint(0, 2)):
            pieces += [self._marked(), self._words(2, 8)]
        return " ".join(pieces) + self._random.choice((".", ".", ".", "?", ":"))

    def _marked(self) -> str:
        word = self._words(1, 3)
        number = f"{self._random.uniform(1, 99):.1f} %"
        kinds = (f"**{word}**", f"*{word}*", f"`{self._name()}`", f"**{number}**", number)
        link = f"[{word}](https://example.org/{self._name()})"
        return self._random.choice((*kinds, *kinds, link))

    def _name(self) -> str:
        return "_".join(self._random.choices(self._names, k=2))

    def _paragraph(self) -> str:
        return " ".join(self._sentence() for _ in range(self._random.randint(2, 7)))

    def _heading(self) -> str:
        return "#" * self._random.randint(2, 3) + " " + self._words(2, 5).capitalize()

    def _list(self) -> str:
        count = self._random.randint(3, 8)
        if self._random.random() < 0.4:
            return "\n".join(f"{n}. {self._sentence()}" for n in range(1, count + 1))
        return "\n".join(
            "  " * (n > 0 and self._random.random() < 0.2) + f"- {self._sentence()}"
            for n in range(count)
        )

    def _table(self) -> str:
        rows = [
            f"| {self._words(1, 2)} | {self._random.uniform(1, 9999):,.1f} | {self._words(1, 3)} |"
            for _ in range(self._random.randint(3, 9))
        ]
        return "\n".join(("| Segment | Revenue | Note |", "|---|---:|---|", *rows))

    def _code(self) -> str:
        lines = (self._line() for _ in range(self._random.randint(3, 15)))
        return "\n".join(("```python", *lines, "```"))

    def _line(self) -> str:
        indent = "    " * self._random.randint(0, 2)
        left, right = self._name(), self._name()
        return indent + self._random.choice(
            (
                f"{left} = ({right} - {self._random.randint(1, 99)}) / {right}",
                f"if {left} > {right}:",
                f'print(f"{{{left}}} {self._words(1, 3)}")',
                f"# {self._words(3, 8)}",
                f"for {left} in range({self._random.randint(2, 500)}):",
            )
        )

    def _quote(self) -> str:
        return "\n".join(f"> {self._sentence()}" for _ in range(self._random.randint(1, 3)))

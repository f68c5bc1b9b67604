"""Texts of 100 kB that repeat little, which is what makes parsers slow, and what they take."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final

from agentnb.event.transcript import fold
from agentnb.event.types import RunFinished, TextDelta
from agentnb.render import RunView, to_html, to_markdown, to_text

__all__ = ["SIZE", "Shapes", "slowest"]

SIZE: Final = 100_000
_ATOMS: Final = (
    *"<>&![]()`~\\*_|$ \n\t-+#:=1.^\"'{}%@a/;",
    *(" \n", "a ", "> ", "- ", "1. ", "    ", "```", "~~~", "---", "===", "|-|", "\\|", "# "),
    *(
        "a\n",
        "\n\n",
        "\n> ",
        "\n- ",
        "\n    ",
        "\n```\n",
        "\n# ",
        "\n\t",
        "  \n",
        "\\\n",
        "|a|b|\n|-|-|\n",
    ),
    *(
        "[a]",
        "[a][b]",
        "[^1]",
        "[a]: x",
        "](",
        "]:",
        "][",
        "![",
        "[x](http://a.b)",
        "![x](y)",
        "[x](y:z)",
    ),
    *("<http://a.b>", "http://a.b", "ftp://", "www.a.b", "a@b.cd", "xmpp:a@b.c", "mailto:", "//a"),
    *("<b>", "</b>", "<!--", "-->", "&amp;", "&#1;", "&#", "&#x202e;", "<a href=x>", "!\\["),
    *("\u202e", "\u200b", "\u200d", "\u00ad", "\ufe0f", "\u200e", "\u05d0", "\U000e0041", "\u2066"),
    *("\x1b[", "\x1b]", "\x00", "\r", "\x85", "\u2028", "\U0001f600", "\u4e2d", "\ud800"),
    *("`a`", "``", "*a*", "**a**", "~~a~~", "_a_", "\\*", "$$", "\\begin{a}", "\\end{a}", "\\\\("),
    *(
        "%%",
        ":::",
        "{=",
        "{{<",
        "`r ",
        "\\href",
        "\\url{a}",
        "javascript:x",
        "mermaid",
        "lorem ipsum ",
    ),
)
_OUTPUTS: Final[dict[str, Callable[[RunView], str]]] = {
    "static HTML": to_html,
    "standalone HTML": lambda view: to_html(view, standalone=True),
    "Markdown": to_markdown,
    "text": to_text,
}


class Shapes:
    """Makes texts of few atoms, repeated or mixed; the same ``seed`` makes the same."""

    def __init__(self, *, seed: int) -> None:
        self._random = random.Random(seed)

    def make(self) -> tuple[str, str]:
        """Return a text and how it is made."""
        match self._random.randrange(4):
            case 0:
                unit = self._atoms(3)
                return _filled(unit, SIZE), repr(unit)
            case 1:
                head, unit, end = self._atoms(3), self._atoms(2), self._atoms(2)
                text = head + _filled(unit, SIZE - len(head) - len(end)) + end
                return text, f"{head!r}, {unit!r} repeated, {end!r}"
            case 2:
                some = self._random.sample(_ATOMS, self._random.randint(2, 8))
                return "".join(self._random.choices(some, k=SIZE))[:SIZE], f"a mixture of {some!r}"
            case _:
                units = [self._atoms(3) for _ in range(self._random.randint(2, 8))]
                return "".join(_filled(unit, SIZE // len(units)) for unit in units), repr(units)

    def _atoms(self, most: int) -> str:
        return "".join(self._random.choices(_ATOMS, k=self._random.randint(1, most)))


def slowest(text: str) -> tuple[float, str]:
    """Return the seconds of CPU that the slowest output of a run with this answer takes."""
    view = RunView(
        transcript=fold([TextDelta(text), RunFinished()]), title="a", platform="b", prompt="c"
    )
    return max(
        (min(_seconds(make, view) for _ in range(2)), name) for name, make in _OUTPUTS.items()
    )


def _seconds(make: Callable[[RunView], str], view: RunView) -> float:
    start = time.process_time()
    make(view)
    return time.process_time() - start


def _filled(unit: str, size: int) -> str:
    return (unit * (size // len(unit) + 1))[:size]

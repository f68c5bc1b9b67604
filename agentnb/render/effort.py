"""A bound on the work of a Markdown parser, for all texts of a document together.

The parser's time grows with the square of some input, such as brackets that match nothing, and
even where it is linear, lines of two letters cost fifty times as much as prose.  So its steps are
counted while blocks are parsed, and estimated for each passage before it is parsed.  The counts
are the same on every machine.  Text that the budget does not cover becomes plain text.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock

    _BlockRule = Callable[[StateBlock, int, int, bool], bool]

__all__ = ["Effort", "TooMuchWorkError", "bounded", "is_plain", "is_readable"]

# In units of about a microsecond.
_BUDGET: Final = 115_000
_CHECK: Final = 6
_TOKEN: Final = 3.3
_CELL: Final = 10
_LINE: Final = 1.5
_DEFINITION: Final = 15
_LINK: Final = 40
_AUTOLINK: Final = 20
_QUOTED: Final = 8
_BREAK: Final = 2
_DELIMITER: Final = 2.5
_STOP: Final = 1.2
_CODE: Final = 1.5
_TAG: Final = 7
_EMPHASIS: Final = 4
_INNER: Final = 5
_PASSAGE: Final = 2
_SCANNED: Final = 0.25
_SCANNED_FIRST: Final = 1.5

# Where inline syntax may begin, and where the parser stops all the same to look for it.
_DELIMITERS: Final = re.compile(r"[\n!&*<\[\\\]_`~]")
_STOPS: Final = re.compile(r"[#$%+\-:=>@^{}]")
_AUTOLINKS: Final = re.compile(r"<[\w.+-]{1,100}[:@]")
_BRACKETS: Final = re.compile(r"[\[\]]")
_MOST_BRACKETS: Final = 500
_DEEPEST: Final = 30


class TooMuchWorkError(Exception):
    """A text that takes more work than is done for one."""


class Effort:
    """Adds up the work on one document, over all texts in it and all times that each is parsed.

    Raises:
        TooMuchWorkError: the budget is spent.
    """

    def __init__(self, budget: float = _BUDGET) -> None:
        self._left = budget
        self._tokens = 0

    def start(self, text: str) -> None:
        """Take what it costs to go over the lines of a text, before it is parsed."""
        self._tokens = 0
        self.spend(
            _LINE * text.count("\n") + _QUOTED * text.count("\n>") + _DEFINITION * text.count("]:")
        )

    def spend(self, units: float) -> None:
        """Take this much from the budget."""
        self._left -= units
        if self._left < 0:
            raise TooMuchWorkError

    def spend_block(self, tokens: int) -> None:
        """Take one look at a line, and what has come to the parser's ``tokens`` since the last."""
        self.spend(_CHECK + _TOKEN * max(0, tokens - self._tokens))
        self._tokens = tokens

    def spend_passage(self, passage: str) -> None:
        """Take what it costs to parse one passage: a paragraph, a heading, a cell of a table."""
        stops = len(_STOPS.findall(passage))
        self.spend(_PASSAGE + _STOP * stops + _DELIMITER * len(_DELIMITERS.findall(passage)))
        opened: list[int] = []
        units: float = 0
        count = 0
        for count, match in enumerate(_DELIMITERS.finditer(passage), 1):
            if match[0] == "[":
                opened.append(count)
            elif match[0] == "]" and opened:
                # What is in brackets is parsed once more, as the text of a link.
                units += _INNER * (count - opened.pop())
        if opened:
            # From a bracket that nothing closes the parser looks on to the end, and remembers that.
            units += _SCANNED_FIRST * (count - opened[0] + stops)
            units += _SCANNED * sum(count - at for at in opened)
        units += (
            _BREAK * passage.count("\n") + _CODE * passage.count("`") + _TAG * passage.count("<")
        )
        units += _EMPHASIS * sum(map(passage.count, "*_~"))
        units += _LINK * (passage.count("](") + passage.count("]["))
        units += _AUTOLINK * len(_AUTOLINKS.findall(passage))
        self.spend(units)


def is_plain(passage: str) -> bool:
    """Tell whether a passage is one line of text without inline syntax."""
    return _DELIMITERS.search(passage) is None


def is_readable(passage: str) -> bool:
    """Tell whether links are looked for in a passage; not among too many or too deep brackets."""
    depth = deepest = 0
    for match in _BRACKETS.finditer(passage):
        depth = max(0, depth + (1 if match[0] == "[" else -1))
        deepest = max(deepest, depth)
    return deepest < _DEEPEST and passage.count("[") <= _MOST_BRACKETS


def bounded(parser: MarkdownIt) -> MarkdownIt:
    """Return the parser, which now spends from the `Effort` in the environment that it is given."""
    from markdown_it.rules_block import fence, table

    # Every line that may begin or end a block is tried for a fence.
    chains = ["paragraph", "reference"]
    parser.block.ruler.at("table", partial(_counted_table, table), {"alt": chains})
    chains = [*chains, "blockquote", "list"]
    parser.block.ruler.at("fence", partial(_counted, fence), {"alt": chains})
    return parser


def _counted(rule: _BlockRule, state: StateBlock, start: int, end: int, silent: bool) -> bool:
    _effort(state.env).spend_block(len(state.tokens))
    return rule(state, start, end, silent)


def _counted_table(rule: _BlockRule, state: StateBlock, start: int, end: int, silent: bool) -> bool:
    if not silent:
        # One row may have thousands of cells.
        columns = state.src.count("|", state.bMarks[start], state.eMarks[start])
        _effort(state.env).spend(_CELL * columns)
    return rule(state, start, end, silent)


def _effort(env: Any) -> Effort:
    effort: Effort = env["effort"]
    return effort

"""Limit the work of the Markdown parser on one document.

The parser's time is quadratic for some input, such as unmatched brackets, and even where it is
linear, lines of two letters cost fifty times as much as prose.  So the steps of block parsing are
counted, and the cost of each inline passage is estimated before it is parsed; both are the same on
every machine.  Text beyond the budget is rendered as plain text.
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

# Costs in units of about a microsecond.
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

# Characters at which inline syntax may begin, and others at which the parser stops as well.
_DELIMITERS: Final = re.compile(r"[\n!&*<\[\\\]_`~]")
_STOPS: Final = re.compile(r"[#$%+\-:=>@^{}]")
_AUTOLINKS: Final = re.compile(r"<[\w.+-]{1,100}[:@]")
_BRACKETS: Final = re.compile(r"[\[\]]")
_MAX_BRACKETS: Final = 500
_MAX_DEPTH: Final = 30
_MAX_NESTING: Final = 60


class ParseBudgetError(Exception):
    """The text takes more work than the budget has left."""


class ParseBudget:
    """Work that is left for one document: all its texts, each time that one is parsed.

    All methods raise `ParseBudgetError` when it is spent.
    """

    def __init__(self, budget: float = _BUDGET) -> None:
        self._left = budget
        self._tokens = 0

    def start(self, text: str) -> None:
        """Spend the cost of going over the lines of a text, before it is parsed."""
        self._tokens = 0
        self.spend(
            _LINE * text.count("\n") + _QUOTED * text.count("\n>") + _DEFINITION * text.count("]:")
        )

    def spend(self, units: float) -> None:
        """Subtract the cost of some work."""
        self._left -= units
        if self._left < 0:
            raise ParseBudgetError

    def spend_block(self, tokens: int) -> None:
        """Spend the cost of testing a line, and of the parser's tokens since the last call."""
        self.spend(_CHECK + _TOKEN * max(0, tokens - self._tokens))
        self._tokens = tokens

    def spend_passage(self, passage: str) -> None:
        """Spend the cost of parsing the inline syntax of a paragraph, heading or table cell."""
        stops = len(_STOPS.findall(passage))
        self.spend(_PASSAGE + _STOP * stops + _DELIMITER * len(_DELIMITERS.findall(passage)))
        open_brackets: list[int] = []
        units: float = 0
        count = 0
        for count, match in enumerate(_DELIMITERS.finditer(passage), 1):
            if match[0] == "[":
                open_brackets.append(count)
            elif match[0] == "]" and open_brackets:
                # The text in brackets is parsed again as the label of a link.
                units += _INNER * (count - open_brackets.pop())
        if open_brackets:
            # After an unmatched bracket the parser scans to the end, and caches the result.
            units += _SCANNED_FIRST * (count - open_brackets[0] + stops)
            units += _SCANNED * sum(count - at for at in open_brackets)
        units += (
            _BREAK * passage.count("\n") + _CODE * passage.count("`") + _TAG * passage.count("<")
        )
        units += _EMPHASIS * sum(map(passage.count, "*_~"))
        units += _LINK * (passage.count("](") + passage.count("]["))
        units += _AUTOLINK * len(_AUTOLINKS.findall(passage))
        self.spend(units)


def has_no_syntax(passage: str) -> bool:
    """Return whether a passage is one line of text without inline syntax."""
    return _DELIMITERS.search(passage) is None


def is_parsable(passage: str) -> bool:
    """Return whether a passage has few enough brackets to look for links."""
    depth = deepest = 0
    for match in _BRACKETS.finditer(passage):
        depth = max(0, depth + (1 if match[0] == "[" else -1))
        deepest = max(deepest, depth)
    return deepest < _MAX_DEPTH and passage.count("[") <= _MAX_BRACKETS


def limited_parser(**options: Any) -> MarkdownIt:
    """Return a parser that spends from the `ParseBudget` in ``env["budget"]``.

    It parses CommonMark with tables and strikethrough, and without HTML.
    """
    # The import takes 50 ms, which a session that renders nothing saves.
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import fence, table

    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": _MAX_NESTING, **options})
    parser.enable(["table", "strikethrough"])
    # The parser tries a fence at every line that may begin or end a block.
    chains = ["paragraph", "reference"]
    parser.block.ruler.at("table", partial(_counted_table, table), {"alt": chains})
    chains = [*chains, "blockquote", "list"]
    parser.block.ruler.at("fence", partial(_counted, fence), {"alt": chains})
    return parser


def _counted(rule: _BlockRule, state: StateBlock, start: int, end: int, silent: bool) -> bool:
    state.env["budget"].spend_block(len(state.tokens))
    return rule(state, start, end, silent)


def _counted_table(rule: _BlockRule, state: StateBlock, start: int, end: int, silent: bool) -> bool:
    if not silent:
        # One row may have thousands of cells.
        columns = state.src.count("|", state.bMarks[start], state.eMarks[start])
        state.env["budget"].spend(_CELL * columns)
    return rule(state, start, end, silent)

"""One source line of an agent's Markdown, and how its active syntax is escaped."""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from agentnb.render.markdown_code import RELATIVE, as_entities, inline_code, is_harmless_code
from agentnb.render.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

_SAFE_SCHEME: Final = r"[ \t]*<?(?i:https?://|mailto:)"
# Syntax that may act outside code.  A bracket after a backslash opens a tag in renderers without
# that escape; the macros are those with which a formula loads or links.
_ACTIVE: Final = re.compile(
    r"(?P<tag>\\?<)(?=[A-Za-z/!?])"
    r"|(?P<image>(?<!!)!++\[)"
    r"|(?P<entity>&#?\w{1,32};)"
    r"|(?<!\\)(?:\\\\)*(?P<macro>\\)"
    r"(?=(?:href|url|includegraphics|html(?:Class|Id|Style|Data)|require|cssId|class|style)"
    r"(?![A-Za-z]))"
    r"|(?P<bracket>\[)"
    # Renderers differ in what they take for a link.  A definition's target is one word, perhaps
    # with a title; so is the text of a one-word footnote.
    rf"|(?P<target>\](?=\((?!{_SAFE_SCHEME})))"
    rf"|(?P<definition>\](?=:)(?!:{_SAFE_SCHEME})"
    r"(?!:[ \t]*(?![<`\s])\S{1,200}[ \t]+[^\s\"'(]))"
    r"|(?P<scheme>(?<=[Ff][Tt][Pp]):(?=//))"
    rf"|(?P<relative>{RELATIVE})"
)
_MAY_BE_ACTIVE: Final = re.compile(r"[<&\\[\]/]")  # each match has one of these
_ADDRESS: Final = re.compile(r"(?i:https?://|www\.)[^\s<>]*\Z")
_LOOK_BACK: Final = 300
# In some renderers a definition's label spans lines, blank ones and fences included.
_LEAD: Final = re.compile(r"[ \t>*+-]*(?:\d+[.)][ \t>*+-]*)*")
_LABEL: Final = re.compile(r"\[(?:[^\\\[\]]|\\.)*[\[\]]")
# In some renderers a definition may stand within a paragraph; a footnote is none.
_DEFINES: Final = re.compile(rf"\[[^\]\n^][^\]\n]*\]:(?!{_SAFE_SCHEME})")


class Span(NamedTuple):
    """Range of inline syntax in a passage, and whether its address is safe."""

    kind: str
    start: int
    end: int
    is_safe: bool


class SourceLine:
    """Spans of one line, as pairs of first column and end.

    ``cut`` is the column after which a fence's info string is removed, ``parsed`` the ranges that
    the parser has seen, ``kept`` code and links to leave as they are, ``torn`` the columns of code
    spans that continue on other lines, ``images`` and ``bad_links`` columns of safe images and of
    unsafe links.
    """

    __slots__ = ("bad_links", "code", "cut", "images", "is_code", "kept", "parsed", "torn")

    def __init__(self, *, is_code: bool = False, cut: int | None = None) -> None:
        self.is_code = is_code
        self.cut = cut
        self.parsed: list[tuple[int, int]] = []
        self.kept: list[tuple[int, int]] = []
        self.code: list[tuple[int, int]] = []
        self.torn: set[int] = set()
        self.images: set[int] = set()
        self.bad_links: set[int] = set()

    def add(self, span: Span, column: int, *, is_whole: bool) -> None:
        """Add a span that begins in this column; ``is_whole`` if it also ends in this line."""
        if span.kind == "link" and not span.is_safe:
            self.bad_links.add(column)
        elif span.kind == "image" and span.is_safe:
            self.images.add(column)
        elif span.kind == "autolink" and span.is_safe and is_whole:
            self.kept.append((column, column + span.end - span.start))

    def add_code(self, span: Span, shift: int, first: int, end: int) -> None:
        """Add the part of a code span between two positions of the passage.

        ``shift`` converts positions to columns.
        """
        start, stop = max(span.start, first) - shift, min(span.end, end) - shift
        if start < stop:
            self.kept.append((start, stop))
            self.code.append((start, stop))
        if span.start < first or span.end > end:
            self.torn.add(start)

    def with_safe_code(self, text: str) -> str:
        """Return the line with code spans as HTML, unless they are harmless as text."""
        if not self.code:
            return text
        out: list[str] = []
        last = 0
        for start, end in sorted(self.code):
            code = text[start:end]
            inner = code.strip("`")
            if inner.strip() and inner[0] == inner[-1] == " ":
                inner = inner[1:-1]
            is_harmless = is_harmless_code(inner, is_inline=True) and not code.startswith("```")
            is_kept = is_harmless and start not in self.torn
            out += [text[last:start], code if is_kept else inline_code(inner)]
            last = end
        return "".join([*out, text[last:]])

    def escaped(self, text: str) -> str:
        """Return the line with active syntax escaped by backslashes and entities."""
        if self.is_code:
            return text[: self.cut]
        if not _MAY_BE_ACTIVE.search(text):
            return text
        kept, parsed = sorted(self.kept), sorted(self.parsed)

        def escape(match: re.Match[str]) -> str:
            kind = str(match.lastgroup)
            source, at = match[0], match.start(kind)
            if _is_within(at, kept):
                return source
            match kind:
                case "tag":
                    return "&lt;"
                case "image":
                    return "[image: " if match.end() - 2 in self.images else r"\[image: "
                case "entity":
                    char = html.unescape(source)
                    return source if visible(char) == char else f"&amp;{source[1:]}"
                case "macro":
                    return source + "\\"
                case "bracket":
                    is_link = _is_within(at, parsed) and at not in self.bad_links
                    is_link = is_link and not _DEFINES.match(text, at)
                    if _LEAD.fullmatch(text, 0, at) and not _LABEL.match(text, at):
                        is_link = False
                    return source if is_link or _is_escaped(text, at) else r"\["
                case "relative":
                    before = text[max(0, at - _LOOK_BACK) : at]
                    return "%2F" if _ADDRESS.search(before) else as_entities(source)
                case _:
                    return as_entities(source)

        return _ACTIVE.sub(escape, text)


def _is_within(at: int, spans: Sequence[tuple[int, int]]) -> bool:
    number = bisect_right(spans, at, key=itemgetter(0))
    return number > 0 and at < spans[number - 1][1]


def _is_escaped(text: str, at: int) -> bool:
    first = at
    while first and text[first - 1] == "\\":
        first -= 1
    return (at - first) % 2 == 1

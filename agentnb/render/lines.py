"""One line of an agent's Markdown, and what in it is written otherwise, since it would act."""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from agentnb.render.verbatim import RELATIVE, entities, inline_code, is_told_apart
from agentnb.render.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Line", "Place"]

_GOOD: Final = r"[ \t]*<?(?i:https?://|mailto:)"
# What may act wherever it is no code.  To those that know no such escape, a bracket after a
# backslash opens a tag all the same; the macros are those by which a formula loads or links.
_ACTING: Final = re.compile(
    r"(?P<tag>\\?<)(?=[A-Za-z/!?])"
    r"|(?P<image>(?<!!)!++\[)"
    r"|(?P<entity>&#?\w{1,32};)"
    r"|(?<!\\)(?:\\\\)*(?P<macro>\\)"
    r"(?=(?:href|url|includegraphics|html(?:Class|Id|Style|Data)|require|cssId|class|style)"
    r"(?![A-Za-z]))"
    r"|(?P<bracket>\[)"
    # Some find a link where others find none.  A word alone, or with a title, is where a definition
    # leads, also that of a footnote.
    rf"|(?P<target>\](?=\((?!{_GOOD})))"
    rf"|(?P<definition>\](?=:)(?!:{_GOOD})(?!:[ \t]*(?![<`\s])\S{{1,200}}[ \t]+[^\s\"'(]))"
    r"|(?P<scheme>(?<=[Ff][Tt][Pp]):(?=//))"
    rf"|(?P<relative>{RELATIVE})"
)
_MAY_ACT: Final = re.compile(r"[<&\\[\]/]")  # each of them has one of these
_ADDRESS: Final = re.compile(r"(?i:https?://|www\.)[^\s<>]*\Z")
_LOOK_BACK: Final = 300
# To some a label goes on over lines, blank ones and fences among them, up to a bracket and colon.
_LEAD: Final = re.compile(r"[ \t>*+-]*(?:\d+[.)][ \t>*+-]*)*")
_LABEL: Final = re.compile(r"\[(?:[^\\\[\]]|\\.)*[\[\]]")
# To some a definition is one even amid a paragraph; a footnote is none.
_DEFINES: Final = re.compile(rf"\[[^\]\n^][^\]\n]*\]:(?!{_GOOD})")


class Place(NamedTuple):
    """Where something begins and ends in a passage, and whether it may stay what it is."""

    kind: str
    start: int
    end: int
    good: bool


class Line:
    """What is known of one line of the text: columns, first and the one after the last."""

    __slots__ = ("code", "cut", "images", "is_code", "kept", "read", "refused", "torn")

    def __init__(self, *, is_code: bool = False, cut: int | None = None) -> None:
        self.is_code = is_code
        self.cut = cut
        self.read: list[tuple[int, int]] = []
        self.kept: list[tuple[int, int]] = []
        self.code: list[tuple[int, int]] = []
        self.torn: set[int] = set()
        self.images: set[int] = set()
        self.refused: set[int] = set()

    def note(self, place: Place, at: int, *, is_whole: bool) -> None:
        """Note what was found in this column, and whether all of it is in this line."""
        match place.kind:
            case "link" if not place.good:
                self.refused.add(at)
            case "image" if place.good:
                self.images.add(at)
            case "autolink" if place.good and is_whole:
                self.kept.append((at, at + place.end - place.start))
            case _:
                pass

    def note_code(self, span: Place, shift: int, first: int, end: int) -> None:
        """Note a code span, or what of it is between these places of the passage."""
        begun, ended = max(span.start, first) - shift, min(span.end, end) - shift
        if begun < ended:
            self.kept.append((begun, ended))
            self.code.append((begun, ended))
        if span.start < first or span.end > end:
            self.torn.add(begun)

    def settled(self, text: str) -> str:
        """Return the line with every code span as HTML that might not be taken for code."""
        if not self.code:
            return text
        made: list[str] = []
        last = 0
        for start, end in sorted(self.code):
            code = text[start:end]
            inner = code.strip("`")
            if inner.strip() and inner[0] == inner[-1] == " ":
                inner = inner[1:-1]
            is_quiet = is_told_apart(inner, is_inline=True) and not code.startswith("```")
            made += [
                text[last:start],
                code if is_quiet and start not in self.torn else inline_code(inner),
            ]
            last = end
        return "".join([*made, text[last:]])

    def escaped(self, text: str) -> str:
        """Return the line with a backslash or an entity for what acts in it."""
        if self.is_code:
            return text[: self.cut]
        if not _MAY_ACT.search(text):
            return text
        kept, read = sorted(self.kept), sorted(self.read)

        def mended(match: re.Match[str]) -> str:
            kind = str(match.lastgroup)
            found, at = match[0], match.start(kind)
            if _within(at, kept):
                return found
            match kind:
                case "tag":
                    return "&lt;"
                case "image":
                    return "[image: " if match.end() - 2 in self.images else r"\[image: "
                case "entity":
                    shown = html.unescape(found)
                    return found if visible(shown) == shown else f"&amp;{found[1:]}"
                case "macro":
                    return found + "\\"
                case "bracket":
                    free = _within(at, read) and at not in self.refused
                    free = free and not _DEFINES.match(text, at)
                    if _LEAD.fullmatch(text, 0, at) and not _LABEL.match(text, at):
                        free = False
                    return found if free or _is_escaped(text, at) else r"\["
                case "relative":
                    before = text[max(0, at - _LOOK_BACK) : at]
                    return "%2F" if _ADDRESS.search(before) else entities(found)
                case _:
                    return entities(found)

        return _ACTING.sub(mended, text)


def _within(at: int, spans: Sequence[tuple[int, int]]) -> bool:
    number = bisect_right(spans, at, key=itemgetter(0))
    return number > 0 and at < spans[number - 1][1]


def _is_escaped(text: str, at: int) -> bool:
    first = at
    while first and text[first - 1] == "\\":
        first -= 1
    return (at - first) % 2 == 1

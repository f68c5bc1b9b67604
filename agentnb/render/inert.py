"""An agent's Markdown for a document that others render, whose renderers cannot be chosen.

Most of them take raw HTML as it comes and load every image.  So what would do either is written in
such a way that it shows as text, and all else stays as the agent wrote it.  That holds for all that
agree with CommonMark on what is code.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from agentnb.render.effort import Effort, TooMuchWorkError, bounded, is_plain, is_readable
from agentnb.render.lines import Line, Place
from agentnb.render.markup import link_address
from agentnb.render.verbatim import (
    RELATIVE,
    Block,
    block_code,
    entities,
    fence,
    settled,
)
from agentnb.render.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

__all__ = ["escape", "inert_markdown"]

_LONGEST: Final = 200_000  # characters; a longer text is one block of code
_DEEPEST: Final = 60
_ROUNDS: Final = 8
# Of an `Effort`.
_LOOK: Final = 6
_LINE: Final = 2

# Not every renderer knows a backslash before the first ones, by which tags, formulas, code,
# comments or attributes begin; the others are known to all.
_SPECIAL: Final = re.compile(
    rf"(?P<entity>[&<\\`{{$]|~{{2,}}|%{{2,}}|:::|(?<=[Ff][Tt][Pp]):(?=//)|{RELATIVE})|[*_\[\]>|#]"
)
# GitHub makes links to `xmpp:a@b.c`, `x-mailto:a@b.c` and, after another mailbox, `b.c@d.e`,
# however they are escaped.
_MAILBOX: Final = re.compile(
    r"(?:(?<=xmpp:)|(?<=xmpp\\:))(?=(?:mailto|xmpp):|[\w.+-]*@)"
    r"|(?<=[\w.+-])(?=(?:mailto:)+[\w.+-]*@)"
    r"|(?<=mailto:)(?=[\w.+-]*@[\w.+-]*@)",
    re.IGNORECASE,
)


_INDENT: Final = re.compile(r"^[ \t]*\t[ \t]*", re.MULTILINE)
_ENTITY: Final = re.compile(r"&#?\w{1,32};")
# What follows a fence is written by some into an attribute just as it is; of some languages they
# make drawings, which may load what is named in them, and what is in braces they run.
_INFO: Final = re.compile(
    r"[<>&\"'\\{]|^\s*(?:mermaid|math|latex|tex|vega|vega-?lite|plantuml|geojson|topojson|stl)\b",
    re.IGNORECASE,
)


def inert_markdown(text: str, effort: Effort | None = None, *, is_quoted: bool = False) -> str:
    """Return Markdown that shows the same, but by which nothing is loaded or run.

    HTML in it shows as text, and an image is a link to it.  A link that goes by anything but http,
    https or mailto shows as text, too.  Code shows as it is; a block of code that was left open is
    closed.  What takes more than the ``effort`` that is left becomes one block of code; a text
    without one has a budget of its own.  What is to be quoted stands otherwise in its lines.
    """
    text = _MAILBOX.sub(" ", visible(text).strip("\n"))
    if is_quoted:
        text = _INDENT.sub(lambda indent: indent[0].expandtabs(4), text)
    if len(text) > _LONGEST:
        return fence(text)
    reader = _Reader(effort or Effort())
    try:
        for _ in range(_ROUNDS):
            document = reader.read(text)
            changed = document.escaped()
            if changed == text:
                changed = reader.closed(document)
            if changed == text:
                return document.settled(is_quoted=is_quoted)
            # What is text now may have been around something: a link is in no other link.
            text = changed
    except (RecursionError, TooMuchWorkError):
        pass
    return fence(text)


def escape(text: str) -> str:
    """Return one line of text so that Markdown shows it as it is."""
    return _SPECIAL.sub(_escape, _MAILBOX.sub(" ", text))


def _escape(match: re.Match[str]) -> str:
    return entities(match[0]) if match["entity"] else f"\\{match[0]}"


_UNKNOWN: Final = Line()
_CODE: Final = Line(is_code=True)


class _Document:
    """A text, and what is known of its lines and of its blocks of code."""

    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        self.text = text
        self.tokens = tokens
        self.lines = text.split("\n")
        # Of a line that is not in it nothing is known.
        self.known: defaultdict[int, Line] = defaultdict(Line)
        self.blocks: list[Block] = []

    def escaped(self) -> str:
        """Return the text with what acts in it escaped, as far as it can be seen."""
        known = self.known.get
        return "\n".join(known(at, _UNKNOWN).escaped(line) for at, line in enumerate(self.lines))

    def settled(self, *, is_quoted: bool) -> str:
        """Return inert text in which no renderer can take code for anything else."""
        made: list[str] = []
        last = 0
        for block in self.blocks:
            made += self._between(last, block.first)
            code = self.lines[block.first : block.end]
            last = block.end
            if not block.is_found(code, is_quoted=is_quoted):
                made += block_code(block.content, block.prefixes(code))
            elif not block.is_outer:
                made += code
            else:
                # Whatever was begun before ends with a blank line.
                made += ["", *code] if made and made[-1].strip() else code
                made += [""] if last < len(self.lines) and self.lines[last].strip() else []
        return "\n".join([*made, *self._between(last, len(self.lines))])

    def _between(self, first: int, end: int) -> list[str]:
        if first == end:
            return []
        known = self.known.get
        lines = [known(at, _UNKNOWN).settled(self.lines[at]) for at in range(first, end)]
        return settled("\n".join(lines)).split("\n")


class _Reader:
    """Parses one text several times, within one budget; no passage is parsed twice."""

    def __init__(self, effort: Effort) -> None:
        self._effort = effort
        self._passages: dict[str, list[Place]] = {}

    def read(self, text: str) -> _Document:
        """Parse a text."""
        document = _Document(text, self._parsed(text))
        lines, known = document.lines, document.known
        # For all of them before the first one is parsed.
        for passage in {token.content for token in document.tokens if token.type == "inline"}:
            if passage not in self._passages and not is_plain(passage) and is_readable(passage):
                self._effort.spend_passage(passage)
        for token in document.tokens:
            if token.map is None:
                continue
            first, end = token.map
            if token.type in ("fence", "code_block"):
                known.update(dict.fromkeys(range(first, end), _CODE))
                if _INFO.search(token.info):
                    mark = lines[first].index(token.markup)
                    known[first] = Line(is_code=True, cut=mark + len(token.markup))
                while end > first + 1 and not lines[end - 1].strip():
                    end -= 1
                document.blocks.append(Block(token, first, end))
            elif token.type == "definition":
                for number in range(first, end):
                    known[number].read.append((0, len(lines[number])))
                if link_address(str(token.meta["url"])) is None:
                    known[first].refused.add(lines[first].index("["))
            elif token.type == "inline" and is_readable(token.content):
                self._read_passage(token.content, document, first)
        return document

    def closed(self, document: _Document) -> str:
        """Return the text with a fence at its end, where one was left open."""
        text, tokens = document.text, document.tokens
        if not tokens or tokens[-1].type != "fence" or tokens[-1].level:
            return text
        marks = tokens[-1].markup
        after = self._parsed(f"{text}\n{marks}")
        return f"{text}\n{marks}" if len(after) == len(tokens) else text

    def _parsed(self, text: str) -> list[Token]:
        self._effort.start(text)
        # Whatever may act is looked at, and written anew.
        looks = sum(map(text.count, ("<", "[", "](", "&", "!", "\\", "//")))
        self._effort.spend(_LOOK * looks + _LINE * text.count("\n"))
        tokens = _parser().parse(text, {"effort": self._effort})
        self._effort.spend_block(len(tokens))
        return tokens

    def _places(self, passage: str) -> list[Place]:
        """Return what there is in a passage, in order."""
        found = self._passages.get(passage)
        if found is None:
            found = self._passages[passage] = []
            if not is_plain(passage):
                parser = _parser()
                parser.inline.parse(passage, parser, {"places": found, "passage": passage}, [])
                found.sort(key=lambda place: place.start)
        return found

    def _read_passage(self, passage: str, document: _Document, first: int) -> None:
        """Note what there is in a passage that begins in line ``first``, line by line."""
        found = self._places(passage)
        places = deque(found)
        spans = deque(place for place in found if place.kind == "code")
        start = 0
        for number, piece in enumerate(passage.split("\n"), first):
            shift = self._column(document.lines[number], piece)
            end = start + len(piece)
            line = document.known[number]
            if shift is not None:
                line.read.append((shift, shift + len(piece)))
            while places and places[0].start < end:
                place = places.popleft()
                if shift is not None:
                    line.note(place, place.start - start + shift, is_whole=place.end <= end)
            while spans and spans[0].start < end:
                span = spans[0]
                if shift is not None:
                    line.note_code(span, start - shift, start, end)
                if span.end > end:
                    break
                spans.popleft()
            start = end + 1

    def _column(self, line: str, piece: str) -> int | None:
        """Return where a piece of a passage stands in its line; None where that is not certain."""
        indent = len(piece) - len(piece.lstrip())
        bare = piece.strip()
        # A cell of a table stands in its line otherwise than in the passage, if it holds this.
        if not bare or "|" in bare:
            return None
        if line.rstrip().endswith(bare):
            return len(line.rstrip()) - len(bare) - indent
        # A row of many cells is searched for each of them.
        self._effort.spend(len(line) / 500)
        return line.index(bare) - indent if line.count(bare) == 1 else None


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import autolink, backtick, image, link

    # It knows no HTML: where every tag is text, those that do know it read the rest the same.
    options: dict[str, Any] = {"html": False, "maxNesting": _DEEPEST, "inline_definitions": True}
    parser = bounded(MarkdownIt("commonmark", options).enable(["table", "strikethrough"]))
    # Blocks are enough; of the passages each is read alone, see `_Reader`.
    parser.disable(["inline", "text_join"])
    # Which addresses are good is for `link_address` to say.
    parser.validateLink = _any_address
    parser.inline.ruler.at("backticks", _noting("code", backtick))
    parser.inline.ruler.at("autolink", _noting("autolink", autolink))
    parser.inline.ruler.at("link", _noting("link", link))
    parser.inline.ruler.at("image", _noting("image", image))
    return parser


def _any_address(url: str) -> bool:
    return True


def _noting(
    kind: str, rule: Callable[[StateInline, bool], bool]
) -> Callable[[StateInline, bool], bool]:
    """Return a rule of the parser that also notes where it found something."""

    def noting(state: StateInline, silent: bool) -> bool:
        start, count = state.pos, len(state.tokens)
        found = rule(state, silent)
        # The words for an image are a passage of their own.
        if found and not silent and state.src == state.env.get("passage"):
            made = next((token for token in state.tokens[count:] if _address(token)), None)
            if kind != "code":
                good = made is not None and link_address(_address(made)) is not None
                # In an address to be followed as it stands, some read an entity all the same.
                # A mailbox may begin like a comment, which at the start of a line is one.
                if kind == "autolink":
                    good &= not _ENTITY.search(state.src, start, state.pos)
                    good &= not state.src.startswith(("<!", "<?", "</"), start)
                state.env["places"].append(Place(kind, start, state.pos, good))
            elif any(token.type == "code_inline" for token in state.tokens[count:]):
                state.env["places"].append(Place(kind, start, state.pos, good=True))
        return found

    return noting


def _address(token: Token) -> str:
    return str(token.attrGet("href") or token.attrGet("src") or "")

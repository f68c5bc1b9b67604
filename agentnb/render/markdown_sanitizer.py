"""Sanitize an agent's Markdown for documents that unknown renderers display.

Most renderers of Markdown pass raw HTML through and load every image.  So these are escaped, and
all other text stays as the agent wrote it.  That is safe in all renderers that agree with
CommonMark on what is code.

The text is parsed by markdown-it, but not written from its tokens: no library writes Markdown that
several renderers read alike, and formulas, footnotes and layout would be lost.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from functools import cache
from typing import TYPE_CHECKING, Final

from agentnb.render.markdown_code import (
    RELATIVE,
    CodeBlock,
    as_entities,
    code_as_html,
    escape_unclosed,
    fenced,
)
from agentnb.render.markdown_lines import SourceLine, Span
from agentnb.render.markup import link_address
from agentnb.render.parse_budget import (
    ParseBudget,
    ParseBudgetError,
    has_no_syntax,
    is_parsable,
    limited_parser,
)
from agentnb.render.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

_MAX_LENGTH: Final = 200_000  # characters; a longer text becomes one block of code
_MAX_ROUNDS: Final = 8
# Costs in units of a `ParseBudget`.
_MATCH: Final = 6
_LINE: Final = 2

# Characters that begin tags, formulas, code, comments or attributes are written as entities, since
# not every renderer knows a backslash before them; it is known before the others.
_SPECIAL: Final = re.compile(
    rf"(?P<entity>[&<\\`{{$]|~{{2,}}|%{{2,}}|:::|(?<=[Ff][Tt][Pp]):(?=//)|{RELATIVE})|[*_\[\]>|#]"
)
# GitHub links `xmpp:a@b.c`, `x-mailto:a@b.c` and, after another mailbox, `b.c@d.e`, even escaped.
_MAILBOX: Final = re.compile(
    r"(?:(?<=xmpp:)|(?<=xmpp\\:))(?=(?:mailto|xmpp):|[\w.+-]*@)"
    r"|(?<=[\w.+-])(?=(?:mailto:)+[\w.+-]*@)"
    r"|(?<=mailto:)(?=[\w.+-]*@[\w.+-]*@)",
    re.IGNORECASE,
)
_INDENT: Final = re.compile(r"^[ \t]*\t[ \t]*", re.MULTILINE)
_ENTITY: Final = re.compile(r"&#?\w{1,32};")
# Info strings that are removed: some renderers copy them into an attribute unescaped, draw diagrams
# of some languages, which may load images, or execute languages in braces.
_INFO: Final = re.compile(
    r"[<>&\"'\\{]|^\s*(?:mermaid|math|latex|tex|vega|vega-?lite|plantuml|geojson|topojson|stl)\b",
    re.IGNORECASE,
)


# A line without spans.
_PLAIN: Final = SourceLine()


def sanitize_markdown(
    text: str, budget: ParseBudget | None = None, *, is_quoted: bool = False
) -> str:
    """Return Markdown that displays the same, but loads and executes nothing.

    HTML is displayed as text, and an image becomes a link to it.  Links other than http, https and
    mailto are displayed as text.  Code stays code; an unclosed block is closed.  A text beyond the
    ``budget`` (by default one of its own) becomes one block of code.  ``is_quoted`` prepares it for
    `>` before each line.
    """
    text = _MAILBOX.sub(" ", visible(text).strip("\n"))
    if is_quoted:
        text = _INDENT.sub(lambda indent: indent[0].expandtabs(4), text)
    if len(text) > _MAX_LENGTH:
        return fenced(text)
    reader = _Parser(budget or ParseBudget())
    try:
        for _ in range(_MAX_ROUNDS):
            document = reader.read(text)
            changed = document.escaped()
            if changed == text:
                changed = reader.closed(document)
            if changed == text:
                return document.final(is_quoted=is_quoted)
            # Parse again: escaped text may have hidden other syntax, such as a link in a link.
            text = changed
    except (RecursionError, ParseBudgetError):
        pass
    return fenced(text)


def escape_line(text: str) -> str:
    """Return one line of plain text, escaped for Markdown."""
    return _SPECIAL.sub(
        lambda match: as_entities(match[0]) if match["entity"] else f"\\{match[0]}",
        _MAILBOX.sub(" ", text),
    )


class _Document:
    """A text with its tokens, and the spans and blocks of code found in its lines."""

    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        self.text = text
        self.tokens = tokens
        self.lines = text.split("\n")
        # By number; lines without spans have no entry.
        self.spans: defaultdict[int, SourceLine] = defaultdict(SourceLine)
        self.blocks: list[CodeBlock] = []

    def escaped(self) -> str:
        """Return the text with active syntax escaped."""
        return "\n".join(self._line(n).escaped(line) for n, line in enumerate(self.lines))

    def final(self, *, is_quoted: bool) -> str:
        """Return an escaped text in which no renderer takes code for anything else."""
        out: list[str] = []
        last = 0
        for block in self.blocks:
            out += self._between(last, block.first)
            code = self.lines[block.first : block.end]
            last = block.end
            if not block.is_unambiguous(code, is_quoted=is_quoted):
                out += code_as_html(block.content, block.prefixes(code))
            elif not block.is_outer:
                out += code
            else:
                # A blank line ends any unclosed syntax before it.
                out += ["", *code] if out and out[-1].strip() else code
                out += [""] if last < len(self.lines) and self.lines[last].strip() else []
        return "\n".join([*out, *self._between(last, len(self.lines))])

    def _between(self, first: int, end: int) -> list[str]:
        if first == end:
            return []
        lines = [self._line(n).with_safe_code(self.lines[n]) for n in range(first, end)]
        return escape_unclosed("\n".join(lines)).split("\n")

    def _line(self, number: int) -> SourceLine:
        return self.spans.get(number, _PLAIN)


class _Parser:
    """Parser for the rounds of one text, within one budget; caches passages between them."""

    def __init__(self, budget: ParseBudget) -> None:
        self._budget = budget
        self._spans: dict[str, list[Span]] = {}

    def read(self, text: str) -> _Document:
        """Parse a text and locate its active syntax and its code."""
        document = _Document(text, self._parse(text))
        lines, spans = document.lines, document.spans
        # Spend for all passages before the first one is parsed.
        for passage in {token.content for token in document.tokens if token.type == "inline"}:
            is_new = passage not in self._spans and not has_no_syntax(passage)
            if is_new and is_parsable(passage):
                self._budget.spend_passage(passage)
        for token in document.tokens:
            if token.map is None:
                continue
            first, end = token.map
            if token.type in ("fence", "code_block"):
                code = SourceLine(is_code=True)
                spans.update(dict.fromkeys(range(first, end), code))
                if _INFO.search(token.info):
                    mark = lines[first].index(token.markup)
                    spans[first] = SourceLine(is_code=True, cut=mark + len(token.markup))
                while end > first + 1 and not lines[end - 1].strip():
                    end -= 1
                document.blocks.append(CodeBlock(token, first, end))
            elif token.type == "definition":
                for number in range(first, end):
                    spans[number].parsed.append((0, len(lines[number])))
                if link_address(str(token.meta["url"])) is None:
                    spans[first].bad_links.add(lines[first].index("["))
            elif token.type == "inline" and is_parsable(token.content):
                self._locate_spans(token.content, document, first)
        return document

    def closed(self, document: _Document) -> str:
        """Return the text with a closing fence, if the last one is open."""
        text, tokens = document.text, document.tokens
        if not tokens or tokens[-1].type != "fence" or tokens[-1].level:
            return text
        closed = f"{text}\n{tokens[-1].markup}"
        return closed if len(self._parse(closed)) == len(tokens) else text

    def _parse(self, text: str) -> list[Token]:
        self._budget.start(text)
        # Each of these is matched, and perhaps replaced.
        matches = sum(map(text.count, ("<", "[", "](", "&", "!", "\\", "//")))
        self._budget.spend(_MATCH * matches + _LINE * text.count("\n"))
        tokens = _markdown_it().parse(text, {"budget": self._budget})
        self._budget.spend_block(len(tokens))
        return tokens

    def _find_spans(self, passage: str) -> list[Span]:
        """Return the spans of a passage, in order."""
        spans = self._spans.get(passage)
        if spans is None:
            spans = self._spans[passage] = []
            if not has_no_syntax(passage):
                parser = _markdown_it()
                parser.inline.parse(passage, parser, {"spans": spans, "passage": passage}, [])
                spans.sort(key=lambda span: span.start)
        return spans

    def _locate_spans(self, passage: str, document: _Document, first: int) -> None:
        """Assign the spans of a passage that begins in line ``first`` to lines and columns."""
        found = self._find_spans(passage)
        spans = deque(found)
        codes = deque(span for span in found if span.kind == "code")
        start = 0
        for number, piece in enumerate(passage.split("\n"), first):
            column = self._column(document.lines[number], piece)
            end = start + len(piece)
            line = document.spans[number]
            if column is not None:
                line.parsed.append((column, column + len(piece)))
            while spans and spans[0].start < end:
                span = spans.popleft()
                if column is not None:
                    line.add(span, span.start - start + column, is_whole=span.end <= end)
            while codes and codes[0].start < end:
                code = codes[0]
                if column is not None:
                    line.add_code(code, start - column, start, end)
                if code.end > end:
                    break
                codes.popleft()
            start = end + 1

    def _column(self, line: str, piece: str) -> int | None:
        """Return the column of a passage's line in the source; None if it is ambiguous."""
        indent = len(piece) - len(piece.lstrip())
        bare = piece.strip()
        # In a table cell the source has a backslash before "|".
        if not bare or "|" in bare:
            return None
        if line.rstrip().endswith(bare):
            return len(line.rstrip()) - len(bare) - indent
        # A row of many cells is searched for each of them.
        self._budget.spend(len(line) / 500)
        return line.index(bare) - indent if line.count(bare) == 1 else None


@cache
def _markdown_it() -> MarkdownIt:
    from markdown_it.rules_inline import autolink, backtick, image, link

    # Without HTML: with all tags escaped, renderers that know HTML parse the rest the same way.
    parser = limited_parser(inline_definitions=True)
    # Blocks only: `_Parser` parses each passage on its own.
    parser.disable(["inline", "text_join"])
    # `link_address` decides which links are safe.
    parser.validateLink = lambda url: True
    parser.inline.ruler.at("backticks", _recorded("code", backtick))
    parser.inline.ruler.at("autolink", _recorded("autolink", autolink))
    parser.inline.ruler.at("link", _recorded("link", link))
    parser.inline.ruler.at("image", _recorded("image", image))
    return parser


def _recorded(
    kind: str, rule: Callable[[StateInline, bool], bool]
) -> Callable[[StateInline, bool], bool]:
    """Wrap a rule of the parser to record the spans that it matches."""

    def recorded(state: StateInline, silent: bool) -> bool:
        start, count = state.pos, len(state.tokens)
        is_match = rule(state, silent)
        # An image's label is parsed as a passage of its own, and not recorded.
        if is_match and not silent and state.src == state.env.get("passage"):
            tokens = state.tokens[count:]
            if kind == "code":
                is_safe = True
                if not any(token.type == "code_inline" for token in tokens):
                    return True
            else:
                address = next((url for token in tokens if (url := _address(token))), "")
                is_safe = link_address(address) is not None
            if kind == "autolink":
                # Some renderers decode entities in it; "<!" or "<?" may begin a comment.
                is_safe &= not _ENTITY.search(state.src, start, state.pos)
                is_safe &= not state.src.startswith(("<!", "<?", "</"), start)
            state.env["spans"].append(Span(kind, start, state.pos, is_safe))
        return is_match

    return recorded


def _address(token: Token) -> str:
    return str(token.attrGet("href") or token.attrGet("src") or "")

"""An agent's Markdown as HTML, without a trust in it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from agentnb.render.effort import Effort, TooMuchWorkError, bounded, is_plain, is_readable
from agentnb.render.markup import (
    ALIGNMENTS,
    BOX,
    CODE,
    HEADING,
    WRAPPED,
    Html,
    element,
    escaped,
    link,
    link_address,
)
from agentnb.render.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from markdown_it import MarkdownIt
    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token

__all__ = ["ParsedProse", "plain_html", "prose_html"]

_LONGEST: Final = 100_000  # characters; a longer text is shown as it is
_DEEPEST: Final = 60


def plain_html(text: str) -> Html:
    """Return ``text`` just as it is, its lines kept."""
    return element("pre", visible(text), style=WRAPPED)


def prose_html(markdown: str, *, lean: bool = False) -> Html:
    """Return Markdown as HTML: CommonMark with tables, strikethrough and task lists.

    HTML in it is shown as text, an image is a note of where it would come from, headings begin at
    the third level, and a text that takes more than a bounded `Effort` to parse stays plain.
    ``lean`` leaves out what costs bytes without carrying sense.
    """
    return ParsedProse().html(markdown, lean=lean)


class ParsedProse:
    """The texts of one document, each parsed once and all within one budget."""

    def __init__(self) -> None:
        self._effort = Effort()
        self._parsed: dict[str, list[Token] | None] = {}
        self._visible: dict[str, str] = {}
        self._made: dict[tuple[str, bool], Html] = {}

    def parse(self, markdown: str) -> list[Token] | None:
        """Return a text's tokens; None where it takes more work than is left."""
        if markdown not in self._parsed:
            self._parsed[markdown] = self._parse(markdown)
        return self._parsed[markdown]

    def html(self, markdown: str, *, lean: bool = False) -> Html:
        """Return a text as HTML."""
        made = self._made.get((markdown, lean))
        if made is None:
            tokens = self.parse(markdown)
            made = self.plain(markdown) if tokens is None else _Writer(lean=lean).blocks(tokens)
            self._made[markdown, lean] = made
        return made

    def plain(self, text: str) -> Html:
        """Return a text just as it is, its lines kept."""
        return element("pre", self._seen(text), style=WRAPPED)

    def _seen(self, text: str) -> str:
        if text not in self._visible:
            self._visible[text] = visible(text)
        return self._visible[text]

    def _parse(self, markdown: str) -> list[Token] | None:
        if len(markdown) > _LONGEST:
            return None
        text = self._seen(markdown)
        try:
            self._effort.start(text)
            return _parser().parse(text, {"effort": self._effort})
        except (RecursionError, TooMuchWorkError):
            return None


@cache
def _parser() -> MarkdownIt:
    # 50 ms that a session in which nothing is rendered should not pay.
    from markdown_it import MarkdownIt

    parser = bounded(MarkdownIt("commonmark", {"html": False, "maxNesting": _DEEPEST}))
    parser.enable(["table", "strikethrough"])
    parser.core.ruler.at("inline", _parse_passages)
    return parser


def _parse_passages(state: StateCore) -> None:
    """Parse what is in each block, within the budget for the whole text."""
    from markdown_it.token import Token

    effort: Effort = state.env["effort"]
    effort.spend_block(len(state.tokens))
    passages: list[Token] = []
    for token in state.tokens:
        if token.type != "inline":
            continue
        if is_plain(token.content):
            token.children = [Token("text", "", 0, content=token.content)]
        elif is_readable(token.content):
            effort.spend_passage(token.content)
            passages.append(token)
        else:
            token.type = "text"
    # Only once it is known that there is enough for all of them.
    for token in passages:
        token.children = []
        state.md.inline.parse(token.content, state.md, state.env, token.children)


class _Writer:
    """Writes one document's tokens."""

    def __init__(self, *, lean: bool) -> None:
        self._lean = lean
        self._rules: dict[str, Callable[[Sequence[Token], int], str]] = {
            "text": self._text,
            "code_inline": self._code,
            "code_block": self._pre,
            "fence": self._pre,
            "softbreak": lambda tokens, i: "\n",
            "hardbreak": lambda tokens, i: "<br>\n",
            "hr": lambda tokens, i: "<hr>",
            "image": self._image,
            "heading_open": self._heading,
            "heading_close": lambda tokens, i: f"</{_lowered(tokens[i].tag)}>\n",
            "td_open": self._cell,
            "th_open": self._cell,
            "ordered_list_open": self._ordered,
        }

    def blocks(self, tokens: Sequence[Token]) -> Html:
        out: list[str] = []
        for i, token in enumerate(tokens):
            if token.type == "inline":
                out.append(self._inline(_task_marked(tokens, i)))
            else:
                out.append(self._token(tokens, i))
        return Html("".join(out))

    def _inline(self, tokens: Sequence[Token]) -> str:
        out: list[str] = []
        links: list[tuple[Any, int, int]] = []
        for i, token in enumerate(tokens):
            if token.type == "link_open":
                links.append((link_address(str(token.attrGet("href") or "")), len(out), i))
            elif token.type == "link_close" and links:
                address, start, first = links.pop()
                label = Html("".join(out[start:]))
                if address is not None:
                    out[start:] = [link(address, label, _text_of(tokens[first + 1 : i]))]
            else:
                out.append(self._token(tokens, i))
        return "".join(out)

    def _token(self, tokens: Sequence[Token], i: int) -> str:
        token = tokens[i]
        if token.hidden:
            return ""
        rule = self._rules.get(token.type)
        if rule is not None:
            return rule(tokens, i)
        if not token.tag:
            return escaped(_shown(token))
        # A notebook's file spends as much on a new line as on a dozen letters.
        end = "\n" if token.block and token.nesting == -1 and token.level == 0 else ""
        return f"<{'/' if token.nesting == -1 else ''}{token.tag}>{end}"

    def _text(self, tokens: Sequence[Token], i: int) -> str:
        text = escaped(_shown(tokens[i]))
        # A dollar in an element of its own never pairs up with another into a formula, also where
        # classes are stripped.
        return text if self._lean else text.replace("$", "<span>$</span>")

    def _code(self, tokens: Sequence[Token], i: int) -> str:
        return element("code", _shown(tokens[i]))

    def _pre(self, tokens: Sequence[Token], i: int) -> str:
        box, code = (None, None) if self._lean else (BOX, CODE)
        return element("pre", element("code", _shown(tokens[i]), style=code), style=box)

    def _heading(self, tokens: Sequence[Token], i: int) -> str:
        tag = _lowered(tokens[i].tag)
        return f"<{tag}>" if self._lean else f'<{tag} style="{HEADING}">'

    def _image(self, tokens: Sequence[Token], i: int) -> str:
        token = tokens[i]
        host = ""
        try:
            parts = urlsplit(str(token.attrGet("src") or ""))
            host = (parts.hostname or "") if parts.scheme in ("http", "https", "") else ""
        except ValueError:
            pass
        words = ["image"]
        if label := _text_of(token.children or []).strip():
            words.append(f"“{label}”")
        if host:
            words.append(f"from {visible(host)}")
        return element("em", f"[{' '.join(words)}, not loaded]")

    def _cell(self, tokens: Sequence[Token], i: int) -> str:
        token = tokens[i]
        if self._lean:
            return f"<{token.tag}>"
        given = str(token.attrGet("style") or "").removeprefix("text-align:")
        side = given if given in ALIGNMENTS else "left"
        # JupyterLab aligns cells to the right, unless told otherwise by a style.
        return f'<{token.tag} style="{ALIGNMENTS[side]}">'

    def _ordered(self, tokens: Sequence[Token], i: int) -> str:
        start = tokens[i].attrGet("start")
        return "<ol>" if start is None else f'<ol start="{int(start)}">'


def _lowered(tag: str) -> str:
    """Return a heading's tag two levels down: the levels above are those of the notebook."""
    return f"h{min(6, int(tag[1]) + 2)}"


def _task_marked(tokens: Sequence[Token], i: int) -> Sequence[Token]:
    """Return the children of an inline token, with the box of a task list's item drawn."""
    token = tokens[i]
    children = token.children or []
    item = (
        i >= 2 and tokens[i - 1].type == "paragraph_open" and tokens[i - 2].type == "list_item_open"
    )
    if item and children and children[0].type == "text":
        box = {"[ ] ": "☐ ", "[x] ": "☑ ", "[X] ": "☑ "}.get(children[0].content[:4])
        if box is not None:
            children[0].content = box + children[0].content[4:]
    return children


def _shown(token: Token) -> str:
    # Once more, for what a character reference stood for.
    return visible(token.content)


def _text_of(tokens: Sequence[Token]) -> str:
    return "".join(
        " " if token.type.endswith("break") else _text_of(token.children or []) or _shown(token)
        for token in tokens
    )

"""Render an agent's Markdown as HTML, without trusting it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from agentnb.render.markup import Html, Style, element, escaped, link, link_address
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
    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token

_MAX_LENGTH: Final = 100_000  # characters; a longer text is rendered as plain text
_CHECKBOXES: Final = {"[ ] ": "☐ ", "[x] ": "☑ ", "[X] ": "☑ "}


def plain_html(text: str) -> Html:
    """Return plain text as HTML, with its line breaks."""
    return element("pre", visible(text), style=Style.WRAPPED)


def markdown_html(markdown: str, *, lean: bool = False) -> Html:
    """Return Markdown as HTML: CommonMark with tables, strikethrough and task lists.

    HTML in it is displayed as text, an image is replaced by a note with its host, headings begin at
    the third level, and a text beyond the `ParseBudget` stays plain.  ``lean`` omits styles, to
    save bytes.
    """
    return MarkdownRenderer().html(markdown, lean=lean)


class MarkdownRenderer:
    """Renderer for the texts of one document, each parsed once, within a common budget."""

    def __init__(self) -> None:
        self._budget = ParseBudget()
        self._tokens: dict[str, list[Token] | None] = {}

    def parse(self, markdown: str) -> list[Token] | None:
        """Return a text's tokens; None if it takes more work than the budget has left."""
        if markdown not in self._tokens:
            self._tokens[markdown] = self._parse(markdown)
        return self._tokens[markdown]

    def html(self, markdown: str, *, lean: bool = False) -> Html:
        """Return a text as HTML, see `markdown_html`."""
        tokens = self.parse(markdown)
        return plain_html(markdown) if tokens is None else _TokenRenderer(lean=lean)(tokens)

    def _parse(self, markdown: str) -> list[Token] | None:
        if len(markdown) > _MAX_LENGTH:
            return None
        text = visible(markdown)
        try:
            self._budget.start(text)
            return _parser().parse(text, {"budget": self._budget})
        except (RecursionError, ParseBudgetError):
            return None


@cache
def _parser() -> MarkdownIt:
    parser = limited_parser()
    parser.core.ruler.at("inline", _parse_inline)
    return parser


def _parse_inline(state: StateCore) -> None:
    """Parse the inline syntax of each block, within the budget of the document."""
    from markdown_it.token import Token

    budget: ParseBudget = state.env["budget"]
    budget.spend_block(len(state.tokens))
    passages: list[Token] = []
    for token in state.tokens:
        if token.type != "inline":
            continue
        if has_no_syntax(token.content):
            token.children = [Token("text", "", 0, content=token.content)]
        elif is_parsable(token.content):
            budget.spend_passage(token.content)
            passages.append(token)
        else:
            token.type = "text"
    # Parse none before the budget covers all of them.
    for token in passages:
        token.children = []
        state.md.inline.parse(token.content, state.md, state.env, token.children)


class _TokenRenderer:
    """Render the tokens of one text."""

    def __init__(self, *, lean: bool) -> None:
        self._lean = lean
        self._rules: dict[str, Callable[[Token], str]] = {
            "text": self._text,
            "code_inline": lambda token: element("code", _content(token)),
            "code_block": self._pre,
            "fence": self._pre,
            "softbreak": lambda token: "\n",
            "hardbreak": lambda token: "<br>\n",
            "hr": lambda token: "<hr>",
            "image": _image,
            "heading_open": self._heading,
            "heading_close": lambda token: f"</{_heading_tag(token)}>\n",
            "td_open": self._cell,
            "th_open": self._cell,
            "ordered_list_open": _ordered_list,
        }

    def __call__(self, tokens: Sequence[Token]) -> Html:
        return Html(
            "".join(
                self._inline(_with_checkbox(tokens, i))
                if token.type == "inline"
                else self._token(token)
                for i, token in enumerate(tokens)
            )
        )

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
                    out[start:] = [link(address, label, _plain_text(tokens[first + 1 : i]))]
            else:
                out.append(self._token(token))
        return "".join(out)

    def _token(self, token: Token) -> str:
        if token.hidden:
            return ""
        rule = self._rules.get(token.type)
        if rule is not None:
            return rule(token)
        if not token.tag:
            return escaped(_content(token))
        # In a notebook's file a line break takes as much space as a dozen letters.
        end = "\n" if token.block and token.nesting == -1 and token.level == 0 else ""
        return f"<{'/' if token.nesting == -1 else ''}{token.tag}>{end}"

    def _text(self, token: Token) -> str:
        text = escaped(_content(token))
        # In an element of its own, a dollar never begins a formula, even without classes.
        return text if self._lean else text.replace("$", "<span>$</span>")

    def _pre(self, token: Token) -> str:
        box, code = (None, None) if self._lean else (Style.BOX, Style.CODE)
        return element("pre", element("code", _content(token), style=code), style=box)

    def _heading(self, token: Token) -> str:
        tag = _heading_tag(token)
        return f"<{tag}>" if self._lean else f'<{tag} style="{Style.HEADING}">'

    def _cell(self, token: Token) -> str:
        if self._lean:
            return f"<{token.tag}>"
        side = str(token.attrGet("style") or "").removeprefix("text-align:")
        # JupyterLab aligns cells to the right by default.
        style = {"center": Style.CENTER, "right": Style.RIGHT}.get(side, Style.LEFT)
        return f'<{token.tag} style="{style}">'


def _heading_tag(token: Token) -> str:
    """Return a heading's tag two levels down, since the notebook has the levels above."""
    return f"h{min(6, int(token.tag[1]) + 2)}"


def _ordered_list(token: Token) -> str:
    start = token.attrGet("start")
    return "<ol>" if start is None else f'<ol start="{int(start)}">'


def _image(token: Token) -> str:
    host = ""
    try:
        parts = urlsplit(str(token.attrGet("src") or ""))
        host = (parts.hostname or "") if parts.scheme in ("http", "https", "") else ""
    except ValueError:
        pass
    words = ["image"]
    if label := _plain_text(token.children or []).strip():
        words.append(f"“{label}”")
    if host:
        words.append(f"from {visible(host)}")
    return element("em", f"[{' '.join(words)}, not loaded]")


def _with_checkbox(tokens: Sequence[Token], i: int) -> Sequence[Token]:
    """Return the children of an inline token, with the checkbox of a task list's item."""
    children = tokens[i].children or []
    is_item = [token.type for token in tokens[max(0, i - 2) : i]] == [
        "list_item_open",
        "paragraph_open",
    ]
    if is_item and children and children[0].type == "text":
        box = _CHECKBOXES.get(children[0].content[:4])
        if box is not None:
            children[0].content = box + children[0].content[4:]
    return children


def _content(token: Token) -> str:
    # Once more, since a character reference may stand for an invisible character.
    return visible(token.content)


def _plain_text(tokens: Sequence[Token]) -> str:
    return "".join(
        " "
        if token.type.endswith("break")
        else _plain_text(token.children or []) or _content(token)
        for token in tokens
    )

"""Render the parts of a run as HTML: passages, tool calls, steps, media."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from agentnb.event.transcript import MediaPart, Part, Passage, Step, ToolCall
from agentnb.event.types import CitationAdded, MediaProduced
from agentnb.render.markdown_html import MarkdownRenderer, plain_html
from agentnb.render.markup import (
    Html,
    Style,
    element,
    is_image,
    joined,
    link,
    link_address,
)
from agentnb.render.text import pretty_json
from agentnb.render.view import TOOL_WORDS, brief_seconds, media_words, tool_texts
from agentnb.render.visible import one_line, visible

_PREVIEW: Final = 120
_MAX_SOURCES: Final = 50


@dataclass(frozen=True, slots=True)
class Format:
    """How much is rendered, and how.

    ``tool`` and ``passage`` limit the characters of each text, ``parts`` the number of parts, of
    which the last ones are kept.  ``lean`` omits styles, ``plain`` Markdown.  ``markdown`` is
    shared by all formats of a run.  ``timeline`` adds the timeline.  ``media`` limits the
    characters of each image.
    """

    tool: int
    passage: int
    parts: int = 100_000
    lean: bool = False
    plain: bool = False
    markdown: MarkdownRenderer = field(default_factory=MarkdownRenderer)
    timeline: bool = False
    media: int = 0

    def style(self, style: Style) -> Style | None:
        return None if self.lean else style


def muted_note(text: str) -> Html:
    """Return a paragraph of small, muted text."""
    return element("p", muted(text))


def muted(*content: str) -> Html:
    """Return small, muted text."""
    return element("small", *content, style=Style.MUTED)


def on_lines(blocks: list[str]) -> list[str]:
    """Return each block followed by a line break, for readable diffs of notebooks."""
    return [piece for block in blocks for piece in (block, "\n")]


def part_blocks(
    parts: Sequence[Part], format_: Format, *, earlier: Sequence[Part] = ()
) -> list[str]:
    """Return the parts as blocks, those of a step within it; ``earlier`` ones are not rendered."""
    blocks: list[str] = []
    open_steps: list[tuple[Step, list[str]]] = []
    number = sum(isinstance(part, MediaPart) for part in earlier)
    for part in parts:
        _close_steps(open_steps, part.depth, blocks, format_)
        inner = open_steps[-1][1] if open_steps else blocks
        match part:
            case Step():
                open_steps.append((part, []))
            case ToolCall():
                inner.append(_tool(part, format_))
            case MediaPart(media):
                inner.append(_media(media, number, format_))
                number += 1
            case Passage(kind="reasoning"):
                inner.append(_reasoning(part, format_))
            case Passage(kind="refusal"):
                inner.append(_refusal(part, format_))
            case Passage():
                inner.append(element("div", _passage(part, format_), dir="auto"))
    _close_steps(open_steps, 0, blocks, format_)
    return blocks


def source_blocks(citations: Sequence[CitationAdded]) -> list[str]:
    """Return the sources of an answer as a numbered list of links."""
    items: list[str] = []
    for citation in citations[:_MAX_SOURCES]:
        text = one_line(citation.title or citation.url or "A source", 300)
        address = link_address(citation.url or "")
        label = text if address is None else link(address, element("span", text), text)
        quote = f": “{one_line(citation.quote, 300)}”" if citation.quote else ""
        items.append(element("li", label, muted(quote) if quote else ""))
    more = len(citations) - _MAX_SOURCES
    notes = [muted_note(f"… {more:,} more sources")] if more > 0 else []
    return [muted_note("Sources"), element("ol", *items), *notes] if items else []


def _close_steps(
    open_steps: list[tuple[Step, list[str]]], depth: int, blocks: list[str], format_: Format
) -> None:
    """End the steps that a part of this depth is not within."""
    while open_steps and open_steps[-1][0].depth >= depth:
        step, inner = open_steps.pop()
        outer = open_steps[-1][1] if open_steps else blocks
        outer.append(_step(step, inner, format_))


def _step(step: Step, inner: list[str], format_: Format) -> Html:
    state = TOOL_WORDS[step.status]
    if step.duration is not None:
        state += " · " + brief_seconds(step.duration).replace(" ", "\u00a0")
    name = element("strong", one_line(step.name or "Step"))
    if step.error is not None:
        error = element("p", one_line(step.error, 2000))
        inner = [*inner, element("blockquote", error, style=Style.ALERT)]
    if not inner:
        return element("p", name, muted(f" {state}"))
    body = element("blockquote", *on_lines(inner), style=format_.style(Style.INDENTED))
    summary = element("summary", name, muted(f" {state}"))
    return element("details", summary, body, open="", style=format_.style(Style.FOLDED))


def _refusal(part: Passage, format_: Format) -> Html:
    label = element("p", element("strong", "The agent refused:"))
    return element("blockquote", label, _passage(part, format_), dir="auto", style=Style.ALERT)


def _media(media: MediaProduced, number: int, format_: Format) -> Html:
    words = media_words(media)
    if is_image(media.url) and len(media.url) <= format_.media and not format_.plain:
        image = element("img", src=media.url, alt=words, style=Style.IMAGE)
        return element("p", image)
    if (address := link_address(media.url)) is not None:
        return element("p", link(address, element("span", words), words))
    return muted_note(f"{words}: save it with run.media[{number}].save(path).")


def _reasoning(part: Passage, format_: Format) -> Html:
    text = _passage(part, format_)
    body = element("blockquote", text, dir="auto", style=format_.style(Style.INDENTED))
    summary = element("summary", "Reasoning")
    return element("details", summary, body, style=format_.style(Style.FOLDED))


def _tool(call: ToolCall, format_: Format) -> Html:
    state = TOOL_WORDS[call.status]
    if call.duration is not None:
        state += " · " + brief_seconds(call.duration).replace(" ", "\u00a0")
    name = element("code", one_line(call.name or "tool"))
    preview = "" if format_.lean else one_line(str(call.arguments_text), _PREVIEW)
    preview = f" {preview} · " if preview not in ("", "{}") else " "
    summary = element("summary", name, muted(preview + state))
    blocks = [
        block for label, text in tool_texts(call) for block in data_blocks(label, text, format_)
    ]
    if not blocks:
        blocks.append(muted_note("No arguments and no result were reported."))
    body = element("blockquote", *on_lines(blocks), style=format_.style(Style.INDENTED))
    return element("details", summary, body, style=format_.style(Style.FOLDED))


def data_blocks(label: str, text: str, format_: Format) -> list[str]:
    """Return data with a label, pretty-printed where it is JSON."""
    content = visible(text[: format_.tool])
    if len(text) <= format_.tool and not format_.lean:
        content = pretty_json(content)
    # An HTML export uses a monospaced font for `code` only.
    code = element("code", content, style=format_.style(Style.DATA))
    box = element("pre", code, style=format_.style(Style.BOX))
    # As a paragraph, a label would be as near to the text before it as to its own.
    title = element("small", label) if label else ""
    return [joined([title, box]), *_more(len(text) - format_.tool)]


def _passage(part: Passage, format_: Format) -> Html:
    text = str(part.text)
    kept = text[: format_.passage]
    if format_.plain or len(kept) < len(text):
        html = plain_html(kept)
    else:
        html = format_.markdown.html(kept, lean=format_.lean)
    return joined([html, *_more(len(text) - format_.passage)])


def _more(count: int) -> list[str]:
    return [muted_note(f"… {count:,} more characters")] if count > 0 else []

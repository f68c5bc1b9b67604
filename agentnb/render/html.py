"""Render a run as HTML that is safe and readable in any viewer of notebooks.

Untrusted notebooks, HTML exports and GitHub remove styles, classes or scripts.  So the elements
carry the meaning (``details``, ``table``, ``blockquote``, ``small``), a few inline styles only add
to it, and nothing is ever loaded.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from agentnb.event.transcript import Passage
from agentnb.render.html_parts import (
    Format,
    data_blocks,
    muted,
    muted_note,
    on_lines,
    part_blocks,
    source_blocks,
)
from agentnb.render.markdown_html import MarkdownRenderer, plain_html
from agentnb.render.markup import WRAPPER_CLASS, Html, Style, element, joined, sanitized
from agentnb.render.text import to_text
from agentnb.render.timeline import timeline_html
from agentnb.render.view import (
    STATUS_MARKS,
    STATUS_WORDS,
    RunView,
    by_priority,
    decision_hint,
    end_note,
    error_line,
    first_approvals,
    metrics,
    seconds,
    transcript_bytes,
)
from agentnb.render.visible import one_line

# Limit of a notebook's outputs, HTML and text together: three bytes per byte of the transcript,
# and a fixed part for labels.
_PER_BYTE: Final = 3
_FIXED: Final = 3800
# In a notebook's file each line of an output is an indented, quoted string.
_PER_LINE: Final = 13
_OUTPUT_BYTES: Final = 1_000_000
_OUTPUT_TOOL_TEXT: Final = 4_000
_OUTPUT_PARTS: Final = 2_000
_OUTPUT_MEDIA: Final = 500_000
_FILE_BYTES: Final = 20_000_000
_MIN_PARTS: Final = 50
_MIN_TEXT: Final = 50
_DURATION: Final = re.compile(
    r"\b\d+(\.\d)?(\s|&nbsp;)(ms|s|min|h)\b((\s|&nbsp;)\d\d(\s|&nbsp;)(min|s)\b)?"
)


def to_html(view: RunView, *, standalone: bool = False) -> str:
    """Return the run as a fragment of HTML, safe in any viewer.

    A fragment is for a notebook: at most 1 MB, and together with `to_text` at most three times the
    bytes of the run's transcript plus 4 kB.  If necessary, Markdown is not rendered and texts are
    cut with a note.  Tool arguments and results are cut after 4,000 characters, and of more than
    2,000 parts the last ones are rendered.

    With ``standalone`` it is a document with a style sheet and the prompt, up to 20 MB.  Neither
    makes any network request.
    """
    if not standalone:
        # A plain string, since hosts such as marimo check for the exact type.
        return str(_output_html(view))
    body = joined([question_html(view.prompt), whole_html(view)])
    return page_html(f"{view.title} · {view.platform}", body)


def whole_html(view: RunView) -> Html:
    """Return the run as a fragment for a document of its own, limited to 20 MB."""
    format_ = Format(
        tool=_FILE_BYTES,
        passage=_FILE_BYTES,
        media=_FILE_BYTES,
        markdown=_parsed_markdown(view),
        timeline=True,
    )
    return _fitted(view, _FILE_BYTES, format_)


def question_html(prompt: str) -> Html:
    """Return a prompt as a quote of plain text."""
    return sanitized(element("blockquote", plain_html(prompt), dir="auto"))


def page_html(title: str, body: Html, *, width: str = "50rem") -> str:
    """Return a document with a sanitized ``body``, which makes no request."""
    return _PAGE.format(title=element("title", one_line(title)), body=body, width=width)


def _output_html(view: RunView) -> Html:
    text = to_text(view)
    both = _PER_BYTE * transcript_bytes(view) + _FIXED
    total = max(_FIXED // 2, min(both - len(text.encode()), _OUTPUT_BYTES))
    format_ = Format(
        tool=_OUTPUT_TOOL_TEXT,
        passage=total,
        parts=_OUTPUT_PARTS,
        media=_OUTPUT_MEDIA,
        markdown=_parsed_markdown(view),
    )
    blocks = _blocks(view, format_)
    limit = min(both - _file_bytes(text), _OUTPUT_BYTES)
    html, size = _sanitized_within(blocks, limit)
    if size > limit or _file_bytes(html) > limit:
        return _fitted(view, total, replace(format_, lean=True))
    room = min(both - _file_bytes(_steady(text)), _OUTPUT_BYTES) - _file_bytes(_steady(html))
    timeline = _timeline(view, room=room)
    return html if timeline is None else sanitized(_wrapped([*blocks, timeline]))


def _file_bytes(text: str) -> int:
    """Return about how many bytes an output takes in a notebook's file."""
    return len(text.encode()) + text.count('"') + _PER_LINE * text.count("\n")


def _steady(text: str) -> str:
    """Return ``text`` with the longest possible durations, so that sizes do not depend on them."""
    return _DURATION.sub("59&nbsp;min&nbsp;59&nbsp;s", text)


def _timeline(view: RunView, *, room: int | None = None) -> Html | None:
    # An unfinished run has its timeline in the live view.
    if view.duration is None or (room is not None and room <= 0):
        return None
    return timeline_html(view.segments(), view.duration, room=room, line=_PER_LINE)


def _fitted(view: RunView, total: int, format_: Format) -> Html:
    """Return the run in this format, or in the richest plainer one of at most ``total`` bytes."""
    while True:
        html, size = _sanitized_within(_blocks(view, format_), total)
        if size <= total:
            return html
        if not format_.plain:
            format_ = replace(format_, lean=True, plain=True)
        elif format_.passage <= 0:
            return sanitized(html)
        else:
            # Escaping makes some text several times longer, so this may take several rounds.
            share = 0.9 * total / size
            format_ = replace(
                format_,
                tool=int(min(format_.tool, format_.passage) * share),
                passage=int(format_.passage * share),
                parts=max(_MIN_PARTS, int(min(format_.parts, len(view.transcript.parts)) * share)),
            )


def _sanitized_within(blocks: list[str], total: int) -> tuple[Html, int]:
    """Return the fragment and its bytes, sanitized only if it may be within ``total``."""
    html = _wrapped(blocks)
    # The sanitizer shortens nothing but quotes.
    size = len(html.encode()) - html.count("&quot;") * len("&quot")
    if size > total:
        return html, size
    html = sanitized(html)
    return html, len(html.encode())


def _wrapped(blocks: list[str]) -> Html:
    return element("div", *on_lines(blocks), class_=WRAPPER_CLASS, style=Style.BREAKING)


def _blocks(view: RunView, format_: Format) -> list[str]:
    blocks: list[str] = [_header(view)]
    if view.notice:
        blocks.append(muted_note(one_line(view.notice, 500)))
    parts = view.transcript.parts[-format_.parts :]
    if (dropped := len(view.transcript.parts) - len(parts)) > 0:
        blocks.append(muted_note(f"… {dropped:,} earlier parts"))
    blocks += part_blocks(parts, format_, earlier=view.transcript.parts[:dropped])
    blocks += source_blocks(view.transcript.citations)
    if (state := view.transcript.state_text) is not None:
        body = element("blockquote", *on_lines(data_blocks("", state, format_)))
        blocks.append(element("details", element("summary", "State"), body))
    timeline = _timeline(view) if format_.timeline else None
    blocks += [*_approvals(view, format_), *_end(view)]
    return blocks if timeline is None else [*blocks, timeline]


def _header(view: RunView) -> Html:
    status = view.transcript.status
    state = f"{STATUS_MARKS[status]} {STATUS_WORDS[status]} · {seconds(view.took)}"
    return element(
        "p",
        element("strong", one_line(view.title)),
        muted(f" · {one_line(view.platform)} · {state}"),
    )


def _approvals(view: RunView, format_: Format) -> list[str]:
    html: list[str] = []
    approvals, more = first_approvals(view)
    # Both are cut like tool texts if there is no room.
    max_message, max_tool = (min(most, max(format_.tool, _MIN_TEXT)) for most in (1000, 200))
    for approval, note in approvals:
        words: list[str] = [element("strong", "Waiting for approval")]
        words.append(f": {one_line(approval.message, max_message)}" if approval.message else "")
        if approval.tool:
            words += [" ", element("code", one_line(approval.tool, max_tool))]
        blocks: list[str] = [element("p", *words)]
        if approval.arguments not in ("", "{}"):
            blocks += data_blocks("Arguments", approval.arguments, format_)
        if note:
            blocks.append(muted_note(note))
        # In a style that no answer can imitate.
        html.append(element("blockquote", *blocks, style=Style.PAUSE))
    notes = [muted_note(note) for note in (more, decision_hint(view)) if note is not None]
    return [*html, *notes]


def _end(view: RunView) -> list[str]:
    blocks: list[str] = []
    if (error := error_line(view)) is not None:
        label, message, code = error
        words: list[str] = [element("strong", label), f": {one_line(message, 2000)}"]
        if code:
            words += [" ", element("code", one_line(code))]
        blocks.append(element("blockquote", element("p", *words), style=Style.ALERT))
    if followups := view.transcript.followups[:20]:
        items = [element("li", one_line(question, 500)) for question in followups]
        blocks += [muted_note("Ask next"), element("ul", *items)]
    # Lines break only between two metrics, at a space that is visible on neither line.
    pairs = [f"{label}: {value}".replace(" ", "\u00a0") for label, value in metrics(view)]
    figures = "\u2003".join(pairs)
    note = end_note(view)
    if note is not None and figures and not blocks:
        return [element("p", muted(note, Html("<br>"), figures))]
    notes = [] if note is None else [muted_note(note)]
    return [*notes, *blocks, *([muted_note(figures)] if figures else [])]


def _parsed_markdown(view: RunView) -> MarkdownRenderer:
    """Return a renderer that has parsed the run's passages, in order of priority."""
    renderer = MarkdownRenderer()
    for part in by_priority(p for p in view.transcript.parts if isinstance(p, Passage)):
        renderer.parse(str(part.text))
    return renderer


# The policy forbids every request, whatever the body contains.
_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{title}
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; }}
body {{ max-width: {width}; margin: 2rem auto; padding: 0 1rem; }}
pre {{ padding: .6rem .8rem; overflow-x: auto; background: #8881; border-radius: 4px; }}
code, pre {{ font-family: ui-monospace, monospace; font-size: .9em; }}
blockquote {{ margin: 1rem 0; padding-left: 1rem; border-left: 3px solid #8886; }}
blockquote > pre {{ padding: 0; background: none; font: inherit; }}
table {{ border-collapse: collapse; }}
th, td {{ padding: .25rem .6rem; border-bottom: 1px solid #8884; }}
summary {{ cursor: pointer; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""

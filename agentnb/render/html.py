"""A run as HTML that any viewer of notebooks can be given.

The static view has to read well where styles, classes or scripts are taken away: in an untrusted
notebook, in an HTML export, on GitHub.  So the elements carry the sense (``details``, ``table``,
``blockquote``, ``small``), a few inline styles only add to it, and nothing is ever loaded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Final

from agentnb.event.transcript import Passage, ToolCall
from agentnb.render.bars import timeline_html
from agentnb.render.data import spread_json
from agentnb.render.markup import (
    ALERT,
    BOX,
    BREAKING,
    DATA,
    FOLDED,
    INDENTED,
    MUTED,
    PAUSE,
    WRAPPER_CLASS,
    Html,
    element,
    joined,
    sanitized,
)
from agentnb.render.prose import ParsedProse, plain_html
from agentnb.render.text import to_text
from agentnb.render.view import (
    STATUS_MARKS,
    STATUS_WORDS,
    TOOL_WORDS,
    RunView,
    approvals_shown,
    brief_seconds,
    changed_note,
    decision_hint,
    end_note,
    error_line,
    facts,
    foremost,
    seconds,
    transcript_bytes,
)
from agentnb.render.visible import one_line, visible

__all__ = ["page_html", "question_html", "to_html", "whole_html"]

# What a notebook saves of a run, the HTML and the plain text beside it, stays in proportion to what
# the run brought: three times that, and a fixed part for labels.
_PER_BYTE: Final = 3
_FIXED: Final = 3800
# A line of an output is a string of its own in a notebook's file, indented and quoted.
_PER_LINE: Final = 13
_SAVED_TOTAL: Final = 1_000_000
_SAVED_TOOL: Final = 4_000
_SAVED_PARTS: Final = 2_000
_FILE_TOTAL: Final = 20_000_000
_PREVIEW: Final = 120
_FEWEST_PARTS: Final = 50
_FEWEST_LETTERS: Final = 50
_DURATION: Final = re.compile(
    r"\b\d+(\.\d)?(\s|&nbsp;)(ms|s|min|h)\b((\s|&nbsp;)\d\d(\s|&nbsp;)(min|s)\b)?"
)


@dataclass(frozen=True, slots=True)
class _Form:
    """How much is shown, and how: characters of one tool's text and of one passage."""

    tool: int
    passage: int
    # The last ones of all parts, where there are more.
    parts: int = 100_000
    # Without what costs bytes and carries no sense.
    lean: bool = False
    # Without Markdown.
    plain: bool = False
    # The Markdown of the run; each form of it has the same.
    prose: ParsedProse = field(default_factory=ParsedProse)
    # With what the run did when, of which a notebook keeps as much as there is room for.
    timeline: bool = False


def to_html(view: RunView, *, standalone: bool = False) -> str:
    """Return the run as a fragment of HTML, safe in any viewer.

    A fragment is for a notebook: at most 1 MB, and together with `to_text` at most three times the
    bytes of the run's transcript plus 4 kB, for which Markdown is given up and text cut, with a
    note, where it must be.  Tool arguments and results are cut after 4,000 characters, and of more
    than 2,000 parts the last ones are shown.

    With ``standalone`` it is a whole document with a style sheet and the prompt, whose bounds are
    far wider.  Neither makes any network request.
    """
    # A plain string: some hosts look at the exact type of what they are to show.
    return str(_document(view) if standalone else _saved_form(view))


def _saved_form(view: RunView) -> Html:
    text = to_text(view)
    both = _PER_BYTE * transcript_bytes(view) + _FIXED
    total = max(_FIXED // 2, min(both - len(text.encode()), _SAVED_TOTAL))
    form = _Form(tool=_SAVED_TOOL, passage=total, parts=_SAVED_PARTS, prose=_prose_of(view))
    blocks = _blocks(view, form)
    most = min(both - _saved(text), _SAVED_TOTAL)
    made, size = _measured(blocks, most)
    if size <= most and _saved(made) <= most:
        room = min(both - _saved(_steady(text)), _SAVED_TOTAL) - _saved(_steady(made))
        bars = _timeline(view, room=room)
        return made if bars is None else _wrapped([*blocks, bars])
    return _within(view, total, replace(form, lean=True))


def _saved(text: str) -> int:
    """Return about how many bytes an output takes in a notebook's file."""
    return len(text.encode()) + text.count('"') + _PER_LINE * text.count("\n")


def _steady(text: str) -> str:
    """Return ``text`` with every duration as long as it can be, so that none decides on a size."""
    return _DURATION.sub("59&nbsp;min&nbsp;59&nbsp;s", text)


def _timeline(view: RunView, *, room: int | None = None) -> Html | None:
    # What goes on has a live view, which has it.
    if view.duration is None or (room is not None and room <= 0):
        return None
    return timeline_html(view.segments(), view.duration, room=room, line=_PER_LINE)


def _within(view: RunView, total: int, form: _Form) -> Html:
    """Return the run in this form, or in the richest plainer one of at most ``total`` bytes."""
    made, size = _measured(_timed_blocks(view, form), total)
    if size <= total:
        return made
    # Escaping makes some text several times longer, so this may take some rounds.
    cut = replace(form, lean=True, plain=True)
    made, size = _measured(_timed_blocks(view, cut), total)
    while size > total and cut.passage > 0:
        share = 0.9 * total / size
        cut = replace(
            cut,
            tool=int(min(cut.tool, cut.passage) * share),
            passage=int(cut.passage * share),
            parts=max(_FEWEST_PARTS, int(min(cut.parts, len(view.transcript.parts)) * share)),
        )
        made, size = _measured(_timed_blocks(view, cut), total)
    return made if size <= total else sanitized(made)


def _timed_blocks(view: RunView, form: _Form) -> list[str]:
    blocks = _blocks(view, form)
    if form.timeline and (bars := _timeline(view)) is not None:
        blocks.append(bars)
    return blocks


def _measured(blocks: list[str], total: int) -> tuple[Html, int]:
    """Return the fragment and its bytes; it is sanitized only where it may be within ``total``."""
    made = _joined(blocks)
    # Nothing but quotes is written shorter by the sanitizer.
    size = len(made.encode()) - made.count("&quot;") * len("&quot")
    if size > total:
        return made, size
    made = sanitized(made)
    return made, len(made.encode())


def _wrapped(blocks: list[str]) -> Html:
    return sanitized(_joined(blocks))


def _joined(blocks: list[str]) -> Html:
    return element("div", *_on_lines(blocks), class_=WRAPPER_CLASS, style=BREAKING)


def _blocks(view: RunView, form: _Form) -> list[str]:
    blocks: list[str] = [_header(view)]
    if view.notice:
        blocks.append(_note(one_line(view.notice, 500)))
    parts = view.transcript.parts[-form.parts :]
    if (dropped := len(view.transcript.parts) - len(parts)) > 0:
        blocks.append(_note(f"… {dropped:,} earlier parts"))
    for part in parts:
        if isinstance(part, ToolCall):
            blocks.append(_tool(part, form))
        elif part.kind == "reasoning":
            blocks.append(_reasoning(part, form))
        else:
            blocks.append(element("div", _prose(str(part.text), form), dir="auto"))
    return [*blocks, *_approvals(view, form), *_end(view)]


def _header(view: RunView) -> Html:
    status = view.transcript.status
    said = f"{STATUS_MARKS[status]} {STATUS_WORDS[status]} · {seconds(view.took)}"
    return element(
        "p",
        element("strong", one_line(view.title)),
        _muted(f" · {one_line(view.platform)} · {said}"),
    )


def _reasoning(part: Passage, form: _Form) -> Html:
    said = _prose(str(part.text), form)
    body = element("blockquote", said, dir="auto", style=_style(INDENTED, form))
    return element("details", element("summary", "Reasoning"), body, style=_style(FOLDED, form))


def _tool(call: ToolCall, form: _Form) -> Html:
    words = [TOOL_WORDS[call.status]]
    if call.duration is not None:
        words.append(brief_seconds(call.duration).replace(" ", "\u00a0"))
    name = element("code", one_line(call.name or "tool"))
    preview = "" if form.lean else one_line(str(call.arguments_text), _PREVIEW)
    said = f" {preview} · " if preview not in ("", "{}") else " "
    summary = element("summary", name, _muted(said + " · ".join(words)))
    blocks: list[str] = []
    for label, text in (("Arguments", str(call.arguments_text)), ("Result", str(call.result_text))):
        if text:
            blocks += _data(label, text, form)
    if call.error is not None:
        blocks += _data("Error", call.error, form)
    if not blocks:
        blocks.append(_note("No arguments and no result were reported."))
    body = element("blockquote", *_on_lines(blocks), style=_style(INDENTED, form))
    return element("details", summary, body, style=_style(FOLDED, form))


def _data(label: str, text: str, form: _Form) -> list[str]:
    """Return what a tool got or gave, as text: whatever it says it is, it is not run."""
    shown = visible(text[: form.tool])
    if len(text) <= form.tool and not form.lean:
        shown = spread_json(shown)
    # An HTML export gives a typewriter's face to `code` only.
    code = element("code", shown, style=_style(DATA, form))
    box = element("pre", code, style=_style(BOX, form))
    # A label in a paragraph would stand as near to what is before it as to its own text.
    return [joined([element("small", label), box]), *_more(len(text) - form.tool)]


def _prose(text: str, form: _Form) -> Html:
    shown = text[: form.passage]
    is_plain = form.plain or len(shown) < len(text)
    made = form.prose.plain(shown) if is_plain else form.prose.html(shown, lean=form.lean)
    return joined([made, *_more(len(text) - form.passage)])


def _more(count: int) -> list[str]:
    return [_note(f"… {count:,} more characters")] if count > 0 else []


def _approvals(view: RunView, form: _Form) -> list[str]:
    made: list[str] = []
    shown, more = approvals_shown(view)
    # Both shrink with the form where there is no room.
    said, called = (min(most, max(form.tool, _FEWEST_LETTERS)) for most in (1000, 200))
    for approval in shown:
        words: list[str] = [element("strong", "Waiting for approval")]
        words.append(f": {one_line(approval.message, said)}" if approval.message else "")
        if approval.tool:
            words += [" ", element("code", one_line(approval.tool, called))]
        blocks: list[str] = [element("p", *words)]
        if approval.arguments not in ("", "{}"):
            blocks += _data("Arguments", approval.arguments, form)
        if (note := changed_note(view, approval)) is not None:
            blocks.append(_note(note))
        # In a style that no answer has, however much its words are like these.
        made.append(element("blockquote", *blocks, style=PAUSE))
    notes = [_note(note) for note in (more, decision_hint(view)) if note is not None]
    return [*made, *notes]


def _end(view: RunView) -> list[str]:
    note, figures = end_note(view), _facts(view)
    between = [*_failure(view), *_followups(view)]
    if note is not None and figures is not None and not between:
        return [element("p", _muted(note, Html("<br>"), figures))]
    made = [] if note is None else [_note(note)]
    return [*made, *between, *([] if figures is None else [_note(figures)])]


def _failure(view: RunView) -> list[str]:
    error = error_line(view)
    if error is None:
        return []
    word, line, code = error
    words: list[str] = [element("strong", word), f": {one_line(line, 2000)}"]
    if code:
        words += [" ", element("code", one_line(code))]
    return [element("blockquote", element("p", *words), style=ALERT)]


def _followups(view: RunView) -> list[str]:
    if not view.transcript.followups:
        return []
    asked = [element("li", one_line(question, 500)) for question in view.transcript.followups[:20]]
    return [_note("Ask next"), element("ul", *asked)]


def _facts(view: RunView) -> str | None:
    # The parts of one figure stay on one line where the whole does not fit, and what is between two
    # figures shows on neither line.
    found = [f"{label}: {value}".replace(" ", "\u00a0") for label, value in facts(view)]
    return "\u2003".join(found) or None


def _note(text: str) -> Html:
    return element("p", _muted(text))


def _muted(*content: str) -> Html:
    return element("small", *content, style=MUTED)


def _style(style: str, form: _Form) -> str | None:
    return None if form.lean else style


def _on_lines(blocks: list[str]) -> list[str]:
    """Return the blocks each on a line of its own, for the diffs of saved notebooks."""
    return [piece for block in blocks for piece in (block, "\n")]


def whole_html(view: RunView) -> Html:
    """Return the run as the fragment that a file of its own holds, bounded at 20 MB."""
    form = _Form(tool=_FILE_TOTAL, passage=_FILE_TOTAL, prose=_prose_of(view), timeline=True)
    return _within(view, _FILE_TOTAL, form)


def _prose_of(view: RunView) -> ParsedProse:
    prose = ParsedProse()
    for part in foremost(p for p in view.transcript.parts if isinstance(p, Passage)):
        prose.parse(str(part.text))
    return prose


def question_html(prompt: str) -> Html:
    """Return what was asked, as it was written."""
    return sanitized(element("blockquote", plain_html(prompt), dir="auto"))


def page_html(title: str, body: Html, *, width: str = "50rem") -> str:
    """Return a whole document that shows ``body``, which is safe already, and asks for nothing."""
    return _PAGE.format(title=element("title", one_line(title)), body=body, width=width)


def _document(view: RunView) -> str:
    body = joined([question_html(view.prompt), whole_html(view)])
    return page_html(f"{view.title} · {view.platform}", body)


# The policy forbids every request, whatever the body holds.
_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
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

"""Render a conversation as text, Markdown and HTML, from the renderings of its runs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

from agentnb.render.html import muted, muted_note, page_html, question_html, to_html, whole_html
from agentnb.render.markdown import (
    answer_markdown,
    escape_markdown,
    front_matter,
    quote_markdown,
)
from agentnb.render.markup import WRAPPER_CLASS, Html, element, joined, sanitized
from agentnb.render.text import to_text
from agentnb.render.view import RunView
from agentnb.render.visible import one_line, visible

# Limits of a notebook's output: the last turns, and their bytes.
_MAX_TURNS: Final = 50
_MAX_BYTES: Final = 2_000_000
_MAX_QUESTION: Final = 4_000
_LIVE_NOTE: Final = (
    "This was a live chat; these are its messages when it was displayed. "
    "chat.freeze() puts all of it into the notebook."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnView:
    """One question and its run; ``lock`` is held while the run is rendered.

    ``attachments`` are file names, ``note`` is one line for the reader.
    """

    prompt: str
    run: RunView
    lock: AbstractContextManager[Any]
    attachments: Sequence[str] = ()
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatView:
    """A conversation as input of a renderer: the turns of the current branch, in order.

    ``live`` marks the fallback for viewers without the live chat.
    """

    title: str
    platform: str
    turns: Sequence[TurnView]
    session_id: str | None = None
    usage: dict[str, Any] | None = None
    live: bool = False


def chat_html(view: ChatView, *, standalone: bool = False) -> str:
    """Return the conversation as a fragment of HTML, safe in any viewer.

    A fragment is for a notebook: the last 50 turns, at most about 2 MB, with a note on the earlier
    ones.  With ``standalone`` it is a document with all turns.  Neither makes any network request.
    """
    pieces: list[Html] = []
    size = 0
    limit = len(view.turns) if standalone else _MAX_TURNS
    for turn in reversed(view.turns[-limit:] if limit else ()):
        html = _turn_html(turn, standalone=standalone)
        size += len(html.encode())
        if pieces and not standalone and size > _MAX_BYTES:
            break
        pieces.append(html)
    head = _head_html(view, omitted=len(view.turns) - len(pieces))
    body = joined([head, *reversed(pieces)], "\n")
    # A plain string, since hosts such as marimo check for the exact type.
    return page_html(f"{view.title} · {view.platform}", body) if standalone else str(body)


def chat_text(view: ChatView) -> str:
    """Return the last 50 turns of the conversation as plain text."""
    turns = view.turns[-_MAX_TURNS:]
    lines = [f"{one_line(view.title)} · {one_line(view.platform)} · {_questions(len(view.turns))}"]
    if omitted := len(view.turns) - len(turns):
        lines.append(f"({_omitted(omitted)})")
    for turn in turns:
        prompt = visible(_shortened(turn.prompt))
        lines += ["", *(f"> {line}".rstrip() for line in prompt.split("\n"))]
        if turn.attachments:
            lines.append(f"> ({_attached(turn)})")
        if turn.note:
            lines.append(one_line(turn.note, 500))
        with turn.lock:
            lines += ["", to_text(turn.run)]
    return "\n".join(lines)


def chat_markdown(view: ChatView) -> str:
    """Return the conversation as one document: front matter, then each question and its answer."""
    sessions = [one_line(s) for turn in view.turns if (s := turn.run.transcript.session_id)]
    facts = {
        "agent": one_line(view.title),
        "platform": one_line(view.platform),
        "session_id": view.session_id and one_line(view.session_id),
        "sessions": list(dict.fromkeys(sessions)),
        "questions": len(view.turns),
        "usage": view.usage,
    }
    blocks = [front_matter(facts), f"# {escape_markdown(view.title)}"]
    for number, turn in enumerate(view.turns, 1):
        blocks += [f"## Question {number}", quote_markdown(turn.prompt)]
        if turn.attachments:
            blocks.append(escape_markdown(_attached(turn)))
        if turn.note:
            blocks.append(f"*{escape_markdown(turn.note)}*")
        with turn.lock:
            blocks += answer_markdown(turn.run)
            ids = _ids(turn.run)
        if ids:
            blocks.append(f"<sub>{escape_markdown(ids)}</sub>")
    return "\n\n".join(blocks) + "\n"


def _head_html(view: ChatView, *, omitted: int) -> Html:
    details = f" · {one_line(view.platform)} · {_questions(len(view.turns))}"
    title = element("strong", one_line(view.title))
    blocks = [element("p", title, muted(details))]
    if omitted:
        blocks.append(muted_note(_omitted(omitted)))
    if view.live:
        blocks.append(muted_note(_LIVE_NOTE))
    elif not view.turns:
        blocks.append(muted_note("No questions yet."))
    return sanitized(element("div", *blocks, class_=WRAPPER_CLASS))


def _turn_html(turn: TurnView, *, standalone: bool) -> Html:
    prompt = turn.prompt if standalone else _shortened(turn.prompt)
    notes: list[str] = []
    if turn.attachments:
        notes.append(muted_note(_attached(turn)))
    if turn.note:
        notes.append(muted_note(one_line(turn.note, 500)))
    about = sanitized(element("div", *notes, class_=WRAPPER_CLASS)) if notes else Html("")
    question = element("div", question_html(prompt), class_=WRAPPER_CLASS)
    with turn.lock:
        answer = whole_html(turn.run) if standalone else Html(to_html(turn.run))
    return joined([sanitized(element("hr")), question, about, answer])


def _shortened(prompt: str) -> str:
    more = len(prompt) - _MAX_QUESTION
    return prompt if more <= 0 else f"{prompt[:_MAX_QUESTION]}… ({more:,} more characters)"


def _questions(count: int) -> str:
    return f"{count:,} question{'' if count == 1 else 's'}"


def _omitted(count: int) -> str:
    return f"… {count:,} earlier question{'' if count == 1 else 's'}; an export has all."


def _attached(turn: TurnView) -> str:
    return f"Attached: {one_line(', '.join(turn.attachments), 500)}"


def _ids(run: RunView) -> str:
    ids = {"Run": run.transcript.run_id, "Session": run.transcript.session_id}
    return " · ".join(f"{name}: {one_line(id)}" for name, id in ids.items() if id)

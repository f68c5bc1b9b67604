"""A conversation as text, Markdown and HTML, composed of its runs' own renderings."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

from agentnb.render.html import page_html, question_html, to_html, whole_html
from agentnb.render.markdown import (
    answer_markdown,
    escape_markdown,
    front_matter,
    quote_markdown,
)
from agentnb.render.markup import MUTED, WRAPPER_CLASS, Html, element, joined, sanitized
from agentnb.render.text import to_text
from agentnb.render.view import RunView
from agentnb.render.visible import one_line, visible

__all__ = ["ChatView", "TurnView", "chat_html", "chat_markdown", "chat_text"]

# What an output of a notebook shows of a long conversation: its last turns, and of these no more
# than fits.
_SHOWN_TURNS: Final = 50
_SHOWN_BYTES: Final = 2_000_000
_QUESTION: Final = 4_000
_STOOD: Final = (
    "A live chat stood here; this is what had been said when it was shown. "
    "chat.freeze() puts all of it into the notebook."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnView:
    """One question and its run; ``lock`` is held while the run is rendered.

    ``attachments`` are the names of files, ``note`` one line for the reader.
    """

    prompt: str
    run: RunView
    lock: AbstractContextManager[Any]
    attachments: Sequence[str] = ()
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatView:
    """A conversation as a renderer sees it: the turns of the branch that is shown, in order.

    ``live`` says that it is what a viewer shows where it cannot show the live chat.
    """

    title: str
    platform: str
    turns: Sequence[TurnView]
    session_id: str | None = None
    usage: dict[str, Any] | None = None
    live: bool = False


def chat_html(view: ChatView, *, standalone: bool = False) -> str:
    """Return the conversation as a fragment of HTML, safe in any viewer.

    A fragment is for a notebook: the last 50 turns, at most about 2 MB, with a line that tells how
    many are left out.  With ``standalone`` it is a whole document with all of them.  Neither makes
    any network request.
    """
    pieces: list[Html] = []
    size = 0
    limit = len(view.turns) if standalone else _SHOWN_TURNS
    for turn in reversed(view.turns[-limit:] if limit else ()):
        made = _turn_html(turn, standalone=standalone)
        size += len(made.encode())
        if pieces and not standalone and size > _SHOWN_BYTES:
            break
        pieces.append(made)
    blocks = [_head_html(view, left_out=len(view.turns) - len(pieces)), *reversed(pieces)]
    body = joined(list(blocks), "\n")
    # A plain string: hosts that look at types, such as marimo, know no other.
    return page_html(f"{view.title} · {view.platform}", body) if standalone else str(body)


def chat_text(view: ChatView) -> str:
    """Return the conversation as plain text, the last 50 turns of it."""
    shown = view.turns[-_SHOWN_TURNS:]
    lines = [f"{one_line(view.title)} · {one_line(view.platform)} · {_count(view)}"]
    if left_out := len(view.turns) - len(shown):
        lines.append(f"({_left_out(left_out)})")
    for turn in shown:
        prompt = visible(_bounded(turn.prompt))
        lines += ["", *(f"> {line}".rstrip() for line in prompt.split("\n"))]
        if turn.attachments:
            lines.append(f"> ({_attached(turn)})")
        if turn.note:
            lines.append(one_line(turn.note, 500))
        with turn.lock:
            lines += ["", to_text(turn.run)]
    return "\n".join(lines)


def chat_markdown(view: ChatView) -> str:
    """Return the conversation as one document: facts, then each question and its answer."""
    sessions = list(
        dict.fromkeys(one_line(s) for t in view.turns if (s := t.run.transcript.session_id))
    )
    head = {
        "agent": one_line(view.title),
        "platform": one_line(view.platform),
        "session_id": view.session_id and one_line(view.session_id),
        "sessions": sessions,
        "questions": len(view.turns),
        "usage": view.usage,
    }
    blocks = [front_matter(head), f"# {escape_markdown(view.title)}"]
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


def _head_html(view: ChatView, *, left_out: int) -> Html:
    said = f" · {one_line(view.platform)} · {_count(view)}"
    words = [element("strong", one_line(view.title)), element("small", said, style=MUTED)]
    blocks = [element("p", *words)]
    if left_out:
        blocks.append(_note(_left_out(left_out)))
    if view.live:
        blocks.append(_note(_STOOD))
    elif not view.turns:
        blocks.append(_note("Nothing was said yet."))
    return sanitized(element("div", *blocks, class_=WRAPPER_CLASS))


def _turn_html(turn: TurnView, *, standalone: bool) -> Html:
    prompt = turn.prompt if standalone else _bounded(turn.prompt)
    notes: list[str] = []
    if turn.attachments:
        notes.append(_note(_attached(turn)))
    if turn.note:
        notes.append(_note(one_line(turn.note, 500)))
    about = sanitized(element("div", *notes, class_=WRAPPER_CLASS)) if notes else Html("")
    question = element("div", question_html(prompt), class_=WRAPPER_CLASS)
    with turn.lock:
        answer = whole_html(turn.run) if standalone else Html(to_html(turn.run))
    return joined([sanitized(element("hr")), question, about, answer])


def _bounded(prompt: str) -> str:
    more = len(prompt) - _QUESTION
    return prompt if more <= 0 else f"{prompt[:_QUESTION]}… ({more:,} more characters)"


def _note(text: str) -> Html:
    return element("p", element("small", text, style=MUTED))


def _count(view: ChatView) -> str:
    count = len(view.turns)
    return f"{count:,} question{'' if count == 1 else 's'}"


def _left_out(count: int) -> str:
    return f"… {count:,} earlier question{'' if count == 1 else 's'}; an export has all."


def _attached(turn: TurnView) -> str:
    return f"Attached: {one_line(', '.join(turn.attachments), 500)}"


def _ids(run: RunView) -> str:
    transcript = run.transcript
    found = {"Run": transcript.run_id, "Session": transcript.session_id}
    return " · ".join(f"{name}: {one_line(key)}" for name, key in found.items() if key)

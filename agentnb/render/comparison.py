"""Several answers to one question: side by side, and their figures in a table below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from agentnb.render.html import page_html, question_html, to_html, whole_html
from agentnb.render.markdown import answer_markdown, escape_markdown, quote_markdown
from agentnb.render.markup import (
    ALIGNMENTS,
    BREAKING,
    COLUMN,
    COLUMNS,
    MUTED,
    SCROLLED,
    WRAPPER_CLASS,
    Html,
    element,
    sanitized,
)
from agentnb.render.text import to_text
from agentnb.render.view import STATUS_MARKS, STATUS_WORDS, RunView, brief_seconds, dollars
from agentnb.render.visible import one_line

__all__ = ["ComparisonView", "comparison_html", "comparison_markdown", "comparison_text"]

_BEST: Final = "★"
_NONE: Final = "–"
_PROMPT: Final = 300
_LEFT: Final = ALIGNMENTS["left"]
_RIGHT: Final = ALIGNMENTS["right"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonView:
    """Answers to one question as a renderer sees them: a label, which no other has, and the run.

    Whoever renders runs that still go on holds their locks.
    """

    prompt: str
    runs: Sequence[tuple[str, RunView]]

    @property
    def title(self) -> str:
        """What it is called, in a few words."""
        return f"Comparison of {len(self.runs)} agents"

    @property
    def labelled(self) -> list[RunView]:
        """The runs, each under its label."""
        return [replace(view, title=label) for label, view in self.runs]


def comparison_html(view: ComparisonView, *, standalone: bool = False) -> str:
    """Return the answers in columns, which wrap where they have no room, and the table below.

    A fragment for a notebook by default, each answer bounded as `to_html` bounds it; with
    ``standalone`` a whole document.  Neither makes any network request.
    """
    shown: list[str] = []
    for run in view.labelled:
        # Both make markup that went through the allow-list.
        made = whole_html(run) if standalone else Html(to_html(run))
        shown += [element("div", made, style=COLUMN), "\n"]
    columns = element("div", *shown, style=COLUMNS)
    question = question_html(view.prompt) if standalone else _question(view.prompt)
    body = element(
        "div",
        *(question, "\n", columns, "\n"),
        element("div", _table(view), style=SCROLLED),
        "\n",
        class_=WRAPPER_CLASS,
        style=BREAKING,
    )
    safe = sanitized(body)
    # A plain string: hosts that look at types, such as marimo, know no other.
    return page_html(view.title, safe, width="90rem") if standalone else str(safe)


def comparison_text(view: ComparisonView) -> str:
    """Return the answers one after the other, and their figures aligned, as plain text."""
    blocks: list[str] = []
    for run in view.labelled:
        blocks += [f"── {one_line(run.title)} ──", to_text(run), ""]
    rows = [_HEADINGS, *_rows(view)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADINGS))]
    for row in rows:
        cells = [
            cell.ljust(width) if i < _WORDS else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        blocks.append("  ".join(cells).rstrip())
    return "\n".join(blocks)


def comparison_markdown(view: ComparisonView) -> str:
    """Return the question, the figures and the answers as one document."""
    table = [_HEADINGS, tuple("---" if i < _WORDS else "--:" for i in range(len(_HEADINGS)))]
    rows = _rows(view)
    table += [(escape_markdown(label), *cells) for label, *cells in rows]
    blocks = [
        f"# {view.title}",
        quote_markdown(view.prompt),
        "\n".join(f"| {' | '.join(row)} |" for row in table),
    ]
    if _marked(rows):
        blocks.append(f"{_BEST} {_MEANING}")
    for label, run in view.runs:
        blocks += [f"## {escape_markdown(label)}", *answer_markdown(run)]
    return "\n\n".join(blocks) + "\n"


# -- the table -----------------------------------------------------------------------------------


def _input_tokens(view: RunView) -> float | None:
    usage = view.transcript.usage
    return usage and usage.input_tokens


def _output_tokens(view: RunView) -> float | None:
    usage = view.transcript.usage
    return usage and usage.output_tokens


def _cost(view: RunView) -> float | None:
    usage = view.transcript.usage
    return usage and usage.cost_usd


def _count(value: float) -> str:
    return f"{value:,}"


# What is measured, how it is read of a run, and how it is written; less is better in each.
_FIGURES: Final[
    tuple[tuple[str, Callable[[RunView], float | None], Callable[[float], str]], ...]
] = (
    ("First token", lambda view: view.time_to_first_token, brief_seconds),
    ("Duration", lambda view: view.took, brief_seconds),
    ("Input tokens", _input_tokens, _count),
    ("Output tokens", _output_tokens, _count),
    ("Cost", _cost, dollars),
)
# How many columns hold words.
_WORDS: Final = 2
_HEADINGS: Final = ("Agent", "Status", *(heading for heading, _, _ in _FIGURES))
_MEANING: Final = "the least among the completed answers"


def _rows(view: ComparisonView) -> list[tuple[str, ...]]:
    columns: list[list[str]] = []
    runs = [run for _, run in view.runs]
    for _, read, write in _FIGURES:
        values = [read(run) for run in runs]
        best = _best(runs, values, write)
        shown = [_NONE if value is None else write(value) for value in values]
        columns.append(
            [
                f"{text} {_BEST}" if text == best and _counts(run) else text
                for run, text in zip(runs, shown, strict=True)
            ]
        )
    return [
        (one_line(label), _status(run), *(column[i] for column in columns))
        for i, (label, run) in enumerate(view.runs)
    ]


def _status(view: RunView) -> str:
    status = view.transcript.status
    return f"{STATUS_MARKS[status]} {STATUS_WORDS[status]}"


def _counts(view: RunView) -> bool:
    # What broke off early was quick and cheap, and no better for it.
    return view.transcript.status == "completed"


def _best(
    runs: Sequence[RunView], values: Sequence[float | None], write: Callable[[float], str]
) -> str | None:
    """Return the least value as it is written, once all have ended; None where none stands out."""
    if any(run.duration is None for run in runs):
        return None
    pairs = zip(runs, values, strict=True)
    found = [value for run, value in pairs if value is not None and _counts(run)]
    # What reads the same is the same to a reader.
    return write(min(found)) if len({write(value) for value in found}) > 1 else None


def _marked(rows: Sequence[tuple[str, ...]]) -> bool:
    return any(cell.endswith(_BEST) for row in rows for cell in row[_WORDS:])


def _question(prompt: str) -> Html:
    return element("p", element("small", one_line(prompt, _PROMPT), style=MUTED), dir="auto")


def _table(view: ComparisonView) -> Html:
    sides = [_LEFT if i < _WORDS else _RIGHT for i in range(len(_HEADINGS))]
    head = [
        element("th", heading, scope="col", style=side)
        for heading, side in zip(_HEADINGS, sides, strict=True)
    ]
    rows = _rows(view)
    body: list[str] = []
    for label, *cells in rows:
        made = [element("th", label, scope="row", style=_LEFT)]
        made += [
            element("td", cell.replace(" ", "\u00a0"), style=side)
            for cell, side in zip(cells, sides[1:], strict=True)
        ]
        body += [element("tr", *made), "\n"]
    words = f"Figures · {_BEST} {_MEANING}" if _marked(rows) else "Figures"
    return element(
        "table",
        element("caption", element("small", words, style=MUTED), style=_LEFT),
        element("thead", element("tr", *head)),
        element("tbody", *body),
    )

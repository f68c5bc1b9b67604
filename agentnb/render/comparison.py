"""Render several answers to one question side by side, with their metrics in a table below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from agentnb.render.html import muted, page_html, question_html, to_html, whole_html
from agentnb.render.markdown import answer_markdown, escape_markdown, quote_markdown
from agentnb.render.markup import WRAPPER_CLASS, Html, Style, element, sanitized
from agentnb.render.text import to_text
from agentnb.render.view import STATUS_MARKS, STATUS_WORDS, RunView, brief_seconds, dollars
from agentnb.render.visible import one_line

_BEST: Final = "★"
_MISSING: Final = "–"
_MEANING: Final = "the least among the completed answers"
_MAX_PROMPT: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonView:
    """Answers to one question as input of a renderer: pairs of a unique label and a run.

    A caller that renders unfinished runs holds their locks.
    """

    prompt: str
    runs: Sequence[tuple[str, RunView]]

    @property
    def title(self) -> str:
        """Short title of the comparison."""
        return f"Comparison of {len(self.runs)} agents"

    @property
    def labelled(self) -> list[RunView]:
        """The runs, with their labels as titles."""
        return [replace(view, title=label) for label, view in self.runs]


def comparison_html(view: ComparisonView, *, standalone: bool = False) -> str:
    """Return the answers in columns, which wrap where there is no room, and the table below.

    By default a fragment for a notebook, with each answer limited as in `to_html`; with
    ``standalone`` a document.  Neither makes any network request.
    """
    answers: list[str] = []
    for run in view.labelled:
        # Both are sanitized already.
        html = whole_html(run) if standalone else Html(to_html(run))
        answers += [element("div", html, style=Style.COLUMN), "\n"]
    columns = element("div", *answers, style=Style.COLUMNS)
    # Shortened where the cell above has the whole prompt.
    short = element("p", muted(one_line(view.prompt, _MAX_PROMPT)), dir="auto")
    question = question_html(view.prompt) if standalone else short
    body = element(
        "div",
        *(question, "\n", columns, "\n"),
        element("div", _table(view), style=Style.SCROLLED),
        "\n",
        class_=WRAPPER_CLASS,
        style=Style.BREAKING,
    )
    safe = sanitized(body)
    # A plain string, since hosts such as marimo check for the exact type.
    return page_html(view.title, safe, width="90rem") if standalone else str(safe)


def comparison_text(view: ComparisonView) -> str:
    """Return the answers one after the other, and their metrics aligned, as plain text."""
    blocks: list[str] = []
    for run in view.labelled:
        blocks += [f"── {one_line(run.title)} ──", to_text(run), ""]
    rows = [_HEADINGS, *_rows(view)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if i < _TEXT_COLUMNS else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        blocks.append("  ".join(cells).rstrip())
    return "\n".join(blocks)


def comparison_markdown(view: ComparisonView) -> str:
    """Return the question, the metrics and the answers as one document."""
    rows = _rows(view)
    table = [
        _HEADINGS,
        tuple("---" if i < _TEXT_COLUMNS else "--:" for i in range(len(_HEADINGS))),
        *((escape_markdown(label), *cells) for label, *cells in rows),
    ]
    blocks = [
        f"# {view.title}",
        quote_markdown(view.prompt),
        "\n".join(f"| {' | '.join(row)} |" for row in table),
    ]
    if _has_best(rows):
        blocks.append(f"{_BEST} {_MEANING}")
    for label, run in view.runs:
        blocks += [f"## {escape_markdown(label)}", *answer_markdown(run)]
    return "\n\n".join(blocks) + "\n"


# -- the table -----------------------------------------------------------------------------------


def _usage(field: str) -> Callable[[RunView], float | None]:
    return lambda view: getattr(view.transcript.usage, field, None)


# Heading, value of a run, and format; less is better in each.
_METRICS: Final[
    tuple[tuple[str, Callable[[RunView], float | None], Callable[[float], str]], ...]
] = (
    ("First token", lambda view: view.time_to_first_token, brief_seconds),
    ("Duration", lambda view: view.took, brief_seconds),
    ("Input tokens", _usage("input_tokens"), "{:,}".format),
    ("Output tokens", _usage("output_tokens"), "{:,}".format),
    ("Cost", _usage("cost_usd"), dollars),
)
_HEADINGS: Final = ("Agent", "Status", *(heading for heading, _, _ in _METRICS))
# Columns of text, before those of numbers.
_TEXT_COLUMNS: Final = 2


def _rows(view: ComparisonView) -> list[tuple[str, ...]]:
    runs = [run for _, run in view.runs]
    # A run that ended early was quick and cheap, but no better.
    ranked = [run.transcript.status == "completed" for run in runs]
    has_ended = all(run.duration is not None for run in runs)
    columns = [
        [one_line(label) for label, _ in view.runs],
        [f"{STATUS_MARKS[r.transcript.status]} {STATUS_WORDS[r.transcript.status]}" for r in runs],
    ]
    for _, value_of, format_ in _METRICS:
        values = [value_of(run) for run in runs]
        texts = [_MISSING if value is None else format_(value) for value in values]
        # Values that are formatted alike are equal to a reader.
        rivals = {
            text: value
            for text, value, is_ranked in zip(texts, values, ranked, strict=True)
            if is_ranked and value is not None
        }
        best = min(rivals, key=rivals.__getitem__) if has_ended and len(rivals) > 1 else None
        columns.append(
            [
                f"{text} {_BEST}" if text == best and is_ranked else text
                for text, is_ranked in zip(texts, ranked, strict=True)
            ]
        )
    return list(zip(*columns, strict=True))


def _has_best(rows: Sequence[tuple[str, ...]]) -> bool:
    return any(cell.endswith(_BEST) for row in rows for cell in row[_TEXT_COLUMNS:])


def _table(view: ComparisonView) -> Html:
    sides = [Style.LEFT if i < _TEXT_COLUMNS else Style.RIGHT for i in range(len(_HEADINGS))]
    head = [
        element("th", heading, scope="col", style=side)
        for heading, side in zip(_HEADINGS, sides, strict=True)
    ]
    rows = _rows(view)
    body: list[str] = []
    for label, *cells in rows:
        row = [element("th", label, scope="row", style=Style.LEFT)]
        row += [
            element("td", cell.replace(" ", "\u00a0"), style=side)
            for cell, side in zip(cells, sides[1:], strict=True)
        ]
        body += [element("tr", *row), "\n"]
    caption = f"Figures · {_BEST} {_MEANING}" if _has_best(rows) else "Figures"
    return element(
        "table",
        element("caption", muted(caption), style=Style.LEFT),
        element("thead", element("tr", *head)),
        element("tbody", *body),
    )

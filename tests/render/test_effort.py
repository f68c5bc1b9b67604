"""The work of showing 100 kB is bounded, whatever they hold, and ordinary answers are Markdown."""

from __future__ import annotations

import pytest

from agentnb.event import ReasoningDelta, TextDelta
from agentnb.render import to_html, to_markdown
from agentnb.render.effort import Effort, TooMuchWorkError
from agentnb.render.inert import inert_markdown
from agentnb.render.prose import prose_html
from tests.faults.test_rendering_bounds import steps
from tests.render.samples import answered, pathological, view_of

SIZE = 98_000
# About what ordinary prose of this size takes, twice.
MOST = 2_500_000
PATTERNS = {
    "brackets in items": ("- " + "[" * 490 + "\n") * 200,
    "brackets in paragraphs": ("[" * 400 + "\n\n") * 245,
    "links in paragraphs": ("![" * 28 + "a" + "](b)" * 28 + "\n\n") * 580,
    "table of many rows": "|a\n|-\n" + "|b\n" * 30_000,
    "table of many columns": "|" + "a|" * 5000 + "\n|" + "-|" * 5000 + ("\n|" + "b|" * 5000) * 6,
    "table of short rows": "|" + "a|" * 1000 + "\n|" + "-|" * 1000 + "\n|b" * 30_000,
    "items": "- a\n",
    "numbers": "1. a\n",
    "nested items": "* * * a\n",
    "paragraphs": "a\n\n",
    "headings": "a\n=\n",
    "quotes": "> - > - a\n",
    "blank lines": "> " + "- " * 30 + "x\n" + ">\n" * 48_000,
    "exclamations": "!",
    "emphasis": "**_* ",
    "addresses": "<http://a.b>\n\n",
    "macros": "\\href{a}{b} ",
    "definitions": "[a]: <b> '\n",
    "tags": "<b>",
    "tags in prose": "a <b>b</b> ",
    "code spans": "`a` ",
    "short links": "[a](http://b.c) " * 100 + "\n\n",
    "bold words": "Lorem **ipsum** ",
    "named references": "&amp; ",
    "references": "&#x202e;",
    "footnotes": "[^a]\n\n[^a]: b\n",
    "fences": "```\na\n```\n",
    **{name: text[:SIZE] for name, text in pathological().items()},
}


def filled(name: str) -> str:
    pattern = PATTERNS[name]
    return (pattern * (SIZE // len(pattern) + 1))[:SIZE]


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("make", [prose_html, inert_markdown], ids=["HTML", "Markdown"])
def test_a_hundred_kilobytes_take_bounded_work(name: str, make: object) -> None:
    text = filled(name)
    assert callable(make)
    make("a")
    assert steps(lambda: make(text)) < MOST


@pytest.mark.parametrize("make", [to_html, to_markdown])
def test_passages_of_one_run_share_a_budget(make: object) -> None:
    part = ("- " + "*a* " * 10 + "\n") * 380
    events = [event for _ in range(6) for event in (ReasoningDelta(part), TextDelta(part))]
    assert callable(make)
    view = view_of(events)
    assert steps(lambda: make(view)) < 2 * MOST


def test_ordinary_answers_are_markdown() -> None:
    rows = "".join(f"| item {n} | {n * 3}.50 | a **b** `c` |\n" for n in range(1000))
    table = f"| name | price | note |\n|---|---|---|\n{rows}"
    assert prose_html(table).count("<tr>") == 1001
    assert inert_markdown(table).startswith("| name")
    prose = "".join(
        f"Lorem **ipsum {n}** `dolor{n}` [sit](https://x.example/{n}) amet, consectetur elit, sed "
        f"do eiusmod tempor incididunt ut labore.\n\n- one {n}\n"
        for n in range(715)
    )
    assert SIZE < len(prose) < 100_000
    assert prose_html(prose).count("<strong>") == 715
    assert inert_markdown(prose).strip() == prose.strip()


def test_a_budget_is_for_all_that_is_parsed_with_it() -> None:
    effort = Effort()
    with pytest.raises(TooMuchWorkError):
        effort.spend_passage("*a*" * 100_000)
    assert inert_markdown("*a*", effort).startswith("```")
    assert "<em>" in to_html(answered("*a*"))

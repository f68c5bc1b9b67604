"""The work of showing 100 kB is bounded, whatever they hold, and ordinary answers are Markdown."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest

from agentnb.event.types import ReasoningDelta, RunFinished, TextDelta, ToolCallFinished
from agentnb.render import to_html, to_markdown
from agentnb.render.markdown_html import markdown_html
from agentnb.render.markdown_sanitizer import sanitize_markdown
from agentnb.render.parse_budget import ParseBudget, ParseBudgetError
from tests.cases import cases
from tests.cost import steps
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


@cases("name", PATTERNS.keys())
@pytest.mark.parametrize("make", [markdown_html, sanitize_markdown], ids=["HTML", "Markdown"])
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
    assert markdown_html(table).count("<tr>") == 1001
    assert sanitize_markdown(table).startswith("| name")
    prose = "".join(
        f"Lorem **ipsum {n}** `dolor{n}` [sit](https://x.example/{n}) amet, consectetur elit, sed "
        f"do eiusmod tempor incididunt ut labore.\n\n- one {n}\n"
        for n in range(715)
    )
    assert SIZE < len(prose) < 100_000
    assert markdown_html(prose).count("<strong>") == 715
    assert sanitize_markdown(prose).strip() == prose.strip()


SECTION = """## Section {0}

The **price** of *item {0}* moved between $171.20 and $189.95 on [a day](https://a.example/?q={0}).

- `code_{0}` of a list
  1. within another

| Measure {0} | Value |
|:------------|------:|
| Deviation | 1.8 % |

```python
def f_{0}(x: int) -> int:
    return x + {0}
```

> A quote, with $$a^2 + b_{{{0}}}^2 = c^2$$ and $E = mc^2$ in it.

"""


@pytest.mark.parametrize("size", [10_000, 50_000, 80_000])
def test_a_rich_answer_is_markdown_throughout(size: int) -> None:
    count = size // len(SECTION)
    text = "".join(SECTION.format(number) for number in range(count))
    made = to_html(answered(text), standalone=True)
    assert [
        made.count(f"<{tag}")
        for tag in ("h4", "strong", "em>", "a ", "ul", "ol", "table", "pre ", "blockquote")
    ] == [count, count + 1, count, count, count, count, count, count + 1, count + 1]
    assert to_html(answered(text)).count("<h4") == count
    assert text.strip() in to_markdown(answered(text))


def test_what_takes_too_much_stays_plain() -> None:
    for unit in ("&#", "0\n\t ", "```\n", "a\n", "<!-- ", "- a\n", "`a` "):
        text = unit * (SIZE // len(unit))
        assert markdown_html(text).startswith("<pre style"), unit
        assert sanitize_markdown(text).startswith("```"), unit
    assert markdown_html("][" + "=" * SIZE).startswith("<pre")


def test_answers_come_before_reasoning_and_the_latest_first() -> None:
    slow = "- *a*\n" * 16_000
    view = view_of([TextDelta(slow), ReasoningDelta(slow), TextDelta("**last**"), RunFinished()])
    assert "<strong>last</strong>" in to_html(view)
    assert "**last**" in to_markdown(view)


def test_a_long_run_has_the_budget_of_one_text() -> None:
    passages = [f"- *item {number}* {'of many words ' * 20}\n" * 30 for number in range(100)]
    view = view_of([ReasoningDelta(p) if n % 2 else TextDelta(p) for n, p in enumerate(passages)])
    assert 0 < to_html(view, standalone=True).count("<em>") < 2_500
    assert 0 < to_markdown(view).count("\n- *item") < 2_500


def test_what_is_too_large_is_sanitized_once() -> None:
    """What is made again, smaller, goes through no sanitizer before."""
    calls = 0

    def note(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal calls
        calls += event == "c_call" and arg.__name__ == "clean"

    view = answered("&#" * 50_000)
    sys.setprofile(note)
    try:
        to_html(view)
    finally:
        sys.setprofile(None)
    assert calls == 1


def test_of_very_many_parts_the_last_ones_are_in_a_notebook() -> None:
    events = [ToolCallFinished(call_id=str(n), name=f"t{n}", result="x") for n in range(3_000)]
    made = to_html(view_of([*events, TextDelta("done")]))
    assert "1,001 earlier parts" in made
    assert "t1001<" in made
    assert "t1000<" not in made


def test_a_budget_is_for_all_that_is_parsed_with_it() -> None:
    effort = ParseBudget()
    with pytest.raises(ParseBudgetError):
        effort.spend_passage("*a*" * 100_000)
    assert sanitize_markdown("*a*", effort).startswith("```")
    assert "<em>" in to_html(answered("*a*"))

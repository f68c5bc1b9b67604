"""However much an agent says, showing it takes time and room in proportion."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from agentnb.event.types import Event, RunFinished, TextDelta, ToolCallFinished
from agentnb.render import StreamCleaner, to_html, to_markdown, to_text
from agentnb.render.markdown_html import markdown_html
from agentnb.render.markdown_sanitizer import sanitize_markdown
from tests.cost import Cost, steps
from tests.render.samples import answered, view_of

MEGABYTE = 1_000_000


PATTERNS = {
    "brackets": "[",
    "images": "![",
    "links": "[a](https://b.example) ",
    "refused links": "[a](b:c) ",
    "tags": "<b>",
    "code": "`a`<b> ",
    "lines of code": "`a`<b>\n",
    "emphasis": "*a **b ",
    "quotes": "> ",
    "lists": "- a\n",
    "comments": "<!-- ",
    "entities": "&#x202e;",
    "backslashes": "\\",
    "macros": "\\href",
    "definitions": "[a]: b:c\n",
    "unseen": "a\u200b",
    "sequences": "\x1b[",
    "fences": "```\n",
}


@pytest.mark.parametrize("make", [sanitize_markdown, markdown_html], ids=["Markdown", "HTML"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_four_times_as_much_takes_about_four_times_as_long(
    pattern: str, make: Callable[[str], object]
) -> None:
    short, long = (PATTERNS[pattern] * count for count in (1000, 4000))
    make(short)
    assert steps(lambda: make(long)) <= 5 * steps(lambda: make(short)) + 20_000


def test_expressions_take_no_time_of_their_own() -> None:
    """Steps within one regular expression are no calls, so their time is measured: 9 s it was."""
    with Cost() as cost:
        for text in ("xmpp:" * 20_000, "]:" * 5_000 + "." * 90_000):
            sanitize_markdown(text)
    assert cost.seconds < 2


def test_an_answer_of_many_tokens_as_it_streams() -> None:
    def stream(count: int) -> None:
        cleaner = StreamCleaner()
        events: list[Event] = [TextDelta("token\u200b *a* ") for _ in range(count)]
        for event in events:
            assert isinstance(event, TextDelta)
            cleaner.feed(event.text)
        view = view_of([*events, RunFinished()])
        for make in (to_text, to_html, to_markdown):
            make(view)

    assert steps(lambda: stream(20_000)) <= 6 * steps(lambda: stream(4_000))


@pytest.mark.parametrize(
    "result",
    [
        "x" * 10 * MEGABYTE,
        '<&">\n\n' * (10 * MEGABYTE // 6),
        json.dumps({"rows": [[number, "é\u202e"] for number in range(700_000)]}),
        "\x1b[31m\u200b" * (10 * MEGABYTE // 8),
    ],
    ids=["letters", "escaped", "rows", "unseen"],
)
def test_a_tool_result_of_ten_megabytes(result: str) -> None:
    view = view_of([ToolCallFinished(call_id="c", name="t", result=result), TextDelta("done")])
    html, text = to_html(view), to_text(view)
    # What is saved in a notebook; both name what was left out.
    assert len(json.dumps(html)) + len(json.dumps(text)) < 50_000
    assert "more characters" in html
    assert html.count("done") == text.count("done") == 1
    assert "done" in to_markdown(view)


def test_a_file_of_its_own_has_an_end_too() -> None:
    result = '"<&' * 3 * MEGABYTE
    made = to_html(
        view_of([ToolCallFinished(call_id="c", name="t", result=result)]), standalone=True
    )
    assert MEGABYTE < len(made.encode()) < 21 * MEGABYTE
    assert "more characters" in made


def test_many_results_stay_bounded_together() -> None:
    events: list[Event] = [
        ToolCallFinished(call_id=str(number), name="t", result='"\n' * 50_000)
        for number in range(300)
    ]
    view = view_of([*events, TextDelta("done")])
    assert len(json.dumps(to_html(view))) < 2 * MEGABYTE
    assert "done" in to_html(view)


def test_an_answer_beyond_what_is_parsed_is_whole_and_plain() -> None:
    text = "*a* ![b](https://c.example/) " * 10_000
    made = sanitize_markdown(text)
    assert made.startswith("```\n")
    assert text.strip() in made
    assert "<em>" not in to_html(answered(text))

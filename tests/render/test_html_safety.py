"""Nothing that a run brings acts on the page that shows it."""

from __future__ import annotations

import html
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb.event.types import Event, ToolCallFinished
from agentnb.render import to_html
from agentnb.render.markup import Html, sanitized
from tests.render.harmless import TAGS, check_harmless, everywhere
from tests.render.samples import (
    ATTACKS,
    answered,
    expanded,
    read,
    view_of,
)
from tests.strategies import event_lists


class TestHarmless:
    @given(event_lists, st.text(max_size=20))
    def test_any_run(self, events: list[Event], title: str) -> None:
        check_harmless(to_html(view_of(events, title=title, notice=title)))

    @pytest.mark.parametrize(
        "case", ATTACKS, ids=[f"{case['category']}: {case['name']}" for case in ATTACKS]
    )
    def test_attack_in_every_place(self, case: dict[str, Any]) -> None:
        text = expanded(case["markdown"])[:300_000]
        made = to_html(everywhere(text))
        check_harmless(made)
        document = read(to_html(everywhere(text), standalone=True))
        assert document.balanced
        assert document.names() <= TAGS | {"html", "head", "meta", "title", "style", "body"}

    @pytest.mark.parametrize(
        "case",
        [case for case in ATTACKS if isinstance(case["markdown"], list)],
        ids=lambda case: case["name"],
    )
    def test_attack_at_every_moment(self, case: dict[str, Any]) -> None:
        for count in range(len(case["markdown"])):
            check_harmless(to_html(answered("".join(case["markdown"][: count + 1]))))

    @pytest.mark.parametrize(
        "case",
        [case for case in ATTACKS if case["category"] == "link-scheme"],
        ids=lambda case: case["name"],
    )
    def test_other_schemes_are_no_links(self, case: dict[str, Any]) -> None:
        assert read(to_html(everywhere(case["markdown"]))).links == []

    @pytest.mark.parametrize(
        "case",
        [case for case in ATTACKS if case["category"] == "html-injection"],
        ids=lambda case: case["name"],
    )
    def test_html_is_text(self, case: dict[str, Any]) -> None:
        text = expanded(case["markdown"])
        if "```" not in text and "\n" not in text:
            # Entities are Markdown, too.
            assert html.unescape(text).strip() in read(to_html(answered(text))).text

    def test_nothing_is_formula(self) -> None:
        made = to_html(answered("costs $5 or $6"))
        assert "<span>$</span>5 or <span>$</span>6" in made
        assert 'class="agentnb-run mathjax_ignore tex2jax_ignore"' in made

    def test_tool_results_are_data(self) -> None:
        result = json.dumps({"data": {"text/html": "<script>alert(1)</script>"}})
        made = to_html(view_of([ToolCallFinished(call_id="c", name="t", result=result)]))
        check_harmless(made)
        assert "<script>alert(1)</script>" in read(made).text


class TestAllowList:
    """What would stand between a mistake in the writing of the HTML and the reader."""

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("<script>x</script><p>a</p>", "<p>a</p>"),
            ("<img src=https://x.example/ onerror=x>a", "<img>a"),
            ("<img src=data:image/svg+xml;base64,AAAA>a", "<img>a"),
            (
                "<a href=data:image/png;base64,AAAA>a</a>",
                '<a rel="noopener noreferrer nofollow">a</a>',
            ),
            (
                '<img src="data:image/png;base64,AAAA" alt="a">',
                '<img src="data:image/png;base64,AAAA" alt="a">',
            ),
            ("<p onclick=x style='position:fixed' class=jp-Button id=root>a</p>", "<p>a</p>"),
            ("<p style='opacity:.7' dir=auto>a</p>", '<p style="opacity:.7" dir="auto">a</p>'),
            ("<a href='/api' target=_top>a</a>", '<a rel="noopener noreferrer nofollow">a</a>'),
            ("<a href='javascript:x'>a</a>", '<a rel="noopener noreferrer nofollow">a</a>'),
            ("<details open=1><p>a</p></details>", "<details><p>a</p></details>"),
            ("<ol start=3x><li>a</li></ol>", "<ol><li>a</li></ol>"),
            ("<button data-commandlinker-command=x>a</button>", "a"),
            ("<!-- x -->a", "a"),
        ],
    )
    def test_what_is_not_written_here_is_taken_out(self, given: str, kept: str) -> None:
        assert sanitized(Html(given)) == kept

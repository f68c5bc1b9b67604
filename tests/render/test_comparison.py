"""Several answers side by side, as HTML, Markdown and text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from agentnb.event.transcript import Transcript
from agentnb.event.types import Event, RunCancelled, RunFinished, TextDelta, Usage, UsageReported
from agentnb.render import (
    ComparisonView,
    RunView,
    comparison_html,
    comparison_markdown,
    comparison_text,
)
from agentnb.render.markup import Style


def view(
    *events: Event, first: float | None = 0.4, duration: float | None = 2.0, elapsed: float = 9.0
) -> RunView:
    transcript = Transcript()
    for event in events:
        transcript.apply(event, 0.1)
    return RunView(
        transcript=transcript,
        title="agent",
        platform="sandbox",
        prompt="Which?",
        elapsed=elapsed,
        duration=duration,
        time_to_first_token=first,
    )


def used(input_tokens: int, output_tokens: int, cost: float) -> UsageReported:
    return UsageReported(
        usage=Usage(input_tokens=input_tokens, output_tokens=output_tokens, cost_usd=cost)
    )


QUICK = view(TextDelta("**Quick** one"), used(40, 9, 0.02), RunFinished(), first=0.4, duration=1.0)
CHEAP = view(TextDelta("Cheap one"), used(30, 9, 0.001), RunFinished(), first=0.44, duration=3.0)
STOPPED = view(TextDelta("Stop"), RunCancelled(), first=0.1, duration=0.2)
BOTH = ComparisonView(prompt="Which?", runs=[("a", QUICK), ("b", CHEAP), ("c", STOPPED)])


def rows(markdown: str) -> list[list[str]]:
    lines = [line for line in markdown.split("\n") if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


class Styles(HTMLParser):
    """Gathers tags and inline styles."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.styles: set[str] = set()
        self.scopes: list[str] = []
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        if (style := given.get("style")) is not None:
            self.styles.add(style)
        if (scope := given.get("scope")) is not None:
            self.scopes.append(scope)


def test_the_figures_and_the_best_of_each() -> None:
    _, _, *figures = rows(comparison_markdown(BOTH))
    assert figures == [
        # First tokens read the same for both, so none is better.
        ["a", "✓ Completed", "0.4 s", "1.0 s ★", "40", "9", "$0.02"],
        ["b", "✓ Completed", "0.4 s", "3.0 s", "30 ★", "9", "$0.001 ★"],
        ["c", "■ Cancelled", "0.1 s", "0.2 s", "–", "–", "–"],
    ]


def test_nothing_is_best_while_one_goes_on() -> None:
    going = view(TextDelta("And"), duration=None, elapsed=12.0)
    told = ComparisonView(prompt="Which?", runs=[("a", QUICK), ("b", CHEAP), ("c", going)])
    _, _, *figures = rows(comparison_markdown(told))
    assert not any("★" in cell for row in figures for cell in row)
    assert figures[2][1:4] == ["… Running", "0.4 s", "12.0 s"]
    assert "★" not in comparison_html(told)
    assert "★" not in comparison_markdown(told)


@pytest.mark.parametrize("standalone", [False, True], ids=["fragment", "document"])
def test_html_is_made_of_what_every_viewer_lets_through(standalone: bool) -> None:
    made = comparison_html(BOTH, standalone=standalone)
    found = Styles(made)
    assert found.styles <= set(Style)
    assert {"display:flex;flex-wrap:wrap;gap:0 1.5em", "flex:1 1 260px;min-width:0"} < found.styles
    assert found.tags.count("caption") == 1
    assert found.scopes == ["col"] * 7 + ["row"] * 3
    assert "<strong>Quick</strong> one" in made
    assert made.startswith("<!DOCTYPE html>") is standalone


def test_each_answer_is_below_its_label() -> None:
    named = re.findall(r"<p><strong>([^<]*)</strong><small", comparison_html(BOTH))
    assert named == ["a", "b", "c"]


def test_whatever_is_written_stays_text() -> None:
    evil = view(TextDelta("<img src=x onerror=alert(1)>"), RunFinished())
    told = ComparisonView(
        prompt="<script>alert(2)</script>", runs=[("<b>x|y</b>", evil), ("b\nc", evil)]
    )
    for standalone in (False, True):
        found = Styles(comparison_html(told, standalone=standalone))
        assert not {"img", "script", "b"} & set(found.tags)
    _, _, first, second = rows(comparison_markdown(told).replace("\\|", "¦"))
    assert (first[0], second[0]) == ("<b\\>x¦y</b\\>".replace("<", "&lt;"), "b c")


def test_text_tells_the_answers_and_an_aligned_table() -> None:
    lines = comparison_text(BOTH).split("\n")
    assert lines[0] == "── a ──"
    assert "**Quick** one" in lines
    assert lines[-4:] == [
        "Agent  Status       First token  Duration  Input tokens  Output tokens      Cost",
        "a      ✓ Completed        0.4 s   1.0 s ★            40              9     $0.02",
        "b      ✓ Completed        0.4 s     3.0 s          30 ★              9  $0.001 ★",
        "c      ■ Cancelled        0.1 s     0.2 s             –              –         –",
    ]


def test_a_documents_parts_are_headed_below_its_own_heading() -> None:
    headings = re.findall(r"^#+ .*$", comparison_markdown(BOTH), re.MULTILINE)
    assert headings == ["# Comparison of 3 agents", "## a", "## b", "## c"]

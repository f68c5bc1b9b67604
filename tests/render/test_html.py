"""The static view that a notebook keeps."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb.events import (
    ApprovalRequested,
    Event,
    FollowupsSuggested,
    ReasoningDelta,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
)
from agentnb.render import RunView, to_html, to_text
from agentnb.render.markup import BOX, DATA, STYLES, WRAPPER_CLASS, Html, sanitized
from agentnb.render.view import transcript_bytes
from tests.render.samples import (
    ATTACKS,
    EVENTS,
    REPORT,
    answered,
    expanded,
    pathological,
    read,
    view_of,
)
from tests.strategies import event_lists

TAGS = {
    *("a", "blockquote", "br", "code", "details", "div", "em", "h3", "h4", "h5", "h6", "hr"),
    *("li", "ol", "p", "pre", "s", "small", "span", "strong", "summary"),
    *("table", "tbody", "td", "th", "thead", "tr", "ul"),
}
VALUES: dict[str, Any] = {
    "class": {WRAPPER_CLASS}.__contains__,
    "style": STYLES.__contains__,
    "dir": {"auto"}.__contains__,
    "target": {"_blank"}.__contains__,
    "rel": {"noopener noreferrer nofollow"}.__contains__,
    "start": str.isdigit,
    "href": re.compile(r"(?i)(https?://|mailto:)").match,
}


# What acts on the reading without being seen.  Joiners and selectors may be part of a spelling.
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2060\u2066-\u2069\ufeff]")


def check_harmless(markup: str) -> None:
    assert not UNSEEN.search(markup)
    made = read(markup)
    assert made.balanced
    assert not made.open
    assert made.others == []
    for tag, attributes in made.elements:
        assert tag in TAGS
        for name, value in attributes.items():
            assert VALUES[name](value), (name, value)
    assert sum("class" in attributes for _, attributes in made.elements) == 1


def everywhere(text: str) -> RunView:
    """Return a run that says the same in every place where something from outside is shown."""
    return view_of(
        [
            RunStarted(run_id=text, session_id=text, agent=text, model=text),
            ReasoningDelta(text),
            ToolCallStarted(call_id=text, name=text, arguments=text),
            ToolCallFinished(call_id=text, result=text),
            ToolCallStarted(call_id="2", name="x"),
            ToolCallFinished(call_id="2", error=text),
            TextDelta(text),
            ApprovalRequested(message=text, tool=text),
            FollowupsSuggested(followups=(text,)),
            RunFailed(message=text, code=text),
        ],
        title=text,
        platform=text,
        prompt=text,
        notice=text,
    )


def saved_bytes(markup: str, text: str) -> int:
    """Return by how much a notebook's file grows with these two forms of a run."""
    library: Any = nbformat
    notebooks = library.v4
    output = notebooks.new_output("display_data", {"text/html": markup, "text/plain": text})
    grown = [notebooks.new_code_cell(outputs=outputs) for outputs in ([], [output])]
    without, with_output = (library.writes(notebooks.new_notebook(cells=[cell])) for cell in grown)
    return len(with_output.encode()) - len(without.encode())


class TestWhatIsShown:
    def test_order_is_that_of_the_live_view(self) -> None:
        text = read(to_html(view_of([*EVENTS, RunFinished()]))).text
        wanted = [
            "finance_agent · operativus · ✓ Completed · 2.3 s",
            "Reasoning",
            "I look it up.",
            'get_price {"symbol":"NVDA"} · ✓ completed · 0.2 s',
            "Arguments",
            '{"symbol":"NVDA"}',
            "Result",
            '{"symbol":"NVDA","price":181.46}',
            "NVDA is at $181.46 (sample data), up from $175.20.",
            "Ask next",
            "And AMD?",
            "Input: 1,204 (100 cached)\u2003Output: 310 (64 reasoning)\u2003Total: 1,514 tokens",
            "Cost: $0.0042\u2003First token: 0.3 s\u2003Model: sample-1\u2003Unknown events: 1",
        ]
        at = -1
        for words in wanted:
            at = text.replace("\u00a0", " ").find(words, at + 1)
            assert at >= 0, words

    def test_reasoning_and_tools_are_folded(self) -> None:
        made = read(to_html(view_of([*EVENTS, RunFinished()])))
        folds = [attributes for tag, attributes in made.elements if tag == "details"]
        assert len(folds) == 2
        assert all("open" not in attributes for attributes in folds)

    def test_parts_stay_in_order(self) -> None:
        events = [
            TextDelta("first"),
            ToolCallStarted(call_id="c", name="tool_between"),
            TextDelta("second"),
        ]
        text = read(to_html(view_of(events))).text
        assert text.index("first") < text.index("tool_between") < text.index("second")

    @pytest.mark.parametrize(
        ("end", "words"),
        [
            pytest.param(
                RunFailed(message="Too <busy>.", code="overloaded"),
                ["✗ Failed", "Failed: Too <busy>. overloaded"],
                id="failed",
            ),
            pytest.param(
                RunFailed(message="cut", status="truncated"),
                ["⚠ Cut off", "The stream ended before the run did. What had arrived is kept."],
                id="truncated",
            ),
            pytest.param(
                RunFailed(message="gone", status="interrupted"),
                ["⚠ Interrupted", "The process that followed this run went away"],
                id="interrupted",
            ),
            pytest.param(RunCancelled(), ["■ Cancelled", "Stopped here."], id="cancelled"),
            pytest.param(
                ApprovalRequested(message="Buy?", tool="order"),
                ["⏸ Waiting for approval", "Waiting for approval: Buy? order"],
                id="paused",
            ),
            pytest.param(TextDelta("more"), ["… Running"], id="running"),
        ],
    )
    def test_status(self, end: Event, words: list[str]) -> None:
        made = read(to_html(view_of([TextDelta("so far"), end])))
        assert "so far" in made.text
        for word in words:
            assert word in made.text

    @pytest.mark.parametrize(
        ("end", "words"),
        [
            pytest.param(RunFinished(), "The agent answered nothing.", id="completed"),
            pytest.param(RunCancelled(), "Stopped before anything arrived.", id="cancelled"),
            pytest.param(
                RunFailed(message="m", status="truncated"),
                "The stream ended before anything arrived.",
                id="truncated",
            ),
        ],
    )
    def test_an_empty_answer_is_told(self, end: Event, words: str) -> None:
        assert words in read(to_html(view_of([end]))).text

    def test_notice(self) -> None:
        assert "look here" in read(to_html(view_of([], notice="look\nhere"))).text

    def test_long_tool_text_is_cut_with_a_note(self) -> None:
        events = [
            ToolCallFinished(call_id="c", name="t", result="x" * 10_000),
            RunFinished(),
        ]
        text = read(to_html(view_of(events))).text
        assert "x" * 4000 in text
        assert "x" * 4001 not in text
        assert "… 6,000 more characters" in text

    def test_json_of_a_tool_is_spread(self) -> None:
        history = '[["2025-11-18",175.20],["2025-11-19",178.0]]'
        result = f'{{"symbol":"NVDA","currency":"US dollars","history":{history}}}'
        text = read(to_html(view_of([ToolCallFinished(call_id="c", result=result)]))).text
        assert '\n    ["2025-11-18", 175.20],\n' in text

    def test_what_a_tool_got_and_gave_stands_in_boxes_each_under_its_label(self) -> None:
        made = to_html(view_of([*EVENTS, RunFinished()]))
        for label, data in (("Arguments", "{"), ("Result", "{")):
            box = f'<pre style="{BOX}"><code style="{DATA}">{data}'
            assert f"<small>{label}</small>{box}" in made

    def test_a_stop_and_the_figures_are_one_paragraph(self) -> None:
        last = to_html(view_of([TextDelta("so far"), RunCancelled()])).splitlines()[-2:]
        assert read(last[0]).text == "Stopped here.First\u00a0token:\u00a00.3\u00a0s"
        assert [tag for tag, _ in read(last[0]).elements] == ["p", "small", "br"]

    def test_what_failed_stands_between_the_note_and_the_figures(self) -> None:
        cut = RunFailed(message="Too long.", status="truncated")
        lines = to_html(view_of([TextDelta("so far"), cut])).splitlines()
        assert [read(line).text[:13] for line in lines[-4:-1]] == [
            "The stream en",
            "Cut off: Too ",
            "First\u00a0token:\u00a0",
        ]

    def test_a_call_without_anything_says_so(self) -> None:
        text = read(to_html(view_of([ToolCallStarted(call_id="c", name="")]))).text
        assert "No arguments and no result were reported." in text


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
            ("<img src=https://x.example/>a", "a"),
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


class TestBounds:
    @given(event_lists)
    def test_size_is_in_proportion(self, events: list[Event]) -> None:
        view = view_of(events)
        together = to_html(view) + to_text(view)
        assert len(together.encode()) <= 3 * transcript_bytes(view) + 4096

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("<" * 5000, id="escaped"),
            pytest.param("&" * 100_000, id="escaped, long"),
            pytest.param("\u00a0" * 50_000, id="named entities"),
            pytest.param("a\u200b" * 20_000, id="spelled out"),
            pytest.param("$" * 20_000, id="dollars"),
            pytest.param("- a\n" * 5000, id="list"),
            pytest.param("|a|b|\n|-|-|\n" + "|1|2|\n" * 2000, id="table"),
            pytest.param("*a* " * 8000, id="emphasis"),
            pytest.param("a" * 10_000_000, id="10 MB"),
            pytest.param("🚀" * 400_000, id="1.6 MB of emoji"),
        ],
    )
    def test_hostile_sizes_are_bounded(self, text: str) -> None:
        view = everywhere(text)
        made = to_html(view)
        check_harmless(made)
        assert len(made.encode()) <= 1_000_000
        if len(text) < 1_000_000:
            together = len((made + to_text(view)).encode())
            assert together <= 3 * transcript_bytes(view) + 4096

    def test_a_long_table_keeps_its_form(self) -> None:
        table = "|Day|Close|\n|:-|-:|\n" + "|Monday the third|$175.20 a share|\n" * 2000
        view = answered(table)
        made = to_html(view)
        assert made.count("<tr>") == 2001

    def test_twenty_short_tool_calls_are_shown_whole(self) -> None:
        events: list[Event] = []
        for i in range(20):
            arguments = json.dumps({"symbol": f"S{i}"})
            events.append(ToolCallStarted(call_id=f"call_{i}", name="get", arguments=arguments))
            events.append(ToolCallFinished(call_id=f"call_{i}", result=f"price {i}"))
        made = read(to_html(view_of([*events, TextDelta("# Done"), RunFinished()])))
        assert "more characters" not in made.text
        assert all(f"price {i}" in made.text for i in range(20))
        assert "h3" in made.names()

    def test_of_very_many_parts_the_last_are_shown(self) -> None:
        events: list[Event] = [ToolCallStarted(call_id=str(i), name="t") for i in range(20_000)]
        view = view_of([*events, TextDelta("the answer"), RunFinished()])
        made = to_html(view)
        assert len(made) <= 1_000_000
        assert "earlier parts" in made
        assert "the answer" in made

    def test_what_a_notebook_saves_is_at_most_three_times_the_run(self) -> None:
        for repeat in (1, 10, 100):
            view = view_of([*EVENTS, TextDelta(REPORT * repeat), RunFinished()])
            transcript = json.dumps(view.transcript.to_dict(), ensure_ascii=False)
            saved = saved_bytes(to_html(view), to_text(view))
            assert saved <= 3 * len(transcript.encode()) + 4096
            assert to_html(view).count("<table>") == 1 + repeat

    @pytest.mark.parametrize("name", sorted(pathological()))
    def test_pathological_answers(self, name: str) -> None:
        check_harmless(to_html(answered(pathological()[name])))


class TestStandalone:
    def test_document_forbids_every_request(self) -> None:
        page = to_html(view_of([*EVENTS, RunFinished()]), standalone=True)
        assert page.startswith("<!DOCTYPE html>\n<html")
        assert "content=\"default-src 'none'; style-src 'unsafe-inline'\"" in page
        assert "<title>finance_agent · operativus</title>" in page
        assert "What is the current NVDA stock price?" in read(page).text

    def test_document_keeps_what_a_notebook_cuts(self) -> None:
        events = [ToolCallFinished(call_id="c", name="t", result="x" * 10_000)]
        assert "x" * 10_000 in to_html(view_of(events), standalone=True)

    def test_title_cannot_end_itself(self) -> None:
        page = to_html(view_of([], title="</title><script>alert(1)</script>"), standalone=True)
        assert "<script>" not in page

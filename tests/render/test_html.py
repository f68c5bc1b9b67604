"""A run as HTML: what is shown, and within which bounds."""

from __future__ import annotations

import json
from typing import Any

import nbformat
import pytest
from hypothesis import given

from agentnb.event.types import (
    ApprovalRequested,
    Event,
    RunCancelled,
    RunFailed,
    RunFinished,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
)
from agentnb.render import to_html, to_text
from agentnb.render.markup import Style
from agentnb.render.view import transcript_bytes
from tests.render.harmless import check_harmless, everywhere
from tests.render.samples import (
    EVENTS,
    REPORT,
    answered,
    pathological,
    read,
    view_of,
)
from tests.strategies import event_lists


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

    def test_reasoning_tools_and_timeline_are_folded(self) -> None:
        made = read(to_html(view_of([*EVENTS, RunFinished()])))
        folds = [attributes for tag, attributes in made.elements if tag == "details"]
        assert len(folds) == 3
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
                [
                    "⏸ Waiting for approval",
                    "Waiting for approval: Buy? order",
                    "Approve with run.approve(), refuse with run.deny().",
                ],
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
    def test_an_empty_answer_has_a_note(self, end: Event, words: str) -> None:
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

    def test_arguments_and_results_are_in_labelled_boxes(self) -> None:
        made = to_html(view_of([*EVENTS, RunFinished()]))
        for label, data in (("Arguments", "{"), ("Result", "{")):
            box = f'<pre style="{Style.BOX}"><code style="{Style.DATA}">{data}'
            assert f"<small>{label}</small>{box}" in made

    def test_a_stop_and_the_figures_are_one_paragraph(self) -> None:
        stopped = view_of([TextDelta("so far"), RunCancelled()], segments=tuple)
        last = to_html(stopped).splitlines()[-2:]
        assert read(last[0]).text == "Stopped here.First\u00a0token:\u00a00.3\u00a0s"
        assert [tag for tag, _ in read(last[0]).elements] == ["p", "small", "br"]

    def test_the_error_is_between_note_and_metrics(self) -> None:
        cut = RunFailed(message="Too long.", status="truncated")
        lines = to_html(view_of([TextDelta("so far"), cut], segments=tuple)).splitlines()
        assert [read(line).text[:13] for line in lines[-4:-1]] == [
            "The stream en",
            "Cut off: Too ",
            "First\u00a0token:\u00a0",
        ]

    def test_a_call_without_data_has_a_note(self) -> None:
        text = read(to_html(view_of([ToolCallStarted(call_id="c", name="")]))).text
        assert "No arguments and no result were reported." in text


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

    def test_twenty_short_tool_calls_are_complete(self) -> None:
        events: list[Event] = []
        for i in range(20):
            arguments = json.dumps({"symbol": f"S{i}"})
            events.append(ToolCallStarted(call_id=f"call_{i}", name="get", arguments=arguments))
            events.append(ToolCallFinished(call_id=f"call_{i}", result=f"price {i}"))
        made = read(to_html(view_of([*events, TextDelta("# Done"), RunFinished()])))
        assert "more characters" not in made.text
        assert all(f"price {i}" in made.text for i in range(20))
        assert "h3" in made.names()

    def test_the_last_of_very_many_parts_are_rendered(self) -> None:
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
        assert "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\"" in page
        assert "<title>finance_agent · operativus</title>" in page
        assert "What is the current NVDA stock price?" in read(page).text

    def test_document_keeps_what_a_notebook_cuts(self) -> None:
        events = [ToolCallFinished(call_id="c", name="t", result="x" * 10_000)]
        assert "x" * 10_000 in to_html(view_of(events), standalone=True)

    def test_title_cannot_end_itself(self) -> None:
        page = to_html(view_of([], title="</title><script>alert(1)</script>"), standalone=True)
        assert "<script>" not in page

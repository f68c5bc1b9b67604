"""A run as plain text and as a Markdown document."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given

from agentnb.event.types import (
    ApprovalRequested,
    Event,
    ReasoningDelta,
    RunCancelled,
    RunFailed,
    RunFinished,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from agentnb.render import to_markdown, to_text
from agentnb.render.text import pretty_json
from agentnb.render.view import brief_seconds, dollars, seconds
from tests.render.samples import ANSWER, ATTACKS, EVENTS, answered, expanded, view_of
from tests.strategies import event_lists

HINT = "Approve with run.approve(), refuse with run.deny()."
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class TestText:
    def test_steps_answer_and_one_line(self) -> None:
        assert to_text(view_of([*EVENTS, RunFinished()])) == (
            "… I look it **up**.\n"
            '→ get_price({"symbol":"NVDA"}) = {"symbol":"NVDA","price":181.46}\n\n'
            + ANSWER.strip("\n")
            + "\n\nfinance_agent · completed · 2.3 s · 1,514 tokens"
        )

    def test_only_the_last_steps_are_listed_and_shortened(self) -> None:
        calls: list[Event] = []
        for number in range(50):
            calls.append(ToolCallStarted(call_id=str(number), name=f"tool{number}"))
            calls.append(ToolCallFinished(call_id=str(number), result="x\n\x1b[31m" * 1000))
        lines = to_text(view_of(calls)).splitlines()
        assert lines[0] == "(30 earlier steps)"
        assert lines[1].startswith("→ tool30() = x x x")
        assert len(lines) == 23
        assert max(map(len, lines)) < 300

    def test_what_a_paused_run_waits_for(self) -> None:
        events: list[Event] = [TextDelta("half"), ApprovalRequested(message="Buy\x1b[0m it?")]
        assert to_text(view_of(events)) == (
            f"half\n\nwaiting for approval: Buy it?\n{HINT}\nfinance_agent · paused · 2.3 s"
        )
        refused = to_text(view_of(events, takes_decisions=False))
        assert "waiting for approval" in refused
        assert HINT not in refused

    def test_without_an_answer_one_line_is_all(self) -> None:
        assert to_text(view_of([])) == "finance_agent · queued · 2.3 s"

    def test_failure_and_notice(self) -> None:
        view = view_of([TextDelta("half"), RunFailed(message="cut\noff")], notice="Try again.")
        assert to_text(view) == (
            "half\n\nerror: cut off\nTry again.\nfinance_agent · failed · 2.3 s"
        )

    def test_tokens_are_added_up_where_no_total_came(self) -> None:
        usage = UsageReported(usage=Usage(input_tokens=1, output_tokens=2, reasoning_tokens=2))
        assert to_text(view_of([usage])).endswith(" · 3 tokens")

    def test_long_answer_is_cut_with_a_note(self) -> None:
        text = to_text(answered("a" * 1_000_001))
        assert "(1 more characters)" in text
        assert len(text) < 1_000_100

    @given(event_lists)
    def test_no_control_character(self, events: list[Event]) -> None:
        assert not CONTROLS.search(to_text(view_of(events, title="a\x1b[0m")))

    @pytest.mark.parametrize(
        "case",
        [case for case in ATTACKS if case["category"] in ("ansi", "unicode")],
        ids=lambda case: case["name"],
    )
    def test_attacks(self, case: dict[str, str]) -> None:
        text = to_text(answered(expanded(case["markdown"])))
        assert not CONTROLS.search(text)
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\u2060]", text)


class TestMarkdown:
    def test_document(self) -> None:
        assert to_markdown(view_of([*EVENTS, RunFinished()])) == (
            "---\n"
            'agent: "finance_agent"\n'
            'platform: "operativus"\n'
            'status: "completed"\n'
            'model: "sample-1"\n'
            'run_id: "run_1"\n'
            'session_id: "s_1"\n'
            "duration: 2.31\n"
            "---\n\n"
            "# finance\\_agent\n\n"
            "> What is the current NVDA stock price?\n\n"
            "<details><summary>Reasoning</summary>\n\n"
            "> I look it **up**.\n\n"
            "</details>\n\n"
            "<details><summary>Tool <code>get_price</code> · ✓ completed · 0.2 s</summary>\n\n"
            'Arguments:\n\n```\n{"symbol":"NVDA"}\n```\n\n'
            'Result:\n\n```\n{"symbol":"NVDA","price":181.46}\n```\n\n'
            "</details>\n\n"
            f"{ANSWER}\n"
            "Ask next:\n\n"
            "- And AMD?\n\n"
            "<sub>Input: 1,204 (100 cached) · Output: 310 (64 reasoning) · Total: 1,514 tokens · "
            "Cost: &#36;0.0042 · First token: 0.3 s · Model: sample-1 · Unknown events: 1</sub>\n"
        )

    def test_header_holds_anything(self) -> None:
        view = view_of([], title='a: "b"\n---\n# c')
        header = to_markdown(view).split("---\n")[1]
        assert json.loads(header.splitlines()[0].removeprefix("agent: ")) == 'a: "b" --- # c'

    def test_prompt_is_quoted_line_by_line(self) -> None:
        assert "> a\n>\n> # b\n" in to_markdown(view_of([], prompt="a\n\n# b"))

    def test_fence_is_longer_than_any_in_it(self) -> None:
        result = "````\ncode\n````\n<script>"
        made = to_markdown(view_of([ToolCallFinished(call_id="c", name="t", result=result)]))
        assert f"`````\n{result}\n`````" in made

    def test_reasoning_cannot_unfold_itself(self) -> None:
        made = to_markdown(view_of([ReasoningDelta("a</Details>b<summary>c <b>")]))
        assert made.count("</details>") == 1
        assert "> a&lt;/Details>b&lt;summary>c &lt;b>" in made

    def test_names_are_names(self) -> None:
        made = to_markdown(view_of([ToolCallStarted(call_id="c", name="<b>x</b>")]))
        assert "<code>&lt;b&gt;x&lt;/b&gt;</code>" in made

    @pytest.mark.parametrize(
        ("end", "words"),
        [
            (RunFailed(message="no *way*", code="x_1"), "> **Failed (x\\_1):** no \\*way\\*"),
            (RunCancelled(), "*Stopped before anything arrived.*"),
            (ApprovalRequested(message="Buy?"), "> **Waiting for approval:** Buy?"),
        ],
        ids=["failed", "cancelled", "paused"],
    )
    def test_end(self, end: Event, words: str) -> None:
        assert words in to_markdown(view_of([end]))

    def test_how_to_go_on_with_a_paused_run(self) -> None:
        paused: list[Event] = [TextDelta("so far"), ApprovalRequested(message="Buy?")]
        assert f"*{HINT}*" in to_markdown(view_of(paused))
        assert HINT not in to_markdown(view_of(paused, takes_decisions=False))
        assert HINT not in to_markdown(view_of([*paused, TextDelta("on")]))

    def test_a_decided_approval_is_not_displayed(self) -> None:
        given, asked = ApprovalRequested(message="Buy?"), ApprovalRequested(message="Sell?")
        made = to_markdown(view_of([given, TextDelta("bought"), asked]))
        assert "Buy?" not in made
        assert "Sell?" in made

    def test_tool_error(self) -> None:
        made = to_markdown(view_of([ToolCallFinished(call_id="c", name="t", error="no")]))
        assert "Error:\n\n```\nno\n```" in made

    @given(event_lists)
    def test_no_control_character(self, events: list[Event]) -> None:
        assert not CONTROLS.search(to_markdown(view_of(events)))


class TestFigures:
    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (-1, "0.0 s"),
            (0.04, "0.0 s"),
            (1.25, "1.2 s"),
            (59.94, "59.9 s"),
            (59.96, "1 min 00 s"),
            (125.9, "2 min 05 s"),
            (3840, "1 h 04 min"),
        ],
    )
    def test_seconds(self, value: float, shown: str) -> None:
        assert seconds(value) == shown

    def test_brief_seconds(self) -> None:
        assert [brief_seconds(value) for value in (0.0034, 0.0999, 0.1)] == [
            "3 ms",
            "100 ms",
            "0.1 s",
        ]

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (0, "$0"),
            (0.0042, "$0.0042"),
            (0.00001, "$0.00001"),
            (0.05, "$0.05"),
            (12.345, "$12.35"),
        ],
    )
    def test_dollars(self, value: float, shown: str) -> None:
        assert dollars(value) == shown


class TestSpreadJson:
    def test_deep_containers_stay_on_one_line(self) -> None:
        rows = '[[1,2,[3,{"a":4}]],[5,"x, y: {z}"]]'
        more = "m" * 20
        text = f'{{"symbol":"NVDA","empty":{{}},"none":[],"rows":{rows},"more":"{more}"}}'
        assert pretty_json(text) == (
            "{\n"
            '  "symbol": "NVDA",\n'
            '  "empty": {},\n'
            '  "none": [],\n'
            '  "rows": [\n'
            '    [1, 2, [3, {"a": 4}]],\n'
            '    [5, "x, y: {z}"]\n'
            "  ],\n"
            f'  "more": "{more}"\n'
            "}"
        )

    @pytest.mark.parametrize(
        "text",
        [
            "",
            '{"short":1}',
            '{"not json' + "x" * 100,
            "plain " * 30,
            '{"a":\n' + "1" * 90 + "}",
            '{"a":' * 10_000 + "1" + "}" * 10_000,
        ],
        ids=["empty", "short", "malformed", "text", "spread already", "too deep"],
    )
    def test_all_else_stays(self, text: str) -> None:
        assert pretty_json(text) == text

    def test_nothing_but_space_changes(self) -> None:
        text = '{"n":' + "9" * 5000 + ',"f":1.10,"e":1E5,"n":"\\u0041\\"}","k":[true,null,-0]}'
        made = pretty_json(text)
        assert made != text
        assert re.sub(r"\s", "", made) == text

"""The timeline of a run in HTML: which bars there are, where they lie, and what they cost."""

from __future__ import annotations

import configparser
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb.event.timeline import Segment, timeline
from agentnb.event.transcript import Transcript
from agentnb.event.types import (
    ApprovalRequested,
    Event,
    ReasoningDelta,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
)
from agentnb.platforms.base import Capabilities, RunRequest
from agentnb.recording.base_run import BaseRun
from agentnb.recording.recording import Recording
from agentnb.render import RunView, to_html, to_text
from agentnb.render.chat import ChatView, TurnView, chat_html
from agentnb.render.markup import sanitized
from agentnb.render.timeline import timeline_html
from agentnb.render.view import transcript_bytes
from tests.render.harmless import check_harmless
from tests.render.samples import EVENTS, Read, read, view_of

moments = st.floats(0, 1e9)
MASKS = Path(__file__).resolve().parents[2] / ".ci" / "nbval.cfg"

RAN: list[tuple[float, Event]] = [
    (0.5, RunStarted(run_id="r")),
    (1.0, ReasoningDelta("I look")),
    (1.5, ReasoningDelta(" it up.")),
    (2.0, ToolCallStarted(call_id="a", name="get_price", arguments='{"symbol": "NVDA"}')),
    (2.0, ToolCallStarted(call_id="b", name="get_news")),
    (3.0, ToolCallFinished(call_id="b", error="No such symbol.")),
    (4.0, ToolCallFinished(call_id="a", result="181.46")),
    (6.0, TextDelta("It closed")),
    (8.0, TextDelta(" at $181.46.")),
    (8.0, RunFinished()),
]


class Platform:
    name = "operativus"
    capabilities = Capabilities()


def ran(timed: list[tuple[float, Event]]) -> BaseRun:
    """Return a run that brought these events at these times."""
    recording = Recording(Transcript())
    for at, event in timed:
        recording.events.append(event)
        recording.times.append(at)
        recording.transcript.apply(event, at=at)
    request = RunRequest(agent="finance_agent", prompt="What is the price?")
    return BaseRun(Platform(), request, title="finance_agent", recording=recording)


def view(timed: list[tuple[float, Event]], **given: Any) -> RunView:
    known: dict[str, Any] = {"duration": timed[-1][0]}
    return replace(ran(timed).view(), **(known | given))


def rows(made: str) -> list[tuple[str, str]]:
    """Return each row's words and the style of its bar."""
    found: list[tuple[str, str]] = []
    for row in re.findall(r"<tr>(.*?)</tr>", made)[1:]:
        cells: Read = read(row)
        bars = [str(given["style"]) for tag, given in cells.elements if tag == "div"]
        assert len(bars) == 1
        found.append((cells.text.replace("\u00a0", " "), bars[0]))
    return found


def calls(count: int, name: str = "look_up") -> list[tuple[float, Event]]:
    made: list[tuple[float, Event]] = []
    for i in range(count):
        made.append((float(i), ToolCallStarted(call_id=f"c{i}", name=name)))
        made.append((i + 0.5, ToolCallFinished(call_id=f"c{i}", result="found " * 20)))
    return [*made, (float(count), RunFinished())]


def masked(markup: str) -> str:
    masks = configparser.RawConfigParser()
    masks.read(MASKS, encoding="utf-8")
    for section in masks.sections():
        markup = re.sub(masks[section]["regex"], masks[section]["replace"], markup)
    return markup


class TestBars:
    def test_labels_times_and_places(self) -> None:
        made = to_html(view(RAN))
        table = made[made.index("<summary>Timeline</summary>") :]
        assert "0 to 8.0 s" in table
        assert [
            (words, re.findall(r"[\d.]+(?=%)", style), re.findall("#...", style))
            for words, style in rows(table)
        ] == [
            ("Waiting · 1.0 s", ["0.0", "12.5"], ["#888"]),
            ("Reasoning · 0.5 s", ["12.5", "6.2"], ["#96c"]),
            ("get_price · 2.0 s", ["25.0", "25.0"], ["#295"]),
            ("get_news ✗ failed · 1.0 s", ["25.0", "12.5"], ["#d33"]),
            ("Answer · 2.0 s", ["75.0", "25.0"], ["#47d"]),
        ]
        check_harmless(made)

    def test_an_approval_and_what_was_not_finished_say_so(self) -> None:
        made = to_html(
            view(
                [
                    (1.0, ToolCallStarted(call_id="a", name="order")),
                    (2.0, ApprovalRequested(message="Buy?", tool="order")),
                ]
            )
        )
        assert [words for words, _ in rows(made)] == [
            "Waiting · 1.0 s",
            "order … running · 1.0 s",
            "Approval: order … pending · 0 ms",
        ]

    def test_trivial_and_unfinished_runs_have_none(self) -> None:
        assert "Timeline" not in to_html(view([(0.0, TextDelta("a")), (1.0, RunFinished())]))
        assert "Timeline" not in to_html(view(RAN, duration=None))
        assert timeline_html([], 1.0) is None

    def test_many_bars_are_summed_up(self) -> None:
        made = to_html(view(calls(100)), standalone=True)
        found = rows(made)
        assert len(found) == 40
        assert found[-1][0] == "… 61 more · 1 min 00 s"
        assert "margin-left:39.0%;width:60.5%" in found[-1][1]

    def test_a_document_and_a_chat_have_it(self) -> None:
        run = ran(RAN)
        once = view(RAN)
        assert len(rows(to_html(once, standalone=True))) == 5
        turn = TurnView(prompt="?", run=once, lock=run.lock)
        chat = ChatView(title="c", platform="p", turns=[turn, turn])
        for standalone in (False, True):
            assert chat_html(chat, standalone=standalone).count("Timeline</summary>") == 2

    def test_nothing_is_computed_for_other_renderings(self) -> None:
        def fail() -> list[Segment]:
            raise AssertionError("asked for")

        assert to_text(view(RAN, segments=fail))
        assert to_html(view(RAN, segments=fail, duration=None))

    @given(st.lists(st.tuples(moments, moments), min_size=2, max_size=60), moments)
    def test_any_times_make_harmless_bars(
        self, times: list[tuple[float, float]], took: float
    ) -> None:
        segments = [
            Segment("tool", "x" * 500, min(pair), max(pair), "failed", "") for pair in times
        ]
        made = to_html(view_of(EVENTS, duration=took, segments=lambda: segments), standalone=True)
        for _, style in rows(made[made.index("<summary>Timeline") :]):
            left, width = map(float, re.findall(r"([\d.]+)%", style))
            assert 0 <= left <= 100
            assert left + width <= 100.11


class TestSavedAgain:
    """Executing a notebook again changes times, and nothing else may change with them."""

    @pytest.mark.parametrize("factor", [0.003, 0.1, 0.4, 3, 20])
    def test_the_same_events_make_the_same_output(self, factor: float) -> None:
        # A result comes in while the answer streams: live, a silence cuts the answer in two.
        timed: list[tuple[float, Event]] = [
            (1.0, ToolCallStarted(call_id="a", name="slow")),
            (1.1, TextDelta("One ")),
            (1.5, ToolCallFinished(call_id="a", result="1")),
            (1.8, TextDelta("two.")),
            (2.0, RunFinished()),
        ]
        other = [(at * factor, event) for at, event in timed]
        one, two = (masked(to_html(view(each))) for each in (timed, other))
        assert "Timeline" in one
        assert one == two

    def test_live_a_silence_does_cut(self) -> None:
        timed = [(1.0, ToolCallStarted(call_id="a", name="t")), (1.1, TextDelta("a"))]
        timed += [(9.0, ToolCallFinished(call_id="a", result="")), (9.1, TextDelta("b"))]
        events, times = [event for _, event in timed], [at for at, _ in timed]
        assert len(timeline(events, times)) == 4
        assert len(timeline(events, times, silence=float("inf"))) == 3

    @pytest.mark.parametrize("count", [2, 5, 9, 12, 15, 18, 30, 60])
    def test_the_number_of_bars_does_not_depend_on_times(self, count: int) -> None:
        timed = calls(count)
        made = {
            masked(to_html(view([(at * factor, event) for at, event in timed]))).count("<tr>")
            for factor in (0.0011, 0.017, 0.3, 1, 1.7)
        }
        assert len(made) == 1


class TestCost:
    @pytest.mark.parametrize("count", [1, 2, 3, 5, 10, 20, 39, 40, 41, 200])
    @pytest.mark.parametrize(
        "name", ["t", "look_up", '"&<' * 30], ids=["short", "usual", "hostile"]
    )
    def test_it_takes_only_what_room_there_is(self, count: int, name: str) -> None:
        ended = view(calls(count, name))
        made = to_html(ended)
        without = to_html(replace(ended, segments=tuple))
        together = made + to_text(ended)
        assert len(together.encode()) <= 3 * transcript_bytes(ended) + 4096
        # Nothing else is cut for it.
        start = made.find("<details", made.rfind("</details>", 0, made.find("Timeline</summary>")))
        if "Timeline</summary>" in made:
            assert made[:start] == without[:start]
        check_harmless(made)

    def test_where_there_is_room_for_few_bars_there_are_few(self) -> None:
        segments = [Segment("tool", "t", i, i + 1, "completed", "") for i in range(30)]
        sizes: list[int] = []
        for room in range(0, 8000, 50):
            made = timeline_html(segments, 30.0, room=room, line=13)
            saved = "" if made is None else json.dumps(sanitized(made), ensure_ascii=False)
            size = len(saved.encode()) + 12 * saved.count("\\n")
            assert size <= room + 2  # the quotes around it
            sizes.append(0 if made is None else len(rows(made)))
        assert sizes == sorted(sizes)
        assert sizes[0] == 0
        assert sizes[-1] == 30
        assert 1 not in sizes

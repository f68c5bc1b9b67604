"""`CompareWidget`: what it tells the page of several runs, and what the page may say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest

from agentnb.widgets.compare import CompareWidget
from agentnb.widgets.protocol import run_state
from tests.widgets.compared import (
    FIRST,
    FIXTURE,
    SECOND,
    FakeComparison,
    WidgetProbe,
    recording,
    to_the_end,
)
from tests.widgets.page import FakeRun

pytestmark = pytest.mark.anyio


@pytest.fixture
def recorded() -> Iterator[WidgetProbe]:
    made = WidgetProbe()
    yield made
    made.widget.close()


async def test_each_runs_messages_come_in_its_own_envelope(recorded: WidgetProbe) -> None:
    first, second = recorded.comparison.runs
    first.advance()
    second.advance()
    await to_the_end(first)
    await to_the_end(second)
    pages = recorded.pages
    for key, run, label in zip(pages, (first, second), ("a", "a (2)"), strict=True):
        assert pages[key].asks == []
        assert pages[key].run == {**run_state(run.view()), "title": label}
    assert {m["turn"] for m in recorded.sent} == set(pages)


async def test_the_trait_is_written_once_and_holds_all_ends(recorded: WidgetProbe) -> None:
    first, second = recorded.comparison.runs
    await to_the_end(first)
    assert len(recorded.traits) == 1
    await to_the_end(second)
    begun, ended = recorded.traits
    assert [r["run"]["run"]["status"] for r in begun["compare"]["runs"]] == ["queued", "queued"]
    assert [r["run"]["run"]["status"] for r in ended["compare"]["runs"]] == ["completed", "failed"]
    assert [r["label"] for r in ended["compare"]["runs"]] == ["a", "a (2)"]
    assert ended["compare"]["prompt"] == "What is the current NVDA stock price?"
    assert ended["compare"]["title"] == "Comparison of 2 agents"
    pages = recorded.pages
    assert [r["run"]["run"] for r in ended["compare"]["runs"]] == [p.run for p in pages.values()]


async def test_one_that_had_ended_before_the_widget_was_made() -> None:
    runs = [FakeRun(FIRST, title="a"), FakeRun(SECOND, title="b")]
    runs[0].advance(len(FIRST))
    widget = CompareWidget(cast("Any", FakeComparison(runs, ["a", "b"])))
    await to_the_end(runs[1])
    ended: Any = widget.snapshot
    assert [r["run"]["run"]["status"] for r in ended["compare"]["runs"]] == ["completed", "failed"]
    widget.close()


async def test_stop_reaches_one_run_or_all(recorded: WidgetProbe) -> None:
    first, second = recorded.comparison.runs
    recorded.say({"type": "run", "turn": "r1", "message": {"type": "stop"}})
    assert (first.cancelled, second.cancelled) == (0, 1)
    recorded.say({"type": "stop"})
    assert (first.cancelled, second.cancelled) == (1, 2)
    pages = recorded.pages
    assert [page.acknowledged for page in pages.values()] == [1, 2]


async def test_a_page_that_asks_is_answered_for_its_run_alone(recorded: WidgetProbe) -> None:
    recorded.say({"type": "run", "turn": "r0", "message": {"type": "resync", "seq": 0}})
    (answer,) = recorded.sent
    assert (answer["turn"], answer["message"]["type"]) == ("r0", "snapshot")


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        "stop",
        [{"type": "stop"}],
        {"type": "run"},
        {"type": "run", "turn": 0, "message": {"type": "stop"}},
        {"type": "run", "turn": "r9", "message": {"type": "stop"}},
        {"type": "run", "turn": "r0", "message": None},
        {"type": "else"},
    ],
    ids=repr,
)
async def test_what_is_no_message_is_ignored(recorded: WidgetProbe, nonsense: Any) -> None:
    recorded.say(nonsense)
    assert recorded.sent == []
    assert [run.cancelled for run in recorded.comparison.runs] == [0, 0]


async def test_closing_it_leaves_the_runs_alone(recorded: WidgetProbe) -> None:
    recorded.widget.close()
    for run in recorded.comparison.runs:
        assert run.cancelled == 0
        assert run.listeners == 0
        run.advance()
    assert recorded.sent == []


async def test_what_other_viewers_are_given(recorded: WidgetProbe) -> None:
    made: Any = recorded.widget._repr_mimebundle_()  # pyright: ignore[reportPrivateUsage]
    data, _ = made
    assert data["text/html"] == "<p>side by side</p>"
    assert "application/vnd.jupyter.widget-view+json" in data


async def test_the_pages_own_tests_are_given_the_same() -> None:
    assert json.loads(FIXTURE.read_text(encoding="utf-8")) == await recording()

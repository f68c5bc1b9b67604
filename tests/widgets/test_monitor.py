"""`MonitorWidget`: what it tells its pages of the runs that are watched."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

import agentnb
from agentnb.monitoring import Watch
from agentnb.widgets.monitor import MonitorWidget, monitored_rows
from tests.widgets.monitored import FIXTURE, FakeWatch, WidgetProbe, recording

pytestmark = pytest.mark.anyio


@pytest.fixture
def recorded() -> Iterator[WidgetProbe]:
    made = WidgetProbe()
    yield made
    made.widget.close()


async def test_only_changed_rows_are_sent(recorded: WidgetProbe) -> None:
    recorded.watch.change(0, detail="Answers")
    await recorded.until(lambda: len(recorded.sent) == 1)
    (message,) = recorded.sent
    assert [row["key"] for row in message["rows"]] == ["local:1"]
    assert (message["seq"], message["watching"]) == (1, {})


async def test_that_time_goes_by_is_no_news(recorded: WidgetProbe) -> None:
    recorded.watch.change(0, elapsed=77.0)
    recorded.watch.change(1, detail="asked")
    await recorded.until(lambda: len(recorded.sent) == 1)
    assert [row["key"] for row in recorded.sent[0]["rows"]] == ["operativus:2"]


async def test_what_comes_at_once_goes_in_one_message(recorded: WidgetProbe) -> None:
    for number in range(100):
        recorded.watch.change(0, detail=f"{number} characters")
    await recorded.until(lambda: bool(recorded.sent))
    last = recorded.sent[-1]["rows"][0]["detail"]
    while last != "99 characters":
        before = len(recorded.sent)
        await recorded.until(lambda count=before: len(recorded.sent) > count)
        last = recorded.sent[-1]["rows"][0]["detail"]
    assert len(recorded.sent) < 20


async def test_a_poll_is_sent_even_without_changes(
    recorded: WidgetProbe,
) -> None:
    recorded.watch.change(1, requests=1)
    await recorded.until(lambda: len(recorded.sent) == 1)
    assert recorded.sent[0]["rows"] == []
    assert recorded.sent[0]["watching"]["asked"] >= 0


async def test_resync_sends_the_whole_state(recorded: WidgetProbe) -> None:
    recorded.say({"type": "resync", "seq": 0})
    (answer,) = recorded.sent
    assert answer["type"] == "snapshot"
    assert len(answer["monitor"]["rows"]) == 2


async def test_stop_reaches_its_run(recorded: WidgetProbe) -> None:
    recorded.say({"type": "stop", "run": "local:1"})
    assert recorded.watch.cancelled == ["local:1"]
    assert recorded.sent == [{"type": "ack", "run": "local:1", "error": None}]
    recorded.say({"type": "stop", "run": "nobody"})
    assert recorded.sent[1]["error"] == "This run is not watched any more."


@pytest.mark.parametrize("nonsense", [None, "stop", {"type": "stop"}, {"type": "stop", "run": 1}])
async def test_what_is_no_message_is_ignored(recorded: WidgetProbe, nonsense: Any) -> None:
    recorded.say(nonsense)
    assert recorded.sent == []
    assert recorded.watch.cancelled == []


async def test_the_trait_is_written_once_with_the_end(recorded: WidgetProbe) -> None:
    recorded.watch.change(0, status="completed", final=True)
    recorded.watch.change(1, status="completed", final=True, done=True)
    await recorded.until(lambda: len(recorded.traits) == 2)
    end = recorded.traits[1]["monitor"]
    assert {row["status"] for row in end["rows"]} == {"completed"}
    assert end["watching"]["over"] is True


async def test_closing_it_leaves_the_watch_alone(recorded: WidgetProbe) -> None:
    recorded.widget.close()
    assert recorded.watch.listeners == []
    assert not recorded.watch.done


async def test_one_whose_runs_had_ended_before() -> None:
    watch = FakeWatch(done=True)
    made = WidgetProbe(watch)
    assert made.traits[0]["monitor"]["watching"]["over"] is True
    made.widget.close()


async def test_what_other_viewers_are_given(recorded: WidgetProbe) -> None:
    made: Any = recorded.widget._repr_mimebundle_()  # pyright: ignore[reportPrivateUsage]
    assert made[0]["text/plain"] == "two runs"


async def test_runs_of_this_process_go_by_their_question() -> None:
    async def waiting(prompt: str) -> Any:
        yield "begun"
        await asyncio.Event().wait()

    run = agentnb.agent(waiting).start("What   is\nit?")
    watch = Watch(run)
    widget = MonitorWidget(watch)
    try:
        watch.start()
        (row,) = monitored_rows(watch)
        assert (row["title"], row["agent"], row["can_stop"]) == ("What is it?", "waiting", True)
        receive: Any = widget
        receive._handle_custom_msg({"type": "stop", "run": row["key"]}, [])
        await run.wait_async(check=False)
        await watch.wait()
    finally:
        run.cancel()
        widget.close()
    (row,) = monitored_rows(watch)
    assert (row["status"], row["final"], row["can_stop"]) == ("cancelled", True, False)


async def test_the_pages_own_tests_are_given_the_same() -> None:
    assert json.loads(FIXTURE.read_text(encoding="utf-8")) == await recording()

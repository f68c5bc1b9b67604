"""What a page is told of a run whose connection is gone, and for how long."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentnb.event.types import Event, RunFinished, TextDelta, Usage, UsageReported
from agentnb.recording.recording import Waiting
from agentnb.run import reconnect
from agentnb.run.run import Run
from agentnb.widgets.compare import CompareWidget
from agentnb.widgets.run import RunPublisher, RunWidget
from tests.flaky import Flaky
from tests.played import eventually, player
from tests.widgets.page import FakeRun, Page, Wire

pytestmark = pytest.mark.anyio

SOON = 0.05
LATE = 60.0


def waiting(attempt: int, *, until: float) -> Waiting:
    return Waiting(kind="reconnect", attempt=attempt, of=5, until=until, reason="reset\nby peer")


class Followed:
    """A page that follows a real run, and every state of waiting that it was told."""

    def __init__(self, run: Run) -> None:
        self.told: list[Any] = []
        self.publisher = RunPublisher(run, send=self._hear, keep=lambda kept: None)
        self.page = Page.opened(self.publisher.first())
        self.publisher.start()

    def _hear(self, message: Any) -> None:
        self.page.hear(message)
        now = self.page.run["waiting"]
        if not self.told or self.told[-1] != now:
            self.told.append(now)


async def test_a_real_run_tells_each_attempt_and_takes_it_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def pause(attempt: int, *, jitter: object) -> float:
        return 0.0

    # What the server asks for counts, where that is longer.
    monkeypatch.setattr(reconnect, "DEFAULT_BACKOFF", reconnect.Backoff(delay=pause))
    run = player(Flaky(SOON, SOON, SOON)).start("?")
    followed = Followed(run)
    await run.wait_async()
    await eventually(lambda: followed.page.final)
    assert followed.page.asks == []
    attempts = [told["attempt"] for told in followed.told if told is not None]
    # Two that follow fast may share a message, which tells of the later one.
    assert attempts == sorted(set(attempts))
    assert attempts
    for told in filter(None, followed.told):
        assert (told["kind"], told["of"]) == ("reconnect", 5)
        assert 0 <= told["seconds"] <= SOON
        assert "broke off" in told["reason"]
    assert followed.told[-1] is None
    assert followed.page.run["parts"] == [
        {"kind": "text", "text": "Half an answer.", "text_more": 0}
    ]
    followed.publisher.close()


async def test_a_real_run_is_stopped_while_it_waits() -> None:
    run = player(Flaky(LATE)).start("?")
    followed = Followed(run)
    await eventually(lambda: followed.page.run["waiting"])
    assert 0 < followed.page.run["waiting"]["seconds"] <= LATE
    followed.publisher.receive({"type": "stop"})
    await eventually(lambda: followed.page.final)
    assert followed.page.run["status"] == "cancelled"
    assert followed.page.run["waiting"] is None
    assert followed.page.run["parts"][0]["text"] == "Half "
    followed.publisher.close()


async def test_a_pending_retry_is_sent_to_new_pages_but_not_saved() -> None:
    run = player(Flaky(LATE)).start("?")
    await eventually(lambda: run.waiting is not None)
    sent: list[Any] = []
    publisher = RunPublisher(run, send=sent.append, keep=lambda kept: None)
    assert publisher.first()["run"]["waiting"] is None
    publisher.start()
    assert sent[0]["ops"][0]["set"]["waiting"]["attempt"] == 1
    publisher.receive({"type": "resync", "seq": 0})
    assert sent[-1]["type"] == "snapshot"
    assert sent[-1]["run"]["waiting"]["attempt"] == 1
    run.cancel()
    await run.wait_async(check=False)
    publisher.close()


@pytest.mark.parametrize("kind", ["run", "compare"])
async def test_what_a_widget_saves_has_nothing_of_it(kind: str) -> None:
    run = player(Flaky(LATE)).start("?")
    await eventually(lambda: run.waiting is not None)
    widget = RunWidget(run) if kind == "run" else CompareWidget(_Compared(run))
    assert "reconnect" not in str(widget.snapshot)
    shown: Any = widget
    data, _ = shown._repr_mimebundle_()
    assert "attempt" not in str(data["text/plain"])
    run.cancel()
    await run.wait_async(check=False)
    await eventually(lambda: "cancelled" in str(widget.snapshot))
    assert "reconnect" not in str(widget.snapshot)
    widget.close()


class _Compared:
    prompt = "?"
    labels = ("a",)

    def __init__(self, run: Run) -> None:
        self.runs = (run,)

    def bundle(self) -> dict[str, str]:
        return {"text/plain": "side by side"}


class TestSeconds:
    async def test_are_those_left_when_the_message_was_made(self) -> None:
        wire = Wire(FakeRun([TextDelta("a"), RunFinished()]), paced=False)
        run = wire.run
        run.wait(waiting(1, until=9.0), at=2.5)
        wire.publisher.flush()
        wire.deliver()
        assert wire.page.run["waiting"]["seconds"] == 6.5
        assert wire.page.run["elapsed"] == 2.5
        # Whenever the time is told again, so is what counts from it.
        run.wait(waiting(1, until=9.0), at=4.0)
        wire.publisher.flush()
        assert wire.messages[1:] == []
        run.title = "another"
        wire.publisher.flush()
        wire.deliver()
        assert wire.page.run["waiting"]["seconds"] == 5.0
        assert wire.page.run["elapsed"] == 4.0

    async def test_are_none_once_the_attempt_has_begun(self) -> None:
        wire = Wire(FakeRun([]), paced=False)
        wire.run.wait(waiting(5, until=9.0), at=11.0)
        wire.publisher.flush()
        wire.deliver()
        assert wire.page.run["waiting"]["seconds"] == 0.0

    async def test_do_not_make_messages_by_themselves(self) -> None:
        wire = Wire(FakeRun([]))
        for second in range(20):
            wire.run.wait(waiting(1, until=60.0), at=float(second))
        await asyncio.sleep(0.2)
        assert len(wire.messages) == 1

    async def test_are_over_with_the_next_event(self) -> None:
        script: list[Event] = [UsageReported(usage=Usage(input_tokens=1)), RunFinished()]
        wire = Wire(FakeRun(script), paced=False)
        wire.run.wait(waiting(1, until=60.0), at=1.0)
        wire.publisher.flush()
        wire.run.advance()
        wire.publisher.flush()
        wire.deliver()
        assert wire.page.run["waiting"] is None

"""A stream that ends cleanly without saying how its run did, where the platform knows that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from agentnb.event.types import Event, RunFinished, TextDelta
from tests.faults.numbered import (
    ANSWER,
    STARTED,
    TEXT,
    Answer,
    NumberedPlatform,
    PlainPlatform,
    after,
    asked,
    finish,
    lines,
    pauses_made,
    reply,
    serving,
    tell,
)
from tests.faults.rawserver import Connection, Received

AGAIN = "GET /runs/r1/events?after="
STATUS = "GET /runs/r1"


def ending(
    streamed: Sequence[Event],
    state: dict[str, Any] | None,
    record: Sequence[Event] | None = None,
) -> Answer:
    """Stream these events and end; ``state`` is the run's, ``record`` what it is taken up by."""

    async def answer(c: Connection, request: Received) -> None:
        if request.method == "POST":
            await c.stream_head()
            await tell(c, *streamed)
            await finish(c)
        elif "/events" in request.target:
            if record is None:
                await reply(c, {}, status="404 Unknown")
                return
            await c.stream_head()
            if rest := record[after(request) :]:
                await tell(c, *rest)
            await finish(c)
        elif state is None:
            await reply(c, {}, status="500 Broken")
        else:
            await reply(c, state)

    return answer


@pytest.mark.parametrize("kind", [NumberedPlatform, PlainPlatform])
@pytest.mark.parametrize("output", [TEXT, "One, two, three. Four."])
def test_what_completed_there_is_completed_at_once(
    kind: type[PlainPlatform], output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = pauses_made(monkeypatch)
    streamed = [event for event in ANSWER if not isinstance(event, RunFinished)]
    answer = ending(streamed, {"status": "completed", "output": output}, streamed)
    with serving(answer) as server, asked(server, kind=kind) as agent:
        run = agent.run("count")
    assert (run.status, run.text) == ("completed", output)
    again = f"{AGAIN}{len(streamed)}"
    taken_up = [again, STATUS, *[again] * 4] if kind is NumberedPlatform else []
    assert lines(server) == ["POST /runs", *taken_up, STATUS]
    assert sum(pauses) < 1.0


@pytest.mark.parametrize("output", [f" {TEXT}\n", "two, three."])
def test_a_platform_may_trim_the_answer_or_keep_its_last_passage(
    output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = pauses_made(monkeypatch)
    state = {"status": "completed", "output": output}
    with serving(ending(ANSWER[:5], state, ANSWER[:5])) as server, asked(server) as agent:
        run = agent.run("count")
    assert (run.status, run.text) == ("completed", TEXT)
    assert sum(pauses) < 1.0


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_another_end_is_known_at_once_too(status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = pauses_made(monkeypatch)
    state = {"status": status, "error": "It broke."}
    with serving(ending(ANSWER[:4], state, ANSWER[:4])) as server, asked(server) as agent:
        run = agent.run("count", check=False)
    assert (run.status, run.text) == (status, "One, two, ")
    assert sum(pauses) < 1.0


def test_what_the_stream_left_out_is_read_from_the_record() -> None:
    state = {"status": "completed", "output": TEXT}
    with serving(ending(ANSWER[:2], state, ANSWER)) as server, asked(server) as agent:
        run = agent.run("count")
    assert run.events == tuple(ANSWER)
    assert lines(server) == ["POST /runs", f"{AGAIN}2"]


def test_the_rest_of_the_answer_may_come_with_the_state() -> None:
    state = {"status": "completed", "output": TEXT}
    with serving(ending(ANSWER[:2], state)) as server, asked(server) as agent:
        run = agent.run("count")
    assert (run.status, run.text) == ("completed", TEXT)


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("state", [None, {"status": "running"}])
def test_where_the_platform_knows_no_end_it_is_taken_up_on(state: dict[str, Any] | None) -> None:
    records = iter([ANSWER[:2], ANSWER])

    async def answer(c: Connection, request: Received) -> None:
        record = next(records) if "/events" in request.target else None
        await ending(ANSWER[:2], state, record)(c, request)

    with serving(answer) as server, asked(server) as agent:
        run = agent.run("count")
    assert run.events == tuple(ANSWER)
    assert lines(server) == ["POST /runs", f"{AGAIN}2", STATUS, f"{AGAIN}2"]


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("output", ["Another answer.", None])
def test_a_whole_that_does_not_go_on_from_what_arrived_is_none(output: str | None) -> None:
    streamed = [STARTED] if output is None else [STARTED, TextDelta("One, ")]
    state = {"status": "completed", "output": output}
    with serving(ending(streamed, state, streamed)) as server, asked(server) as agent:
        run = agent.run("count", check=False)
    assert run.status == "truncated"
    assert "The run completed on its platform" in str(run.error)

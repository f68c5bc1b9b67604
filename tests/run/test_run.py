"""What a run tells while it goes on and afterwards."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import BaseModel, SecretStr

import agentnb
from agentnb.errors import (
    OutputError,
)
from agentnb.event.types import Event, RunFinished, RunStarted, TextDelta, Usage
from agentnb.platforms.base import RunRequest
from tests.played import LONG, STARTED, Batches, PlayedPlatform, player
from tests.run.asked import Gate, everything, until_text

pytestmark = pytest.mark.anyio


# -- what it tells -------------------------------------------------------------------------------


def test_a_whole_run() -> None:
    run = agentnb.agent(everything).run("What is it?")
    assert run.status == "completed"
    assert run.done
    assert run.text == "The answer is **42**."
    assert run.reasoning == "Let me see."
    assert [(c.name, c.arguments, c.result) for c in run.tool_calls] == [
        ("look", '{"at": "it"}', '{"found": 42}')
    ]
    assert run.usage == Usage(input_tokens=3, output_tokens=5, total_tokens=8)
    assert run.followups == ("Why?", "Really?")
    assert run.error is None
    assert run.exception is None
    assert (run.platform, run.agent, run.title) == ("local", "everything", "everything")
    assert run.prompt == "What is it?"
    assert run.id == run.transcript.run_id != run.local_id
    assert run.session_id
    assert run.created_at.tzinfo is not None
    assert isinstance(run.events[0], RunStarted)
    assert isinstance(run.events[-1], RunFinished)
    assert len(run.event_times) == len(run.events)
    assert list(run.event_times) == sorted(run.event_times)
    assert run.time_to_first_token is not None
    assert run.duration is not None
    assert 0 <= run.time_to_first_token <= run.duration == run.elapsed


async def test_what_arrived_is_there_while_it_goes_on(gate: Gate) -> None:
    run = gate.agent().start("hi")
    await until_text(run)
    assert run.status == "running"
    assert not run.done
    assert run.text == "before "
    assert run.duration is None
    assert run.raise_for_status() is run
    first = run.elapsed
    await asyncio.sleep(0.01)
    assert run.elapsed > first
    gate.open()
    assert (await run).text == "before after"
    assert run.elapsed == run.duration


def test_an_empty_piece_is_not_the_first_token() -> None:
    async def hesitant(request: RunRequest) -> Batches:
        yield [STARTED, TextDelta("")]
        await asyncio.sleep(0.02)
        yield [TextDelta("Well.")]
        yield [RunFinished()]

    run = player(PlayedPlatform(hesitant)).run("hi")
    assert run.time_to_first_token == run.event_times[2]


def test_without_a_token_there_is_no_first_one() -> None:
    async def mute(request: RunRequest) -> Batches:
        yield [STARTED, RunFinished(output="All at once.")]

    run = player(PlayedPlatform(mute)).run("hi")
    assert run.text == "All at once."
    assert run.time_to_first_token is None


def test_its_lock_may_be_held_while_its_properties_are_read() -> None:
    run = agentnb.agent(everything).run("hi")
    with run.lock:
        assert run.text
        assert run.to_dict()["text"] == run.text
        assert run.to_markdown()


def test_repr_says_what_it_is_and_no_more() -> None:
    def careless(prompt: str) -> str:
        return "fine"

    run = agentnb.agent(careless, token=SecretStr("canary")).run("my secret question")
    assert repr(run).startswith("<Run local:careless completed, ")
    for shown in (repr(run), str(run.to_dict()), run.to_markdown()):
        assert "canary" not in shown
    assert "question" not in repr(run)


def test_in_a_notebook_it_shows_itself() -> None:
    bundle = agentnb.agent(everything).run("hi")._repr_mimebundle_()  # pyright: ignore[reportPrivateUsage]
    assert set(bundle) == {"text/plain", "text/html"}
    assert "<strong>42</strong>" in bundle["text/html"]


# -- structured answers --------------------------------------------------------------------------


class Point(BaseModel):
    x: int
    y: int


def test_parsed() -> None:
    def locate(prompt: str) -> str:
        return prompt

    agent = agentnb.agent(locate)
    good = agent.run('{"x": 1, "y": 2}', output_type=Point)
    assert good.parsed == Point(x=1, y=2)
    assert good.request.output_schema == Point.model_json_schema()
    assert agent.run('{"x": 1}', output_type={"type": "object"}).parsed == {"x": 1}
    assert agent.run("anything").parsed is None
    bad = agent.run('{"x": 1}', output_type=Point)
    with pytest.raises(OutputError, match="y"):
        _ = bad.parsed
    assert bad.text == '{"x": 1}'


# -- events --------------------------------------------------------------------------------------


async def test_every_consumer_gets_every_event(gate: Gate) -> None:
    run = gate.agent().start("hi")

    async def take() -> list[Event]:
        return [event async for event in run.iterate()]

    early = asyncio.create_task(take())
    await until_text(run)
    middle = asyncio.create_task(take())
    other_loop = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(take())))
    await asyncio.sleep(0.02)
    gate.open()
    found = await asyncio.gather(early, middle, other_loop, asyncio.wait_for(take(), LONG))
    for events in found:
        assert tuple(events) == run.events
    assert run.done


async def test_when_the_events_are_over_the_run_is_done() -> None:
    for _ in range(50):
        run = agentnb.agent(everything).start("hi")
        async for _ in run.iterate():
            pass
        assert run.done
        assert run.duration is not None

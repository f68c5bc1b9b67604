"""`Run`: what it tells while it goes on and afterwards, how it is waited for and kept."""

from __future__ import annotations

import asyncio
import io
import json
import pickle
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from pydantic import BaseModel, SecretStr

import agentnb
from agentnb import _loop
from agentnb.errors import (
    OutputError,
    RunCancelledError,
    RunError,
    RunFailedError,
    RunTruncatedError,
)
from agentnb.event import (
    Event,
    FollowupsSuggested,
    ReasoningDelta,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
    event_from_dict,
)
from agentnb.platforms.base import RunRequest
from agentnb.run import Run
from agentnb.transcript import Transcript
from tests.children import python, spawn
from tests.played import LONG, STARTED, Batches, PlayedPlatform, eventually, player
from tests.strategies import event_lists

pytestmark = pytest.mark.anyio


class Gate:
    """Lets a function agent go on when the test says so."""

    def __init__(self) -> None:
        self._open = threading.Event()

    def open(self) -> None:
        self._open.set()

    def agent(self) -> agentnb.Agent:
        def gated(prompt: str) -> Iterator[str]:
            yield "before "
            assert self._open.wait(LONG)
            yield "after"

        return agentnb.agent(gated)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


async def until_text(run: Run) -> None:
    await eventually(lambda: run.text)


async def everything(prompt: str) -> AsyncIterator[Event]:
    yield ReasoningDelta("Let me see.")
    yield ToolCallStarted(call_id="c1", name="look", arguments='{"at": "it"}')
    yield ToolCallFinished(call_id="c1", result='{"found": 42}')
    yield TextDelta("The answer is **42**.")
    yield UsageReported(usage=Usage(input_tokens=3, output_tokens=5, total_tokens=8), model="m-1")
    yield FollowupsSuggested(followups=("Why?", "Really?"))


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


# -- waiting -------------------------------------------------------------------------------------


def failing(prompt: str) -> Iterator[str]:
    yield "So far "
    raise ValueError("no further")


class TestWaiting:
    def test_a_time_out_leaves_the_run_alone(self, gate: Gate) -> None:
        run = gate.agent().start("hi")
        for timeout in (0.05, 0, -1):
            with pytest.raises(TimeoutError, match="goes on"):
                run.wait(timeout)
        assert run.status in ("queued", "running")
        gate.open()
        assert run.wait(LONG).text == "before after"
        assert run.wait(0) is run

    def test_a_failure_is_raised_with_what_arrived(self) -> None:
        with pytest.raises(RunFailedError, match="ValueError: no further") as caught:
            agentnb.agent(failing).run("hi")
        assert caught.value.run.text == "So far "
        assert caught.value.run.status == "failed"

    def test_or_returned(self) -> None:
        run = agentnb.agent(failing).run("hi", check=False)
        assert run.status == "failed"
        assert run.error == "ValueError: no further"
        assert run.wait(check=False) is run
        with pytest.raises(RunFailedError):
            run.wait()
        with pytest.raises(RunFailedError):
            run.raise_for_status()

    @pytest.mark.parametrize(
        ("end", "kind"),
        [
            (RunFailed(message="m", status="truncated"), RunTruncatedError),
            (RunFailed(message="m", status="interrupted"), RunTruncatedError),
            (RunFailed(message="m"), RunFailedError),
        ],
    )
    async def test_the_kind_of_error_says_how_it_ended(
        self, end: RunFailed, kind: type[RunError]
    ) -> None:
        async def ending(request: RunRequest) -> Batches:
            yield [STARTED, TextDelta("partial"), end]

        agent = player(PlayedPlatform(ending))
        with pytest.raises(kind, match=r"^m$") as caught:
            await agent.arun("hi")
        assert caught.value.run.text == "partial"
        assert isinstance(caught.value, agentnb.AgentnbError)
        assert (await agent.arun("hi", check=False)).status == end.status

    def test_from_the_background_loop_it_is_refused(self, gate: Gate) -> None:
        run = gate.agent().start("hi")

        async def block() -> None:
            run.wait()

        with pytest.raises(RuntimeError, match="await run"):
            _loop.wait(block())
        assert not run.done

    def test_an_agent_may_ask_another(self) -> None:
        async def outer(prompt: str) -> str:
            inner = await agentnb.agent(everything).arun(prompt)
            said = [e.text async for e in inner.iterate() if isinstance(e, TextDelta)]
            return f"It said: {''.join(said)}"

        def blocking(prompt: str) -> str:
            return agentnb.agent(outer).run(prompt).text.upper()

        assert agentnb.agent(outer).run("hi").text == "It said: The answer is **42**."
        assert agentnb.agent(blocking).run("hi").text == "IT SAID: THE ANSWER IS **42**."

    def test_an_agent_that_would_block_the_loop_is_refused_and_not_left_running(self) -> None:
        inner: list[Run] = []

        async def outer(prompt: str) -> str:
            try:
                return agentnb.agent(everything).run(prompt).text
            finally:
                last = agentnb.last_run()
                assert isinstance(last, Run)
                inner.append(last)

        with pytest.raises(RunFailedError, match="await run"):
            agentnb.agent(outer).run("hi")
        assert inner[0].wait(LONG, check=False).status in ("cancelled", "completed")

    async def test_many_may_wait(self, gate: Gate) -> None:
        run = gate.agent().start("hi")
        waiting = [asyncio.create_task(run.wait_async()) for _ in range(10)]
        threads = [asyncio.create_task(asyncio.to_thread(run.wait, LONG)) for _ in range(4)]
        await asyncio.sleep(0.02)
        gate.open()
        assert set(await asyncio.gather(*waiting, *threads)) == {run}
        assert await run is run

    async def test_who_stops_waiting_does_not_stop_the_run(self, gate: Gate) -> None:
        run = gate.agent().start("hi")
        await until_text(run)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run.wait_async(), 0.05)
        task = asyncio.ensure_future(run)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert run.status == "running"
        gate.open()
        assert (await run).status == "completed"

    async def test_arun_owns_its_run(self, gate: Gate) -> None:
        task = asyncio.create_task(gate.agent().arun("hi"))
        await asyncio.sleep(0.01)
        run = agentnb.last_run()
        assert isinstance(run, Run)
        await until_text(run)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await run.wait_async(check=False)
        assert run.status == "cancelled"
        assert run.text == "before "

    def test_a_loop_that_is_closed_while_its_run_goes_on(
        self, gate: Gate, caplog: pytest.LogCaptureFixture
    ) -> None:
        run = gate.agent().start("hi")

        async def impatient() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(run.wait_async(), 0.01)

        async def consuming() -> None:
            async for _ in run.iterate():
                break

        asyncio.run(impatient())
        asyncio.run(consuming())
        gate.open()
        assert run.wait(LONG).text == "before after"
        assert caplog.records == []

    async def test_leaving_the_events_early_lets_the_run_go_on(self) -> None:
        """Also where the very next thing blocks the loop that consumed them."""

        async def long(request: RunRequest) -> Batches:
            yield [STARTED]
            for _ in range(500):
                yield [TextDelta("x") for _ in range(10)]
            yield [RunFinished()]

        run = player(PlayedPlatform(long)).start("hi")
        async for _ in run.iterate():
            break
        run.wait(LONG)
        assert len(run.text) == 5000


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


# -- Ctrl-C --------------------------------------------------------------------------------------

INTERRUPTED = """
    import asyncio, time
    import agentnb

    def slow(prompt):
        yield "partial "
        print("streaming", flush=True)
        time.sleep(1)
        while True:
            time.sleep(0.01)
            yield "."

    agent = agentnb.agent(slow)
"""


def interrupt(code: str) -> str:
    """What ``code`` prints when it gets Ctrl-C in the middle of an answer."""
    child = spawn(INTERRUPTED + code)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "streaming\n"
        time.sleep(0.2)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=LONG)
    finally:
        child.kill()
        child.wait()
    assert err == ""
    return out


def test_ctrl_c_cancels_what_run_waits_for() -> None:
    out = interrupt("""
    try:
        agent.run("hi")
    except KeyboardInterrupt:
        run = agentnb.last_run()
        run.wait(10, check=False)
        print(run.status, run.text.startswith("partial"))
    """)
    assert out == "cancelled True\n"


def test_ctrl_c_only_ends_a_wait() -> None:
    out = interrupt("""
    run = agent.start("hi")
    try:
        run.wait()
    except KeyboardInterrupt:
        time.sleep(0.3)
        print(run.status, run.done)
    """)
    assert out == "running False\n"


def test_ctrl_c_cancels_what_arun_waits_for() -> None:
    out = interrupt("""
    try:
        asyncio.run(agent.arun("hi"))
    except KeyboardInterrupt:
        run = agentnb.last_run()
        run.wait(10, check=False)
        print(run.status, run.text.startswith("partial"))
    """)
    assert out == "cancelled True\n"


def test_ctrl_c_cancels_what_stream_yields() -> None:
    out = interrupt("""
    async def follow():
        async for event in agent.stream("hi"):
            pass

    try:
        asyncio.run(follow())
    except KeyboardInterrupt:
        run = agentnb.last_run()
        run.wait(10, check=False)
        print(run.status, run.text.startswith("partial"))
    """)
    assert out == "cancelled True\n"


def test_a_forked_child_sees_the_run_interrupted_and_runs_its_own() -> None:
    done = python(
        """
        import os, sys, time
        import agentnb
        from agentnb.errors import RunTruncatedError

        def slow(prompt):
            yield "partial "
            time.sleep(1.5)
            yield "rest"

        run = agentnb.agent(slow).start("hi")
        while not run.text:
            time.sleep(0.01)
        heard = []
        run.subscribe(lambda: heard.append(os.getpid()))
        child = os.fork()
        if child == 0:
            assert run.status == "interrupted", run.status
            assert run.text == "partial "
            try:
                run.wait(10)
            except RunTruncatedError as error:
                assert "forked" in str(error)
            else:
                sys.exit("it should have said so")
            run.cancel()
            run.start()
            assert agentnb.agent(lambda prompt: prompt.upper()).run("own").text == "OWN"
            assert run.status == "interrupted"
            assert os.getpid() not in heard
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert run.wait(10).text == "partial rest"
        """,
        "-W",
        "ignore::DeprecationWarning",  # of forking a process that has threads, from 3.12 on
    )
    assert done.stderr == ""


# -- keeping it ----------------------------------------------------------------------------------


def restored(data: dict[str, Any]) -> Transcript:
    """The transcript that the kept events make."""
    transcript = Transcript(agent=data["agent"], session_id=data["session_id"])
    for entry in data["events"]:
        transcript.apply(event_from_dict(entry), entry["at"])
    return transcript


def test_to_dict() -> None:
    run = agentnb.agent(everything, depth=3).run("What is it?", extra=[1, {"a": None}])
    data = run.to_dict()
    assert data["format"] == "agentnb.run/1"
    assert data["prompt"] == "What is it?"
    assert data["params"] == {"depth": 3, "extra": [1, {"a": None}]}
    assert data["text"] == run.text
    assert data["usage"] == {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}
    assert data["duration"] == run.duration
    assert data["created_at"] == run.created_at.isoformat()
    assert data["run_id"] == data["id"] == run.id
    assert [e["type"] for e in data["events"]] == [e.type for e in run.events]
    again = json.loads(json.dumps(data))
    assert again == data
    assert restored(again).to_dict() == run.transcript.to_dict()


@given(event_lists)
def test_any_events_survive_as_json(events: list[Event]) -> None:
    async def play(request: RunRequest) -> Batches:
        yield events

    run = player(PlayedPlatform(play)).run("hi", check=False)
    data = json.loads(json.dumps(run.to_dict()))
    assert restored(data).to_dict() == run.transcript.to_dict()
    assert [event_from_dict(entry) for entry in data["events"]] == list(run.events)


def test_export(tmp_path: Path) -> None:
    run = agentnb.agent(everything).run("What <is> it?")
    markdown = run.export(tmp_path / "run.md")
    assert markdown == tmp_path / "run.md"
    text = markdown.read_text(encoding="utf-8")
    assert text == run.to_markdown()
    assert "The answer is **42**." in text
    assert "What <is> it?" in text

    page = run.export(str(tmp_path / "run.HTML")).read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "<strong>42</strong>" in page
    assert "What &lt;is&gt; it?" in page

    data = json.loads(run.export(tmp_path / "run.json").read_text(encoding="utf-8"))
    assert data == json.loads(json.dumps(run.to_dict()))

    for name in ("run.pdf", "run"):
        with pytest.raises(ValueError, match=r"\.md, \.html or \.json"):
            run.export(tmp_path / name)
        assert not (tmp_path / name).exists()


def test_export_survives_lone_surrogates_and_strange_params(tmp_path: Path) -> None:
    broken = "half \ud83d of \udc00 it ☃"

    def quoting(prompt: str) -> str:
        return broken

    run = agentnb.agent(quoting, path=Path("x"), key=SecretStr("canary")).run("hi")
    for suffix in (".md", ".html"):
        kept = run.export(tmp_path / f"run{suffix}").read_text(encoding="utf-8")
        assert "half" in kept
        assert "☃" in kept
    content = run.export(tmp_path / "run.json").read_text(encoding="utf-8")
    assert "canary" not in content
    data = json.loads(content)
    assert data["text"] == broken
    assert data["params"]["path"] == "x"
    assert restored(data).text == broken


def test_a_run_can_be_kept_while_it_goes_on(tmp_path: Path, gate: Gate) -> None:
    run = gate.agent().start("hi")
    asyncio.run(until_text(run))
    data = json.loads(run.export(tmp_path / "run.json").read_text(encoding="utf-8"))
    assert data["status"] == "running"
    assert data["text"] == "before "
    assert data["duration"] is None


def test_a_run_is_not_pickled() -> None:
    run = agentnb.agent(everything).run("hi")
    with pytest.raises(TypeError):
        pickle.dump(run, io.BytesIO())


def test_a_cancelled_run_says_so() -> None:
    async def endless(request: RunRequest) -> Batches:
        yield [STARTED]
        await asyncio.sleep(60)

    run = player(PlayedPlatform(endless)).start("hi")
    run.cancel()
    with pytest.raises(RunCancelledError, match="The run was cancelled") as caught:
        run.wait(LONG)
    assert caught.value.run is run
    assert run.error == "The run was cancelled."

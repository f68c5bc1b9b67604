"""Runs in the store: all of them, whole, while they stream and afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

import agentnb
from agentnb.event.types import (
    ApprovalRequested,
    Event,
    ReasoningDelta,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from agentnb.platforms.base import Capabilities, Media, MediaSupport, RunRequest
from agentnb.store.recorder import flush, use
from agentnb.store.schema import content, event_chunk, run, tool_call
from agentnb.store.store import Store
from agentnb.store.values import from_micros
from tests.history.recorded import keys, processes, recorded, rows
from tests.played import LONG, Batches, PlayedPlatform, player, until

USAGE = Usage(
    input_tokens=10,
    output_tokens=5,
    total_tokens=15,
    cached_tokens=4,
    reasoning_tokens=2,
    cost_usd=0.25,
)


async def full(request: RunRequest) -> Batches:
    yield [RunStarted(run_id=f"run of {request.prompt}", session_id="s1", model="m-1")]
    await asyncio.sleep(0.01)
    yield [ReasoningDelta("Let me "), ReasoningDelta("see.", "p")]
    yield [
        TextDelta("Hello "),
        ToolCallStarted(call_id="c", name="look"),
        ToolCallDelta(call_id="c", arguments='{"at": "\0\ud83d"}'),
        ToolCallFinished(call_id="c", result="1"),
        ToolCallStarted(call_id="d", name="fail", arguments="{}"),
        ToolCallFinished(call_id="d", error="no"),
        TextDelta("there \ude00\0é"),
    ]
    yield [UsageReported(usage=USAGE), RunFinished(output="Hello there", details={"a": [1]})]


class TestWhatIsWritten:
    def test_a_whole_run(self, history_store: Store) -> None:
        asked = player(PlayedPlatform(full)).run("q", temperature=0.5)
        found = recorded(history_store, asked)
        assert found.events == list(asked.events)
        assert found.times == list(asked.event_times)
        row = found.run
        assert {name: row[name] for name in ("platform", "agent", "title", "run_id")} == {
            "platform": "played",
            "agent": "player",
            "title": "player",
            "run_id": "run of q",
        }
        assert (row["source"], row["status"]) == ("recorded", "completed")
        assert (row["session_id"], row["model"]) == ("s1", "m-1")
        assert from_micros(row["started_at"]) == asked.created_at
        assert asked.duration is not None
        assert row["duration"] == round(asked.duration * 1e6)
        assert row["finished_at"] == row["started_at"] + row["duration"]
        assert asked.time_to_first_token is not None
        assert row["first_token"] == round(asked.time_to_first_token * 1e6)
        told = {name: row[name] for name in USAGE.__slots__}
        assert told == {name: getattr(USAGE, name) for name in USAGE.__slots__}
        assert (row["tool_calls"], row["tool_errors"]) == (2, 1)
        assert row["events"] == len(asked.events)
        assert (row["error"], row["error_code"], row["error_class"]) == (None, None, None)
        assert row["user_name"]
        (process,) = processes(history_store)
        assert row["process"] == process["id"]
        assert process["pid"] == os.getpid()

        assert found.content["prompt"] == "q"
        # What no database takes in a text of its own is replaced there; the events have it.
        assert found.content["text"] == "Hello there \ufffd\ufffdé"
        assert found.content["reasoning"] == "Let me \n\nsee."
        request = json.loads(found.content["request"])
        assert request["params"] == {"temperature": 0.5}
        first, second = found.calls
        assert (first["call_id"], first["name"], first["status"]) == ("c", "look", "completed")
        assert (first["arguments"], first["result"]) == ('{"at": "\ufffd\ufffd"}', "1")
        assert first["started"] == first["finished"] > 0
        assert (second["status"], second["error"]) == ("failed", "no")

    @pytest.mark.parametrize("name", ["AGENTNB_USER", "JUPYTERHUB_USER"])
    def test_who_ran_it(
        self, history_store: Store, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(name, "Ada")
        assert recorded(history_store, player(PlayedPlatform(full)).run("q")).run["user_name"] == (
            "Ada"
        )

    def test_what_went_wrong(self, history_store: Store) -> None:
        def broken(prompt: str) -> str:
            raise LookupError("nowhere")

        async def refused(request: RunRequest) -> Batches:
            yield [RunFailed(message="Too much.", code="E7")]

        mine = agentnb.agent(broken).run("q", check=False)
        row = recorded(history_store, mine).run
        assert (row["status"], row["error_class"]) == ("failed", "LookupError")
        assert "nowhere" in row["error"]
        theirs = player(PlayedPlatform(refused)).run("q", check=False)
        row = recorded(history_store, theirs).run
        assert (row["error"], row["error_code"]) == ("Too much.", "E7")

    def test_figures_that_no_column_takes(self, history_store: Store) -> None:
        async def script(request: RunRequest) -> Batches:
            usage = Usage(input_tokens=10**30, output_tokens=3)
            yield [UsageReported(usage=usage), RunFinished()]

        found = recorded(history_store, player(PlayedPlatform(script)).run("q"))
        assert (found.run["input_tokens"], found.run["output_tokens"]) == (None, 3)
        assert found.run["status"] == "completed"

    def test_attachments_are_named_not_kept(self, history_store: Store, tmp_path: Path) -> None:
        async def script(request: RunRequest) -> Batches:
            yield [RunFinished()]

        able = Capabilities(media=MediaSupport(max_bytes=1000, max_count=5))
        path = tmp_path / "sheet.csv"
        path.write_text("confidential")
        media = [
            path,
            Media(data=b"confidential", mime_type="text/plain", name="note.txt"),
            "https://user:pass@files.example/x.png?X-Amz-Signature=abc&v=1",
        ]
        asked = player(PlayedPlatform(script, capabilities=able)).run("q", media=media)
        text = recorded(history_store, asked).content["request"]
        first, second, third = json.loads(text)["media"]
        assert (first["name"], first["bytes"]) == ("sheet.csv", 12)
        assert (second["name"], second["bytes"]) == ("note.txt", 12)
        assert third["url"] == "https://files.example/x.png?X-Amz-Signature=***&v=1"
        assert "confidential" not in text

    def test_content_that_is_not_to_be_stored(
        self, history_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from agentnb.store.store import store

        monkeypatch.setenv("AGENTNB_HISTORY_CONTENT", "0")
        use(history_url)
        try:
            opened = store(required=True)
            asked = player(PlayedPlatform(full)).run("q of mine", temperature=0.5)
            found = recorded(opened, asked)
            assert found.run["events"] == len(asked.events)
            assert found.run["input_tokens"] == 10
            assert [call["name"] for call in found.calls] == ["look", "fail"]
            assert found.calls[1]["status"] == "failed"
            told = repr([rows(opened, table) for table in (run, content, event_chunk, tool_call)])
            for text in ("of mine!", "Hello", "Let me", "temperature", '"at"'):
                assert text not in told
            assert rows(opened, content) == rows(opened, event_chunk) == []
        finally:
            use(None)

    def test_one_that_cannot_be_written_does_not_cost_the_others(
        self, history_store: Store
    ) -> None:
        """A bug, or data that nobody thought of: here a title that has no text."""

        class Odd:
            def __str__(self) -> str:
                raise LookupError("no text")

        agent = player(PlayedPlatform(full))
        runs = [agent.start(f"q{number}") for number in range(5)]
        runs[2].title = Odd()  # pyright: ignore[reportAttributeAccessIssue]
        for each in runs:
            each.wait(LONG)
        flush(LONG)
        later = agent.run("later")
        assert flush(LONG)
        kept = {each.local_id for each in (*runs, later) if each is not runs[2]}
        assert kept <= keys(history_store)
        for key in kept:
            assert len(recorded(history_store, key).events) == len(later.events)


class TestWhileItStreams:
    def test_it_is_there_before_its_end(self, history_store: Store) -> None:
        gate = threading.Event()

        async def script(request: RunRequest) -> Batches:
            yield [RunStarted(run_id="r"), TextDelta("So ")]
            await asyncio.to_thread(gate.wait, LONG)
            yield [TextDelta("far."), RunFinished()]

        going = player(PlayedPlatform(script)).start("q")
        until(lambda: going.text)
        try:
            found = recorded(history_store, going)
            assert found.run["status"] == "running"
            assert found.run["finished_at"] is None
            assert found.content["text"] == "So "
            assert found.events == list(going.events)
        finally:
            gate.set()
        going.wait(LONG)
        found = recorded(history_store, going)
        assert found.run["status"] == "completed"
        assert found.content["text"] == "So far."
        assert found.events == list(going.events)

    def test_without_being_asked(self, history_store: Store) -> None:
        """Nobody flushes: what comes is written soon."""
        gate = threading.Event()

        async def script(request: RunRequest) -> Batches:
            yield [TextDelta("So far.")]
            await asyncio.to_thread(gate.wait, LONG)
            yield [RunFinished()]

        going = player(PlayedPlatform(script)).start("q")
        try:
            until(lambda: going.local_id in keys(history_store))
            until(lambda: len(recorded(history_store, going.local_id).events) == 1)
        finally:
            gate.set()
        until(lambda: recorded(history_store, going.local_id).run["status"] == "completed")

    def test_many_small_writes_do_not_leave_many_rows(self, history_store: Store) -> None:
        gate = threading.Semaphore(0)

        async def script(request: RunRequest) -> Batches:
            for number in range(60):
                await asyncio.to_thread(gate.acquire, True, LONG)
                yield [TextDelta(f"{number} ")]
            yield [RunFinished()]

        going = player(PlayedPlatform(script)).start("q")
        for number in range(60):
            gate.release()
            until(lambda: len(going.events) > number)  # noqa: B023
            assert recorded(history_store, going).run["events"] > number
        found = recorded(history_store, going.wait(LONG))
        assert found.events == list(going.events)
        assert found.chunks == 1

    def test_a_long_one(self, history_store: Store) -> None:
        async def script(request: RunRequest) -> Batches:
            for number in range(0, 20_000, 100):
                yield [TextDelta(f"{n:05}") for n in range(number, number + 100)]
            yield [RunFinished()]

        asked = player(PlayedPlatform(script)).run("q")
        found = recorded(history_store, asked)
        assert found.events == list(asked.events)
        assert found.times == list(asked.event_times)
        assert found.content["text"] == asked.text
        assert found.chunks < 100

    def test_one_that_nobody_ends(self, history_store: Store) -> None:
        """The loop of the user's code went away; what came is there."""

        async def use_some() -> agentnb.Run:
            async def endless(prompt: str) -> AsyncGenerator[str, None]:
                yield "one"
                await asyncio.sleep(3600)

            return agentnb.agent(endless).start("q")

        going = asyncio.run(use_some())
        until(lambda: going.text)
        assert recorded(history_store, going).run["status"] == "running"
        going.cancel()
        until(lambda: going.done)
        assert recorded(history_store, going).run["status"] == "cancelled"


class TestDecisions:
    @staticmethod
    async def pausing(request: RunRequest) -> Batches:
        yield [
            RunStarted(run_id="run_1"),
            TextDelta("Before. "),
            ApprovalRequested(approval_id="a1", message="May I?"),
        ]
        if request.prompt == "run_1":
            yield [TextDelta("After."), RunFinished()]

    def test_a_run_that_went_on_is_one_row(self, history_store: Store) -> None:
        able = Capabilities(cancel=True, attach=True, approvals=True)
        paused = player(PlayedPlatform(self.pausing, capabilities=able)).run("q")
        assert recorded(history_store, paused).run["status"] == "paused"
        went_on = paused.approve().wait(LONG)
        found = recorded(history_store, went_on)
        assert found.run["status"] == "completed"
        assert found.run["run_id"] == "run_1"
        assert found.content["text"] == "Before. After."
        assert found.content["prompt"] == "q"
        assert keys(history_store) == {went_on.local_id}
        assert {row["run"] for row in rows(history_store, event_chunk)} == {went_on.local_id}

    def test_one_that_is_given_up(self, history_store: Store) -> None:
        able = Capabilities(cancel=True, attach=True, approvals=True)
        paused = player(PlayedPlatform(self.pausing, capabilities=able)).run("q")
        assert recorded(history_store, paused).run["status"] == "paused"
        paused.cancel()
        until(lambda: paused.status == "cancelled")
        found = recorded(history_store, paused)
        assert found.run["status"] == "cancelled"
        assert found.events == list(paused.events)


def test_events_of_every_batch_are_there_once(history_store: Store) -> None:
    """Many runs at once, each written in many pieces."""
    agent = player(PlayedPlatform(self_paced))
    runs = [agent.start(str(number)) for number in range(30)]
    for each in runs:
        each.wait(LONG)
    assert flush(LONG)
    for each in runs:
        found = recorded(history_store, each.local_id)
        assert found.events == list(each.events)
        assert found.content["text"] == each.text


async def self_paced(request: RunRequest) -> Batches:
    events: list[Event] = [TextDelta(f"{request.prompt}.{n} ") for n in range(40)]
    for event in events:
        yield [event]
        await asyncio.sleep(0.02)
    yield [RunFinished()]

"""Requests, streams and attached runs of `Agent`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import agentnb
from agentnb import Media, history
from agentnb.agents import Agent
from agentnb.errors import (
    ConfigError,
    RequestError,
    RunFailedError,
    UnsupportedError,
)
from agentnb.event.types import RunFinished, RunStarted, TextDelta
from agentnb.platforms.base import Capabilities, MediaSupport, RunRequest
from agentnb.run.run import Run
from tests.played import LONG, STARTED, Batches, PlayedPlatform, player

pytestmark = pytest.mark.anyio


IMAGES = MediaSupport(accept=("image/*",), max_bytes=1000, max_count=2)


async def repeat(request: RunRequest) -> Batches:
    yield [STARTED, TextDelta(request.prompt), RunFinished()]


class TestStarting:
    def test_the_request_of_a_run(self) -> None:
        abilities = Capabilities(output_schema=True, media=IMAGES)
        platform = PlayedPlatform(repeat, capabilities=abilities)
        agent = Agent(platform, "a1", title="The agent", params={"depth": 1, "style": "dry"})
        run = agent.run("hi", session="s7", output_type={"type": "object"}, media=[b"x"], depth=2)
        (request,) = platform.requests
        assert request == run.request
        assert request.agent == "a1"
        assert request.prompt == "hi"
        assert request.session_id == "s7"
        assert request.params == {"depth": 2, "style": "dry"}
        assert request.output_schema == {"type": "object"}
        assert request.media == (Media(data=b"x"),)
        assert agent.params == {"depth": 1, "style": "dry"}
        assert (agent.name, repr(agent)) == ("played:a1", "<Agent played:a1>")
        assert run.title == "The agent"

    def test_continuing_a_session(self) -> None:
        def remember(prompt: str, context: Any) -> str:
            return f"{len(context.history)} before"

        agent = agentnb.agent(remember)
        first = agent.run("one")
        second = agent.run("two", session=first)
        third = agent.run("three", session=second.session_id)
        assert [r.text for r in (first, second, third)] == ["0 before", "2 before", "4 before"]
        assert first.session_id == third.session_id
        assert agent.run("four").session_id != first.session_id

    def test_a_run_without_a_session_cannot_be_continued(self) -> None:
        async def homeless(request: RunRequest) -> Batches:
            yield [RunStarted(run_id="r"), RunFinished()]

        agent = player(PlayedPlatform(homeless))
        run = agent.run("hi")
        with pytest.raises(RequestError, match="no session"):
            agent.run("again", session=run)

    @pytest.mark.parametrize("prompt", ["", "  \n\t "])
    def test_an_empty_prompt_is_rejected(self, prompt: str) -> None:
        platform = PlayedPlatform(repeat)
        before = len(history.recent_runs())
        with pytest.raises(RequestError, match="empty"):
            player(platform).start(prompt)
        assert platform.requests == []
        assert len(history.recent_runs()) == before

    def test_unsupported_arguments_are_rejected(self) -> None:
        agent = player(PlayedPlatform(repeat, capabilities=Capabilities()))
        with pytest.raises(UnsupportedError, match="structured output"):
            agent.run("hi", output_type={})
        with pytest.raises(UnsupportedError, match="attachments"):
            agent.run("hi", media=[b"x"])
        with pytest.raises(UnsupportedError, match="attach to a run"):
            agent.attach("run_1")

    def test_a_run_is_remembered(self) -> None:
        run = player(PlayedPlatform(repeat)).start("hi")
        assert agentnb.last_run() is run
        run.wait(LONG)


class TestMedia:
    @pytest.fixture
    def sent(self) -> Any:
        platform = PlayedPlatform(repeat, capabilities=Capabilities(media=IMAGES))

        def send(media: Any) -> tuple[Media, ...]:
            player(platform).run("hi", media=media)
            return tuple(platform.requests[-1].media)

        return send

    def test_every_kind(self, sent: Any, tmp_path: Path) -> None:
        file = tmp_path / "a.png"
        file.write_bytes(b"\x89PNG")
        own = Media(data=b"x", mime_type="image/png")
        address = "https://example.org/a.png"
        found = sent([own, b"y", file, str(file), address, "DATA:text/plain,hi"])
        assert found == (
            own,
            Media(data=b"y"),
            Media(path=file),
            Media(path=file),
            Media(url=address),
            Media(url="DATA:text/plain,hi"),
        )

    def test_a_single_one(self, sent: Any, tmp_path: Path) -> None:
        file = tmp_path / "a.png"
        file.write_bytes(b"\x89PNG")
        assert sent(str(file)) == (Media(path=file),)
        assert sent(b"bytes") == (Media(data=b"bytes"),)
        assert sent(file) == (Media(path=file),)

    def test_the_home_folder_is_abbreviated(
        self, sent: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        (tmp_path / "a.png").write_bytes(b"\x89PNG")
        assert sent("~/a.png") == (Media(path=tmp_path / "a.png"),)

    @pytest.mark.parametrize(
        "item", ["no_such_file.png", "", "s3://bucket/a.png", "A" * 100_000, "a\x00b", "."]
    )
    def test_text_that_is_neither_file_nor_address(self, sent: Any, item: str) -> None:
        with pytest.raises(RequestError, match="neither a file nor an address") as caught:
            sent([item])
        assert len(str(caught.value)) < 300

    @pytest.mark.parametrize(
        ("item", "expected"),
        [
            ({"type": "image/png", "data": "eHk="}, Media(data=b"xy", mime_type="image/png")),
            ({"type": "image/png", "data": "e\nHk"}, Media(data=b"xy", mime_type="image/png")),
            ({"type": "a/b", "data": "-_-_"}, Media(data=b"\xfb\xff\xbf", mime_type="a/b")),
            (
                {"type": "a/b", "data": b"xy", "name": "n"},
                Media(data=b"xy", mime_type="a/b", name="n"),
            ),
            ({"mime_type": "a/b", "data": bytearray(b"xy")}, Media(data=b"xy", mime_type="a/b")),
            (
                {"type": "image/jpeg", "data": "https://example.org/cat"},
                Media(url="https://example.org/cat", mime_type="image/jpeg"),
            ),
            (
                {"type": "a/b", "data": "data:a/b;base64,eHk="},
                Media(url="data:a/b;base64,eHk=", mime_type="a/b"),
            ),
            (
                {"mimeType": "a/b", "url": "https://example.org/x"},
                Media(url="https://example.org/x", mime_type="a/b"),
            ),
            ({"data": "eHk="}, Media(data=b"xy")),
        ],
        ids=[
            "base64",
            "wrapped",
            "url-safe",
            "bytes",
            "snake",
            "address",
            "data-url",
            "url",
            "bare",
        ],
    )
    def test_a_mapping_as_platforms_document_it(
        self, sent: Any, item: dict[str, Any], expected: Media
    ) -> None:
        assert sent([item]) == (expected,)
        assert sent(item) == (expected,)

    @pytest.mark.parametrize(
        ("item", "words"),
        [
            ({"type": "a/b"}, "exactly one"),
            ({"type": "a/b", "data": "eHk=", "url": "https://x.example"}, "exactly one"),
            ({"type": "a/b", "mimeType": "a/b", "data": "eHk="}, "one type"),
            ({"type": "a/b", "data": "%%%"}, "neither base64 nor an address"),
            ({"type": "a/b", "data": 5}, "data is no int"),
            ({"type": "a/b", "url": "cat.png"}, "begins with https"),
            ({"type": "a/b", "path": 5}, "path is no int"),
            ({"type": 5, "data": "eHk="}, "type is text"),
            ({"kind": "a/b", "data": "eHk="}, "no 'kind'"),
        ],
    )
    def test_an_invalid_mapping(self, sent: Any, item: dict[str, Any], words: str) -> None:
        with pytest.raises(RequestError, match=words):
            sent([item])

    def test_an_invalid_type(self, sent: Any) -> None:
        with pytest.raises(RequestError, match="A int is no attachment"):
            sent([5])


class TestStreaming:
    async def test_every_event(self) -> None:
        agent = player(PlayedPlatform(repeat))
        events = [event async for event in agent.stream("hi")]
        assert events == [STARTED, TextDelta("hi"), RunFinished()]

    async def test_leaving_early_cancels(self) -> None:
        async def long(request: RunRequest) -> Batches:
            yield [STARTED]
            while True:
                await asyncio.sleep(0.001)
                yield [TextDelta("x")]

        platform = PlayedPlatform(long)
        async for event in player(platform).stream("hi"):
            if isinstance(event, TextDelta):
                break
        run = agentnb.last_run()
        assert isinstance(run, Run)
        # The generator closes at the loop's next turn.
        await asyncio.wait_for(run.wait_async(check=False), LONG)
        assert run.status == "cancelled"
        assert platform.closed.is_set()
        assert await asyncio.to_thread(platform.was_told.wait, LONG)

    async def test_an_unused_stream_sends_nothing(self) -> None:
        platform = PlayedPlatform(repeat)
        events = player(platform).stream("hi")
        await events.aclose()
        assert platform.requests == []

    async def test_a_failure_comes_after_the_last_event(self) -> None:
        def failing(prompt: str) -> Iterator[str]:
            yield "So far"
            raise ValueError("no further")

        events = agentnb.agent(failing).stream("hi")
        seen = [await anext(events) for _ in range(3)]
        assert [e.type for e in seen] == ["run_started", "text_delta", "run_failed"]
        with pytest.raises(RunFailedError, match="no further"):
            await anext(events)
        unchecked = [e async for e in agentnb.agent(failing).stream("hi", check=False)]
        assert len(unchecked) == 3


class TestAttaching:
    def test_attaching_to_a_run_in_progress(self) -> None:
        async def rest(request: RunRequest) -> Batches:
            assert request.prompt == "run_9"
            yield [TextDelta("the rest"), RunFinished()]

        run = player(PlayedPlatform(rest)).attach("run_9", session="s1")
        assert run.id == "run_9"
        assert run.wait(LONG).text == "the rest"
        assert run.session_id == "s1"
        assert agentnb.last_run() is run

    def test_cancelling_at_once_still_reaches_the_platform(self) -> None:
        platform = PlayedPlatform(repeat)
        run = player(platform).attach("run_cancelled_at_once")
        run.cancel()
        run.wait(LONG, check=False)
        if run.status == "cancelled":
            assert platform.was_told.wait(LONG)
            assert platform.told == [("run_cancelled_at_once", None)]


def test_a_function_takes_no_settings() -> None:
    with pytest.raises(ConfigError, match="function needs no"):
        agentnb.agent(len, api_key="canary-4711")
    with pytest.raises(ConfigError, match="function needs no"):
        agentnb.agent(len, base_url="http://127.0.0.1:1")


def test_unsupported_operations_of_a_function() -> None:
    agent = agentnb.agent(len)
    assert [a.id for a in agent.agents()] == ["len"]
    with pytest.raises(UnsupportedError):
        agent.remote_runs()
    with pytest.raises(UnsupportedError):
        agent.remote_status(["r"])
    with pytest.raises(UnsupportedError):
        agent.attach("r")

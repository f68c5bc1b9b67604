"""A chunk that arrives damaged: asked for again where its place is known, and missed where not."""

from __future__ import annotations

import json
from typing import Any

import pytest

import agentnb
from agentnb._http import RequestOptions
from agentnb._http.retry import Retries
from agentnb.errors import RunTruncatedError
from agentnb.event.transcript import Transcript, fold
from agentnb.platforms.base import RunRequest
from agentnb.platforms.runagent import RunAgentPlatform
from agentnb.sandbox import Sandbox
from tests.platforms.runagent.test_client import (
    DONE,
    START,
    STREAM,
    ask,
    chunk,
    events_of,
    platform,
)
from tests.platforms.scripted import Reply, ScriptedServer, stream, until_broken

__all__ = ["platform"]

DAMAGED = 'event: chunk\ndata: {"content": "th\n\n'


async def told(platform: RunAgentPlatform, request: RunRequest | None = None) -> Transcript:
    return fold(await events_of(platform.stream(request or ask())))


def asked_for(server: ScriptedServer) -> list[int]:
    """The chunks from which the answer was asked for again."""
    return [seen.json["parameters"]["resume_from_index"] for seen in server.requests[1:]]


@pytest.mark.anyio
async def test_it_is_asked_for_again(server: ScriptedServer, platform: RunAgentPlatform) -> None:
    server.on(
        STREAM,
        stream(START, chunk("one ", 0), chunk("two ", 1), DAMAGED, chunk("four", 3), DONE),
        # It goes on for ever: what is read of it is the chunk alone.
        stream(START, chunk("three ", 2), chunk("four", 3), hang=True),
    )
    request = ask(params={"chunk_size": 5, "parameters": {"tone": "calm"}})
    found = await told(platform, request)
    assert (found.text, found.status) == ("one two three four", "completed")
    assert len(found.raw_events) == 1
    assert server.requests[1].json == {
        "query": request.prompt,
        "session_id": "abc123",
        "parameters": {"chunk_size": 5, "tone": "calm", "resume_from_index": 2},
    }


@pytest.mark.anyio
async def test_several_are_each_asked_for(
    server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    server.on(
        STREAM,
        stream(START, chunk("a", 0), DAMAGED + DAMAGED + chunk("d", 3), DAMAGED, DONE),
        *(stream(START, chunk("abcde"[place], place), hang=True) for place in (1, 2, 4)),
    )
    found = await told(platform)
    assert (found.text, found.status) == ("abcde", "completed")
    assert asked_for(server) == [1, 2, 4]


@pytest.mark.anyio
async def test_a_place_that_only_the_next_chunk_tells(
    server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    """After one chunk nobody knows yet whether chunks are counted, or characters."""
    server.on(
        STREAM,
        stream(START, chunk("one ", 0), DAMAGED, chunk("three", 2), DONE),
        stream(START, chunk("two ", 1), hang=True),
    )
    found = await told(platform)
    assert (found.text, found.status) == ("one two three", "completed")
    assert asked_for(server) == [1]


@pytest.mark.anyio
async def test_where_characters_are_counted(
    server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    server.on(
        STREAM,
        stream(START, chunk("one ", 0), chunk("two ", 4), DAMAGED, chunk("four", 14), DONE),
        stream(START, chunk("three ", 8), hang=True),
    )
    assert (await told(platform)).text == "one two three four"
    assert asked_for(server) == [8]


@pytest.mark.parametrize(
    "again",
    [
        stream(START, DAMAGED, chunk("d", 3), DONE),
        # An answer of its own, and nothing at all.
        stream(START, chunk("A", 0), chunk("B", 1), chunk("C", 2), DONE),
        stream(START, DONE),
        stream(START, cut=True),
        Reply({"error": {"message": "No."}}, status=400),
    ],
)
@pytest.mark.anyio
async def test_what_cannot_be_had_again_is_missed(
    server: ScriptedServer, platform: RunAgentPlatform, again: Reply
) -> None:
    """The rest of the answer comes all the same, and nobody takes it for the whole."""
    server.on(
        STREAM,
        stream(START, chunk("a", 0), chunk("b", 1), DAMAGED, chunk("d", 3), chunk("e", 4), DONE),
        again,
    )
    found = await told(platform)
    assert (found.text, found.status) == ("abde", "truncated")
    assert found.failure is not None
    assert (found.failure.code, len(found.raw_events)) == ("answer_incomplete", 1)
    assert "arrived damaged" in found.failure.message
    assert asked_for(server) == [2]


@pytest.mark.parametrize(
    "frames",
    [
        # Asked for its first chunk, a platform may begin anew; and without numbers nobody can ask.
        (START, DAMAGED, chunk("b", 1), chunk("c", 2), DONE),
        (START, 'event: chunk\ndata: {"content": "a"}\n\n', DAMAGED, DONE),
        # No session to ask in.
        (chunk("a", 0), chunk("b", 1), DAMAGED, DONE),
    ],
)
@pytest.mark.anyio
async def test_what_cannot_be_asked_for_is_not(
    server: ScriptedServer, platform: RunAgentPlatform, frames: tuple[str, ...]
) -> None:
    server.on(STREAM, stream(*frames))
    assert (await told(platform)).status == "truncated"
    assert len(server.requests) == 1


@pytest.mark.anyio
async def test_who_wants_no_further_attempts_has_none(
    server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    server.on(STREAM, stream(START, chunk("a", 0), chunk("b", 1), DAMAGED, chunk("d", 3), DONE))
    with RequestOptions(retries=Retries(reconnects=0)).applied():
        found = await told(platform)
    assert (found.text, found.status, len(server.requests)) == ("abd", "truncated", 1)


@pytest.mark.anyio
async def test_where_all_are_damaged_not_all_are_asked_for(
    server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    every_second = [frame for n in range(1, 60, 2) for frame in (DAMAGED, chunk("y", n + 1))]

    def answer(seen: Any) -> Reply:
        first = seen.json.get("parameters", {}).get("resume_from_index")
        if first is None:
            return stream(START, chunk("x", 0), *every_second, DONE)
        return stream(START, chunk("z", first), hang=True)

    server.routes[STREAM] = answer
    found = await told(platform)
    assert len(server.requests) == 1 + 8
    assert found.text.startswith("x" + "zy" * 8)
    assert found.status == "truncated"


@pytest.mark.anyio
async def test_a_stream_that_breaks_off_after_it_is_taken_up_at_it(
    server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    server.on(
        STREAM,
        stream(START, chunk("a", 0), chunk("b", 1), DAMAGED, chunk("d", 3), cut=True),
        Reply({}, status=400),
        stream(START, chunk("c", 2), chunk("d", 3), DONE),
    )
    request = ask()
    found = await until_broken(platform.stream(request))
    assert fold(found).text == "ab"
    batches = platform.resume(request, run_id=None, session_id="abc123", delivered=tuple(found))
    found += await events_of(batches)
    assert asked_for(server) == [2, 2]
    assert (fold(found).text, fold(found).status) == ("abcd", "completed")


@pytest.mark.parametrize("number", [2, 3, 20])
def test_a_run_is_whole_again(number: int) -> None:
    """Of the sandbox's events the first begins, and the others are chunks."""
    said = "one two three four " * 10
    with Sandbox(pace=0) as sandbox:
        agent = agentnb.agent(
            "runagent:echo", base_url=sandbox.base_url("runagent"), api_key=sandbox.api_key
        )
        with sandbox.faults(f"malformed events={number} on=start"):
            run = agent.run(json.dumps({"text": said, "size": 4}))
    assert (run.status, run.text) == ("completed", said)
    assert len(run.transcript.raw_events) == 1


def test_a_run_that_lacks_a_part_did_not_complete() -> None:
    said = "one two three four " * 10
    with Sandbox(pace=0) as sandbox:
        agent = agentnb.agent(
            "runagent:echo", base_url=sandbox.base_url("runagent"), api_key=sandbox.api_key
        )
        with (
            sandbox.faults("malformed events=20 on=start; status 503 on=join"),
            pytest.raises(RunTruncatedError, match="arrived damaged") as caught,
        ):
            agent.run(json.dumps({"text": said, "size": 4}))
    assert caught.value.run.text == said[: 19 * 4] + said[20 * 4 :]

"""A stream that broke off, gone on with by the index of the next chunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from agentnb.errors import PlatformError, RequestError
from agentnb.event.transcript import fold
from agentnb.event.types import Event, RawEvent, RunFinished, RunStarted, TextDelta
from agentnb.platforms.base import Resumes, RunRequest
from agentnb.platforms.runagent import RunAgentPlatform
from tests.platforms.runagent.test_client import DONE, START, STREAM, ask, chunk, platform
from tests.platforms.scripted import ScriptedServer, stream, until_broken

__all__ = ["platform"]

pytestmark = pytest.mark.anyio


async def resumed(
    platform: RunAgentPlatform, request: RunRequest, delivered: Sequence[Event]
) -> list[Event]:
    so_far = fold(delivered)
    batches = platform.resume(
        request, run_id=so_far.run_id, session_id=so_far.session_id, delivered=tuple(delivered)
    )
    return [event async for batch in batches for event in batch]


def index_of(seen: Any) -> int:
    return int(seen.json["parameters"]["resume_from_index"])


async def test_it_goes_on_with_the_next_chunk(
    server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    assert isinstance(platform, Resumes)
    server.on(
        STREAM,
        stream(START, chunk("a", 0), chunk("b", 1), cut=True),
        # One that came already, and two in the wrong order.
        stream(START, chunk("b", 1), chunk("d", 3), chunk("c", 2), cut=True),
        stream(START, chunk("e", 4), chunk("e", 4), DONE),
    )
    request = ask(params={"chunk_size": 1, "parameters": {"tone": "calm"}})
    found = await until_broken(platform.stream(request))
    batches = platform.resume(request, run_id=None, session_id="abc123", delivered=tuple(found))
    found += await until_broken(batches)
    found += await resumed(platform, request, found)
    assert "".join(e.text for e in found if isinstance(e, TextDelta)) == "abcde"
    assert sum(isinstance(event, RunStarted) for event in found) == 1
    assert isinstance(found[-1], RunFinished)
    assert [index_of(seen) for seen in server.requests[1:]] == [2, 4]
    assert server.requests[1].json["parameters"] == {
        "chunk_size": 1,
        "tone": "calm",
        "resume_from_index": 2,
    }


async def test_half_a_character_before_and_half_after(
    server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    first = stream(START, chunk("a\\ud83d", 0), cut=True)
    server.on(STREAM, first, stream(START, chunk("\\ude00b", 1), DONE))
    found = await until_broken(platform.stream(request := ask()))
    found += await resumed(platform, request, found)
    assert fold(found).text == "a😀b"


async def test_a_chunk_that_never_comes_is_asked_for(
    server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    server.on(
        STREAM,
        stream(START, chunk("a", 0), chunk("c", 2), cut=True),
        stream(START, chunk("b", 1), chunk("c", 2), DONE),
    )
    found = await until_broken(platform.stream(request := ask()))
    assert fold(found).text == "a"
    found += await resumed(platform, request, found)
    assert fold(found).text == "abc"
    assert index_of(server.requests[1]) == 1


async def test_a_gap_before_a_clean_end_is_reported(
    server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    """What nobody may ever ask for again is shown, and what comes too late for it is kept."""
    server.on(
        STREAM,
        stream(START, chunk("a", 0), chunk("c", 2)),
        stream(START, chunk("b", 1), chunk("c", 2), chunk("d", 3), DONE),
    )
    request = ask()
    found = [event async for batch in platform.stream(request) for event in batch]
    assert fold(found).text == "ac"
    found += await resumed(platform, request, found)
    assert index_of(server.requests[1]) == 1
    assert fold(found).text == "acd"
    assert [e.problem for e in found if isinstance(e, RawEvent)] == ["chunk 1 came after chunk 2"]


async def test_an_answer_that_begins_anew_is_not_put_behind(
    server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    server.on(
        STREAM,
        stream(START, chunk("One ", 0), chunk("two ", 1), cut=True),
        stream(START, chunk("Uno ", 0), chunk("due ", 1), chunk("tre", 2), DONE, hang=True),
    )
    found = await until_broken(platform.stream(request := ask()))
    with pytest.raises(PlatformError, match="started a new answer"):
        await resumed(platform, request, found)
    assert fold(found).text == "One two "


async def test_what_cannot_be_taken_up_is_not_asked_anew(
    server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    """From the beginning could mean once more, and a second run to pay for."""
    server.on(STREAM, stream(START, cut=True))
    found = await until_broken(platform.stream(request := ask()))
    with pytest.raises(RequestError, match="not known"):
        await resumed(platform, request, found)
    with pytest.raises(RequestError, match="not known"):
        await resumed(platform, ask(session_id="other"), [])
    assert server.calls == [STREAM]


async def test_another_run_of_the_session_is_not_taken_for_it(
    server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    cut = stream(START, chunk("a", 0), cut=True)
    server.on(STREAM, cut, cut)
    first, second = ask(session_id="abc123"), ask(session_id="abc123")
    found = await until_broken(platform.stream(first))
    await until_broken(platform.stream(second))
    with pytest.raises(RequestError, match="not known"):
        await resumed(platform, first, found)


async def test_one_that_was_joined_is_taken_up_without_its_question(
    server: ScriptedServer, platform: RunAgentPlatform
) -> None:
    server.on(
        STREAM,
        stream(START, chunk("a", 0), cut=True),
        stream(START, chunk("b", 1), cut=True),
        stream(START, chunk("c", 2), DONE),
    )
    await until_broken(platform.stream(ask()))
    found = await until_broken(platform.attach("abc123"))
    found += [RunStarted(session_id="abc123")]
    found += await resumed(platform, RunRequest(agent="agent-123", prompt=""), found)
    assert fold(found).text == "bc"

"""A stream that breaks off each time it is joined again: the run may have ended meanwhile."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentnb._http import RequestOptions
from agentnb._http.timeout import Deadlines
from agentnb.errors import DeadlineError, ServerError, StreamCutError
from agentnb.event.transcript import fold
from agentnb.event.types import RunFinished, TextDelta
from agentnb.platforms.seekr import SeekrPlatform
from tests.platforms.scripted import Reply, ScriptedServer, stream, until_broken
from tests.platforms.seekr.records import MESSAGE, RUN, run
from tests.platforms.seekr.streamed import STREAM, ask
from tests.platforms.seekr.test_resuming import (
    ATTACH,
    MESSAGES,
    PROMPT,
    both,
    end,
    platform,
    resumed,
    text,
)

__all__ = ["platform"]

pytestmark = pytest.mark.anyio

RECORD = "GET /v1/threads/thread_1/runs/run_1"
WHOLE = "One two three"
NEVER = Deadlines(connect=None, first_event=None, idle=None, progress=None, total=None)


def answer(content: str) -> dict[str, Any]:
    return {**MESSAGE, "id": "m2", "role": "assistant", "run_id": "run_1", "content": content}


def asked(server: ScriptedServer) -> list[str]:
    """What was asked of the platform since the stream broke off."""
    return server.calls[server.calls.index(ATTACH) :]


@pytest.mark.parametrize(
    "again",
    [
        stream(cut=True),
        # Nothing new; and something of which nobody knows what lies before it.
        stream(PROMPT, *text("One "), cut=True),
        stream(*text("three"), cut=True),
    ],
)
async def test_the_messages_have_the_answer(
    server: ScriptedServer, platform: SeekrPlatform, again: Reply
) -> None:
    server.on(STREAM, stream(PROMPT, *text("One "), cut=True))
    server.on(ATTACH, again)
    server.on(MESSAGES, Reply([answer(WHOLE), MESSAGE]))
    before, after = await both(platform)
    found = fold([*before, *after])
    assert (found.text, found.status) == (WHOLE, "completed")
    assert [event.text for event in after if isinstance(event, TextDelta)] == ["two three"]
    assert sum(isinstance(event, RunFinished) for event in after) == 1
    assert found.usage is not None
    # The run has ended: its stream, which knows more, is tried once more, and then no more.
    assert asked(server) == [ATTACH, RECORD, ATTACH, RECORD, MESSAGES]


async def test_a_stream_that_is_whole_the_second_time_is_taken(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.on(STREAM, stream(PROMPT, *text("One ", "two "), cut=True))
    whole = stream(PROMPT, *text("One ", "two ", "three"), {"type": "odd"}, end(WHOLE))
    server.on(ATTACH, stream(PROMPT, *text("One "), cut=True), whole)
    before, after = await both(platform)
    found = fold([*before, *after])
    assert (found.text, len(found.raw_events), found.status) == (WHOLE, 1, "completed")
    assert MESSAGES not in server.calls


async def test_what_is_new_is_told_before_the_break_is(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.on(STREAM, stream(PROMPT, *text("One "), cut=True))
    server.on(ATTACH, stream(PROMPT, *text("One ", "two "), cut=True))
    server.on(MESSAGES, Reply([answer(WHOLE), MESSAGE]))
    found = await until_broken(platform.stream(request := ask()))
    so_far = fold(found)
    batches = platform.resume(
        request, run_id=so_far.run_id, session_id=so_far.session_id, delivered=tuple(found)
    )
    found += await until_broken(batches)
    assert fold(found).text == "One two "
    assert asked(server) == [ATTACH]
    found += await resumed(platform, request, found)
    assert (fold(found).text, fold(found).status) == (WHOLE, "completed")


async def test_a_run_that_goes_on_is_joined_later(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.on(STREAM, stream(PROMPT, *text("One "), cut=True))
    server.on(ATTACH, stream(cut=True))
    server.on(RECORD, Reply(run(1, status="running")))
    found = await until_broken(platform.stream(request := ask()))
    with pytest.raises(StreamCutError):
        await resumed(platform, request, found)
    assert asked(server) == [ATTACH, RECORD]


@pytest.mark.parametrize(
    "lacking", [Reply([MESSAGE]), Reply([answer("Another one."), MESSAGE]), Reply({}, status=404)]
)
async def test_where_the_messages_lack_it_the_stream_may_come_yet(
    server: ScriptedServer, platform: SeekrPlatform, lacking: Reply
) -> None:
    server.on(STREAM, stream(PROMPT, *text("One "), cut=True))
    server.on(ATTACH, stream(cut=True), stream(cut=True), stream(PROMPT, *text(WHOLE), end(WHOLE)))
    server.on(MESSAGES, lacking)
    found = await until_broken(platform.stream(request := ask()))
    with pytest.raises(StreamCutError):
        await resumed(platform, request, found)
    found += await resumed(platform, request, found)
    assert (fold(found).text, fold(found).status) == (WHOLE, "completed")


async def test_a_failed_run_has_failed(server: ScriptedServer, platform: SeekrPlatform) -> None:
    server.on(STREAM, stream(PROMPT, *text("One "), cut=True))
    server.on(ATTACH, stream(cut=True))
    server.on(RECORD, Reply(run(1, status="failed", error="It broke.")))
    before, after = await both(platform)
    found = fold([*before, *after])
    assert (found.text, found.status, found.failure and found.failure.message) == (
        "One ",
        "failed",
        "It broke.",
    )


async def test_a_platform_that_fails_to_open_the_stream_may_have_the_answer(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.on(STREAM, stream(PROMPT, *text("One "), cut=True))
    server.on(ATTACH, Reply({"error": "down", "message": "Down."}, status=503))
    server.on(MESSAGES, Reply([answer(WHOLE), MESSAGE]))
    before, after = await both(platform)
    assert (fold([*before, *after]).text, asked(server)) == (WHOLE, [ATTACH, RECORD, MESSAGES])


async def test_a_platform_that_fails_at_all_is_asked_later(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.on(STREAM, stream(PROMPT, *text("One "), cut=True))
    server.on(ATTACH, Reply({"error": "down", "message": "No stream."}, status=503))
    found = await until_broken(platform.stream(request := ask()))
    server.on(RECORD, Reply({"error": "down", "message": "No record."}, status=500))
    with pytest.raises(ServerError, match="No stream"):
        await resumed(platform, request, found)


@pytest.mark.parametrize(("deadline", "is_final"), [("idle", False), ("progress", True)])
async def test_a_silent_stream_may_be_that_of_a_run_that_ended(
    server: ScriptedServer, platform: SeekrPlatform, deadline: str, is_final: bool
) -> None:
    server.on(STREAM, stream(PROMPT, *text("One "), cut=True))
    server.on(ATTACH, stream(PROMPT, hang=True))
    server.on(MESSAGES, Reply([answer(WHOLE), MESSAGE]))
    server.on(RECORD, Reply(RUN))
    found = await until_broken(platform.stream(request := ask()))
    limits = replace(NEVER, **{deadline: 0.3})
    with RequestOptions(deadlines=limits).applied():
        if is_final:
            with pytest.raises(DeadlineError):
                await resumed(platform, request, found)
        else:
            found += await resumed(platform, request, found)
            assert (fold(found).text, fold(found).status) == (WHOLE, "completed")
    assert asked(server) == ([ATTACH] if is_final else [ATTACH, RECORD, MESSAGES])

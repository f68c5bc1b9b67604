"""A stream that broke off, gone on with by the recorded events of its thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from agentnb.errors import RequestError, ServerError
from agentnb.event.transcript import fold
from agentnb.event.types import Event, RawEvent, RunFinished, TextDelta
from agentnb.platforms.base import Resumes, RunRequest
from agentnb.platforms.runtools import RunToolsPlatform
from tests.platforms.runtools.test_record_reader import event
from tests.platforms.scripted import Reply, ScriptedServer, stream, until_broken

pytestmark = pytest.mark.anyio

STREAM = "POST /v1/run"
EVENTS = "GET /v1/threads/t/events"
ASK = RunRequest(agent="a", prompt="What now?")
IDS = {"X-Run-ID": "r1", "X-Thread-ID": "t"}
CALL = {"type": "tool_call", "tool": "look", "input": {"n": 1}}
RESULT = {"type": "tool_result", "tool": "look", "output": 2}


def text(*pieces: str) -> list[dict[str, Any]]:
    return [{"type": "text_delta", "content": piece} for piece in pieces]


def row(sequence: int, frame: dict[str, Any], run_id: str = "r1") -> dict[str, Any]:
    fields = {key: value for key, value in frame.items() if key != "type"}
    return event(sequence, run_id, frame["type"], **fields)


def rows(*frames: dict[str, Any], first: int = 1) -> list[dict[str, Any]]:
    return [row(number, frame) for number, frame in enumerate(frames, start=first)]


def complete(output: str | None = None) -> dict[str, Any]:
    return {"type": "complete", **({} if output is None else {"output": output})}


async def resumed(client: RunToolsPlatform, delivered: Sequence[Event]) -> list[Event]:
    so_far = fold(delivered)
    batches = client.resume(
        ASK, run_id=so_far.run_id, session_id=so_far.session_id, delivered=tuple(delivered)
    )
    return [event async for batch in batches for event in batch]


async def test_what_was_delivered_is_left_out(
    server: ScriptedServer, client: RunToolsPlatform
) -> None:
    assert isinstance(client, Resumes)
    server.on(STREAM, stream(CALL, RESULT, *text("The ", "pri"), cut=True, headers=IDS))
    record = rows(CALL, RESULT, *text("The price", " is 5"), complete("The price is 5"))
    # Another run of the same thread, an event without a run, and one twice.
    server.on(
        EVENTS,
        Reply({"data": [row(9, *text("No"), run_id="r2"), *record[::-1], record[2]]}),
    )
    before = await until_broken(client.stream(ASK))
    after = await resumed(client, before)
    assert [e.text for e in after if isinstance(e, TextDelta)] == ["ce", " is 5"]
    found = fold([*before, *after])
    assert (found.text, found.status, len(found.tool_calls)) == ("The price is 5", "completed", 1)
    assert server.lines == [STREAM, EVENTS]


async def test_later_questions_begin_after_the_last_event(
    server: ScriptedServer, client: RunToolsPlatform
) -> None:
    server.on(STREAM, stream(*text("One "), cut=True, headers=IDS))
    early = rows(*text("One ", "two "))
    late = [*early, *rows(*text("three"), complete(), first=3)]
    server.on("GET /v1/run", Reply([{"runId": "r1", "threadId": "t", "status": "running"}]))
    server.on(EVENTS, Reply(early), Reply({}, status=503), Reply(late))
    found = await until_broken(client.stream(ASK))
    batches = client.resume(ASK, run_id="r1", session_id="t", delivered=tuple(found))
    found += await until_broken(batches, by=ServerError)
    assert fold(found).text == "One two "
    found += await resumed(client, found)
    assert fold(found).text == "One two three"


async def test_a_record_without_the_words(server: ScriptedServer, client: RunToolsPlatform) -> None:
    server.on(STREAM, stream(*text("The "), cut=True, headers=IDS))
    server.on(EVENTS, Reply(rows(CALL, RESULT, complete("The price is 5"))))
    before = await until_broken(client.stream(ASK))
    after = await resumed(client, before)
    assert fold([*before, *after]).text == "The price is 5"
    assert isinstance(after[-1], RunFinished)


@pytest.mark.parametrize("output", ["Another answer", None])
async def test_another_answer_is_not_put_behind(
    server: ScriptedServer, client: RunToolsPlatform, output: str | None
) -> None:
    server.on(STREAM, stream(*text("The "), cut=True, headers=IDS))
    server.on(EVENTS, Reply(rows(*text("Another"), complete(output))))
    before = await until_broken(client.stream(ASK))
    after = await resumed(client, before)
    found = fold([*before, *after])
    assert (found.text, found.status) == ("The ", "truncated")
    assert [e.data for e in after if isinstance(e, RawEvent)] == ([output] if output else [])


async def test_a_run_that_stopped_with_its_connection(
    server: ScriptedServer, client: RunToolsPlatform
) -> None:
    server.on(STREAM, stream(*text("One "), cut=True, headers=IDS))
    server.on(EVENTS, Reply(rows(*text("One "), {"type": "cancelled", "reason": "left"})))
    before = await until_broken(client.stream(ASK))
    assert fold([*before, *await resumed(client, before)]).status == "cancelled"


async def test_nothing_to_go_on_by(client: RunToolsPlatform) -> None:
    with pytest.raises(RequestError, match="id of this run"):
        await resumed(client, [])

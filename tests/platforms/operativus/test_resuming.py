"""A stream that broke off, gone on with by the record of its run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentnb.errors import RequestError, ServerError
from agentnb.event.transcript import fold
from agentnb.event.types import Event, RawEvent, RunStarted, TextDelta
from agentnb.platforms.base import Resumes, RunRequest
from agentnb.platforms.operativus import OperativusPlatform
from tests.platforms.scripted import Reply, ScriptedServer, stream, until_broken

pytestmark = pytest.mark.anyio

STREAM = "POST /api/agents/a/runs/stream"
EVENTS = "GET /api/v1/runs/r1/events"
STATUS = "GET /api/agents/a/runs/status"
ASK = RunRequest(agent="a", prompt="What now?", session_id="s1")
START = ("START", json.dumps({"runId": "r1", "sessionId": "s1"}))
CALL = ("TOOL_START", json.dumps({"name": "look", "arguments": {"n": 1}}))
RESULT = ("TOOL_END", json.dumps({"name": "look", "result": "2"}))
STOP = ("STOP", "")


def frame(event: str, data: str) -> dict[str, Any]:
    return {"event": event, "data": data, "timestamp": 0}


def live(*frames: tuple[str, str], cut: bool = True) -> Reply:
    return stream(*(frame(*each) for each in frames), cut=cut)


def deltas(*pieces: str) -> list[tuple[str, str]]:
    return [("CONTENT_DELTA", piece) for piece in pieces]


def numbered(first: int, *frames: tuple[str, str], cut: bool = False) -> Reply:
    """A record with text."""
    items = [
        f"id: {first + n}\nevent: {event}\ndata: {json.dumps(frame(event, data))}\n\n"
        for n, (event, data) in enumerate(frames)
    ]
    return stream(*items, cut=cut)


def happened(*kinds: str) -> Reply:
    """A record without text."""
    payloads = {"TOOL_INVOKED": {"toolName": "look"}, "TOOL_COMPLETED": {"toolName": "look"}}
    items = [
        f"id:{n}\nevent:{kind}\ndata:"
        + json.dumps({"eventType": kind, "runId": "r1", "payload": payloads.get(kind, {})})
        + "\n\n"
        for n, kind in enumerate(kinds, start=41)
    ]
    return stream(*items)


def row(**fields: Any) -> Reply:
    return Reply([{"id": "r1", "agentId": "a", "status": "COMPLETED", **fields}])


async def resumed(
    client: OperativusPlatform, delivered: Sequence[Event], request: RunRequest = ASK
) -> list[Event]:
    so_far = fold(delivered)
    batches = client.resume(
        request, run_id=so_far.run_id, session_id=so_far.session_id, delivered=tuple(delivered)
    )
    return [event async for batch in batches for event in batch]


async def test_a_record_with_text(server: ScriptedServer, client: OperativusPlatform) -> None:
    assert isinstance(client, Resumes)
    server.on(STREAM, live(START, CALL, RESULT, *deltas("The ", "pri")))
    server.on(EVENTS, numbered(1, START, CALL, RESULT, *deltas("The price", " is 5"), STOP))
    before = await until_broken(client.stream(ASK))
    after = await resumed(client, before)
    assert [e.text for e in after if isinstance(e, TextDelta)] == ["ce", " is 5"]
    found = fold([*before, *after])
    assert (found.text, found.status, len(found.tool_calls)) == ("The price is 5", "completed", 1)
    assert server.lines == [STREAM, f"{EVENTS}?sinceId=0"]


async def test_a_record_is_read_on_from_the_last_event(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on(STREAM, live(START, *deltas("One ")))
    first = numbered(1, START, *deltas("One ", "two \ud83d"), cut=True)
    # The last one again: a server may count otherwise, and nothing may come twice.
    later = numbered(3, *deltas("two \ud83d", "\ude00 three"), STOP)
    server.on(EVENTS, first, later)
    found = await until_broken(client.stream(ASK))
    batches = client.resume(ASK, run_id="r1", session_id="s1", delivered=tuple(found))
    found += await until_broken(batches)
    found += await resumed(client, found)
    assert server.lines[1:] == [f"{EVENTS}?sinceId=0", f"{EVENTS}?sinceId=3"]
    assert fold(found).text == "One two 😀 three"


@pytest.mark.parametrize(
    ("output", "text"),
    [
        # Some servers repeat all text, some the last passage, and some trim.
        ("Let me see. The price is 5.", "Let me see. The price is 5."),
        ("The price is 5.", "Let me see. The price is 5."),
        ("The price", "Let me see. The price "),
    ],
)
async def test_a_record_without_text(
    server: ScriptedServer, client: OperativusPlatform, output: str, text: str
) -> None:
    server.on(STREAM, live(START, *deltas("Let me see. "), CALL, RESULT, *deltas("The ", "price ")))
    server.on(EVENTS, happened("RUN_START", "TOOL_INVOKED", "TOOL_COMPLETED", "RUN_COMPLETE"))
    server.on(STATUS, row(output=output, inputTokens=1, outputTokens=2))
    before = await until_broken(client.stream(ASK))
    after = await resumed(client, before)
    found = fold([*before, *after])
    assert (found.text, found.status) == (text, "completed")
    assert [(c.name, c.result, c.status) for c in found.tool_calls] == [("look", "2", "completed")]
    assert found.usage is not None


async def test_events_after_the_break_are_yielded(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on(STREAM, live(START, CALL))
    record = ("RUN_START", "TOOL_INVOKED", "TOOL_COMPLETED", "TOOL_INVOKED", "TOOL_COMPLETED")
    server.on(EVENTS, happened(*record, "RUN_COMPLETE"))
    server.on(STATUS, row(output="Done."))
    before = await until_broken(client.stream(ASK))
    found = fold([*before, *await resumed(client, before)])
    assert found.text == "Done."
    assert [(c.name, c.status) for c in found.tool_calls] == [("look", "completed")] * 2


@pytest.mark.parametrize("output", ["Another answer.", None])
async def test_an_answer_that_does_not_go_on_is_not_put_behind(
    server: ScriptedServer, client: OperativusPlatform, output: str | None
) -> None:
    server.on(STREAM, live(START, *deltas("The price ")))
    server.on(EVENTS, happened("RUN_START", "RUN_COMPLETE"))
    server.on(STATUS, row(output=output))
    before = await until_broken(client.stream(ASK))
    after = await resumed(client, before)
    found = fold([*before, *after])
    assert (found.text, found.status) == ("The price ", "truncated")
    assert [e.data for e in after if isinstance(e, RawEvent)] == ([output] if output else [])


async def test_an_answer_that_cannot_be_had_now_may_be_had_later(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on(STREAM, live(START, *deltas("The price ")))
    server.on(EVENTS, happened("RUN_START", "RUN_COMPLETE"))
    server.on(STATUS, Reply({}, status=503), row(output="The price is 5."))
    found = await until_broken(client.stream(ASK))
    with pytest.raises(ServerError):
        await resumed(client, found)
    found += await resumed(client, found)
    assert (fold(found).text, fold(found).status) == ("The price is 5.", "completed")


async def test_a_run_without_an_id_is_found_by_its_session(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on(STREAM, live(*deltas("One ")))
    listed = {"agentId": "a", "sessionId": "s1", "status": "COMPLETED"}
    hours = datetime.now(UTC) + timedelta(hours=2)
    rows = [
        {**listed, "id": "r1", "createdAt": datetime.now(UTC).isoformat()},
        {**listed, "id": "old", "createdAt": (hours - timedelta(hours=3)).isoformat()},
        # Of a server that writes its own zone's time.
        {**listed, "id": "odd", "createdAt": hours.isoformat()},
        {**listed, "id": "unknown"},
    ]
    server.on("GET /api/v1/runs", Reply(rows))
    server.on(EVENTS, numbered(1, START, *deltas("One ", "two"), STOP))
    before = await until_broken(client.stream(ASK))
    after = await resumed(client, [*before, RunStarted(session_id="s1")])
    assert fold([*before, *after]).text == "One two"
    assert fold(after).run_id == "r1"


async def test_a_stream_that_breaks_off_at_once_yields_its_session(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    request = RunRequest(agent="a", prompt="What now?")
    server.on(STREAM, stream(cut=True))
    server.on("GET /api/v1/runs", Reply([]))
    found = await until_broken(client.stream(request))
    sent = server.only(STREAM).json["sessionId"]
    assert found == [RunStarted(session_id=sent)]
    with pytest.raises(RequestError, match="id of this run"):
        await resumed(client, found, request)
    listed = [{"id": "r1", "agentId": "a", "sessionId": sent, "status": "RUNNING"}]
    server.on("GET /api/v1/runs", Reply(listed))
    server.on(EVENTS, numbered(1, START, *deltas("All"), STOP))
    assert fold(await resumed(client, found, request)).text == "All"


@pytest.mark.parametrize("cut", [False, True])
async def test_the_previous_answer_is_not_used_for_this_run(
    server: ScriptedServer, client: OperativusPlatform, cut: bool
) -> None:
    """A stream that says nothing, in a session whose last run another client has had."""
    listed = {"id": "r1", "agentId": "a", "sessionId": "s1", "createdAt": "2025-01-01T00:00:00Z"}
    server.on(STREAM, stream(cut=cut))
    server.on("GET /api/v1/runs", Reply([{**listed, "status": "RUNNING"}]))
    server.on(EVENTS, numbered(1, START, *deltas("Old"), STOP))
    batches = client.stream(ASK)
    found = await until_broken(batches) if cut else [e async for b in batches for e in b]
    assert found == [RunStarted(session_id="s1")]
    with pytest.raises(RequestError, match="id of this run"):
        await resumed(client, found)
    assert "GET /api/v1/runs/r1/events" not in server.calls


async def test_events_without_a_number_of_their_own(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    """They are never taken for one another, and read again where the record breaks off."""

    def plain(*frames: tuple[str, str]) -> list[str]:
        return [f"event: {e}\ndata: {json.dumps(frame(e, data))}\n\n" for e, data in frames]

    server.on(STREAM, live(START))
    start = f"id: 1\n{plain(START)[0]}"
    first = stream(start, *plain(*deltas("ha ", "ha ")), cut=True)
    server.on(EVENTS, first, stream(start, *plain(*deltas("ha ", "ha ", "ha ", "ho"), STOP)))
    found = await until_broken(client.stream(ASK))
    batches = client.resume(ASK, run_id="r1", session_id="s1", delivered=tuple(found))
    found += await until_broken(batches)
    assert fold(found).text == "ha ha "
    found += await resumed(client, found)
    assert (fold(found).text, fold(found).status) == ("ha ha ha ho", "completed")
    assert server.lines[1:3] == [f"{EVENTS}?sinceId=0", f"{EVENTS}?sinceId=0"]


async def test_a_record_that_begins_again_within_one_answer(
    server: ScriptedServer, client: OperativusPlatform
) -> None:
    server.on(STREAM, live(START))
    items = deltas("one ", "two ", "three")
    frames = [
        f"id: {n}\nevent: {e}\ndata: {json.dumps(frame(e, data))}\n\n"
        for n, (e, data) in enumerate([START, *items, STOP], 1)
    ]
    server.on(EVENTS, stream(*frames[:3], *frames[1:]))
    found = await until_broken(client.stream(ASK))
    found += await resumed(client, found)
    assert fold(found).text == "one two three"

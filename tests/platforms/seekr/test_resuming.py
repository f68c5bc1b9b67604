"""A stream that broke off, joined again: from the start, where it stands, or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from agentnb.errors import (
    ConnectionFailedError,
    NotFoundError,
    RequestError,
    ServerError,
    StreamCutError,
)
from agentnb.event.transcript import fold
from agentnb.event.types import Event, RawEvent, RunFailed, RunFinished, RunStarted, TextDelta
from agentnb.platforms.base import Resumes, RunRequest
from agentnb.platforms.seekr import SeekrPlatform
from agentnb.platforms.seekr.run_state import RunRegistry, StreamState
from agentnb.sse import ServerSentEvent
from tests.platforms.scripted import CUT, Reply, ScriptedServer, stream, until_broken
from tests.platforms.seekr.conftest import Connect
from tests.platforms.seekr.records import MESSAGE, RUN, THREAD, now, run
from tests.platforms.seekr.streamed import STREAM, ask

pytestmark = pytest.mark.anyio

ATTACH = "GET /v1/threads/thread_1/runs/run_1/attach"
MESSAGES = "GET /v1/threads/thread_1/messages"
PROMPT = {"type": "user_prompt", "user_prompt": "What now?"}
CALL: dict[str, Any] = {
    "type": "streaming_tool_request",
    "tool_id": "t1",
    "tool_name": "look",
    "tool_args": {},
}
RESULT = {"type": "streaming_tool_response", "tool_id": "t1", "tool_output": {"n": 1}}


def text(*pieces: str) -> list[dict[str, Any]]:
    return [{"type": "text_delta", "text": piece} for piece in pieces]


def end(output: str) -> dict[str, Any]:
    return {"type": "end_node", "final_output": output}


def numbered(first: int, *frames: dict[str, Any]) -> list[str]:
    return [f"id: {first + n}\ndata: {json.dumps(f)}\n\n" for n, f in enumerate(frames)]


@pytest.fixture
def platform(server: ScriptedServer, connect: Connect) -> SeekrPlatform:
    server.routes |= {
        "POST /v1/threads": Reply(THREAD),
        "GET /v1/threads/thread_1": Reply({**THREAD, "active_run_id": "run_1"}),
        "POST /v1/threads/thread_1/messages": Reply(MESSAGE),
        "GET /v1/threads/thread_1/runs/run_1": Reply(RUN),
    }
    return connect()


async def resumed(
    platform: SeekrPlatform, request: RunRequest, delivered: Sequence[Event]
) -> list[Event]:
    so_far = fold(delivered)
    batches = platform.resume(
        request, run_id=so_far.run_id, session_id=so_far.session_id, delivered=tuple(delivered)
    )
    return [event async for batch in batches for event in batch]


async def both(platform: SeekrPlatform) -> tuple[list[Event], list[Event]]:
    request = ask()
    before = await until_broken(platform.stream(request))
    return before, await resumed(platform, request, before)


async def test_the_whole_stream_again(server: ScriptedServer, platform: SeekrPlatform) -> None:
    server.on(STREAM, stream(PROMPT, CALL, RESULT, *text("The ", "pri"), cut=True))
    again = stream(PROMPT, CALL, RESULT, *text("The", " price", " is 5"), end("The price is 5"))
    server.on(ATTACH, again)
    before, after = await both(platform)
    assert [e.text for e in after if isinstance(e, TextDelta)] == ["ce", " is 5"]
    found = fold([*before, *after])
    assert (found.text, found.status) == ("The price is 5", "completed")
    assert len(found.tool_calls) == 1
    assert "last-event-id" not in server.only(ATTACH).headers
    assert sum(call == STREAM for call in server.calls) == 1
    assert isinstance(platform, Resumes)


async def test_where_it_stands_waits_for_the_messages(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.on(STREAM, stream(*text("One two "), cut=True))
    server.on(ATTACH, stream(*text("four", " five"), end("")))
    answer = [{"type": "text", "text": "One two three"}, {"type": "text", "text": " four five"}]
    message = {**MESSAGE, "id": "m2", "role": "assistant", "run_id": "run_1", "content": answer}
    server.on(MESSAGES, Reply([message, MESSAGE]))
    before, after = await both(platform)
    assert fold([*before, *after]).text == "One two three four five"
    assert isinstance(after[-1], RunFinished)


async def test_where_it_stands_though_it_looks_like_the_start(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    """An answer may say the same twice; only its first frame tells where it begins."""
    server.on(STREAM, stream(PROMPT, *text("ha "), cut=True))
    server.on(ATTACH, stream(*text("ha ", "ho"), end("ha ha ho")))
    before, after = await both(platform)
    assert fold([*before, *after]).text == "ha ha ho"


async def test_a_part_that_nobody_has_any_more(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.on(STREAM, stream(*text("One two "), cut=True))
    server.on(ATTACH, stream(*text("four"), end("")))
    server.on(MESSAGES, Reply([MESSAGE]))
    before, after = await both(platform)
    found = fold([*before, *after])
    assert (found.text, found.status) == ("One two ", "truncated")
    (kept,) = (event for event in after if isinstance(event, RawEvent))
    assert (kept.name, kept.data) == ("answer", "four")


async def test_ids_tell_what_came_before(server: ScriptedServer, platform: SeekrPlatform) -> None:
    server.on(STREAM, stream(*numbered(1, *text("aa", "aa", "a")), cut=True))
    server.on(ATTACH, stream(*numbered(3, *text("a", "aa", "b"), end("aaaaaaab"))))
    before, after = await both(platform)
    assert server.only(ATTACH).headers["last-event-id"] == "3"
    assert [e.text for e in after if isinstance(e, TextDelta)] == ["aa", "b"]
    assert fold([*before, *after]).text == "aaaaaaab"


async def test_ids_that_miss_some_are_no_continuation(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.on(STREAM, stream(*numbered(1, *text("one ", "two ")), cut=True))
    server.on(ATTACH, stream(*numbered(4, *text("four"), end("one two three four"))))
    before, after = await both(platform)
    assert fold([*before, *after]).text == "one two three four"


async def test_half_a_character_before_and_half_after(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    halves = text("a\ud83d", "\ude00b")
    server.on(STREAM, stream(*numbered(1, halves[0]), cut=True))
    server.on(ATTACH, stream(*numbered(2, halves[1], end(""))))
    before, after = await both(platform)
    assert fold([*before, *after]).text == "a😀b"


@pytest.mark.parametrize("status", [404, 409, 410])
async def test_a_run_that_ended_has_no_stream(
    server: ScriptedServer, platform: SeekrPlatform, status: int
) -> None:
    server.on(STREAM, stream(*text("One "), cut=True))
    server.on(ATTACH, Reply({"error": "no_stream", "message": "It has ended."}, status=status))
    message = {**MESSAGE, "id": "m2", "role": "assistant", "run_id": "run_1", "content": "One two"}
    server.on(MESSAGES, Reply([message, MESSAGE]))
    before, after = await both(platform)
    found = fold([*before, *after])
    assert (found.text, found.status) == ("One two", "completed")
    assert found.usage is not None


async def test_a_stream_that_ends_without_a_word_is_none(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.on(STREAM, stream(*text("One "), cut=True))
    server.on(ATTACH, stream())
    message = {**MESSAGE, "id": "m2", "role": "assistant", "run_id": "run_1", "content": "One two"}
    server.on(MESSAGES, Reply([message, MESSAGE]))
    before, after = await both(platform)
    assert fold([*before, *after]).text == "One two"


async def test_a_run_that_goes_on_and_cannot_be_joined(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.on(STREAM, stream(*text("One "), cut=True))
    server.on("GET /v1/threads/thread_1/runs/run_1", Reply(run(1, status="running")))
    before = await until_broken(platform.stream(request := ask()))
    with pytest.raises(NotFoundError):
        await resumed(platform, request, before)


async def test_a_message_that_cannot_be_had_now_may_be_had_later(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.on(STREAM, stream(*text("One "), cut=True))
    server.on(ATTACH, stream(*text("three"), end("")))
    message = {**MESSAGE, "id": "m2", "role": "assistant", "run_id": "run_1"}
    server.on(MESSAGES, Reply({}, status=503), Reply([{**message, "content": "One two three"}]))
    before = await until_broken(platform.stream(request := ask()))
    with pytest.raises(Exception, match="503"):
        await resumed(platform, request, before)
    after = await resumed(platform, request, before)
    assert fold([*before, *after]).text == "One two three"


async def test_cut_again_while_it_is_told_again(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.on(STREAM, stream(PROMPT, *text("One ", "two ", "three "), cut=True))
    server.on(
        ATTACH,
        stream(PROMPT, *text("One "), cut=True),
        stream(PROMPT, *text("One ", "two ", "three ", "four"), end("One two three four")),
    )
    server.on("GET /v1/threads/thread_1/runs/run_1", Reply(run(1, status="running")))
    found = await until_broken(platform.stream(request := ask()))
    with pytest.raises(StreamCutError):
        await resumed(platform, request, found)
    found += await resumed(platform, request, found)
    assert fold(found).text == "One two three four"


async def test_nothing_to_join_by(platform: SeekrPlatform) -> None:
    with pytest.raises(RequestError):
        await resumed(platform, ask(), [])


async def test_a_failure_is_told(server: ScriptedServer, platform: SeekrPlatform) -> None:
    server.on(STREAM, stream(PROMPT, *text("One "), cut=True))
    server.on(ATTACH, stream(PROMPT, *text("One "), {"type": "error", "error": "It broke."}))
    _, after = await both(platform)
    assert isinstance(after[-1], RunFailed)
    assert after[-1].message == "It broke."


async def test_an_id_that_is_none_for_a_header_is_not_sent(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    frames = [f"id: é{n}\ndata: {json.dumps(f)}\n\n" for n, f in enumerate(text("a", "b", "c"))]
    server.on(STREAM, stream(*frames[:2], cut=True))
    server.on(ATTACH, stream(*frames, end("abc")))
    before, after = await both(platform)
    assert "last-event-id" not in server.only(ATTACH).headers
    assert fold([*before, *after]).text == "abc"


async def test_what_is_unknown_is_kept_where_a_part_is_missing(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.on(STREAM, stream({"type": "odd", "n": 1}, *text("One two "), cut=True))
    server.on(ATTACH, stream(*text("four"), {"type": "odd", "n": 2}, end("One two three four")))
    before, after = await both(platform)
    assert fold([*before, *after]).text == "One two three four"
    assert [json.loads(e.data)["n"] for e in after if isinstance(e, RawEvent)] == [2]


async def test_runs_of_one_client_do_not_mix(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    """Both break off, and each is taken up by what was heard of itself."""
    other = "/v1/threads/thread_2"
    server.routes |= {
        f"GET {other}": Reply({**THREAD, "id": "thread_2", "active_run_id": "run_2"}),
        f"POST {other}/messages": Reply(MESSAGE),
        f"POST {other}/runs/stream": stream(*numbered(1, *text("x", "y")), cut=True),
        f"GET {other}/runs/run_2": Reply(run(2, thread_id="thread_2")),
        f"GET {other}/runs/run_2/attach": stream(*numbered(2, *text("y", "z"), end("xyz"))),
        STREAM: stream(*numbered(1, *text("a", "b")), cut=True),
        ATTACH: stream(*numbered(2, *text("b", "c"), end("abc"))),
    }
    first, second = ask(session_id="thread_1"), ask(session_id="thread_2")
    listed = {"GET /v1/threads/thread_1/runs": run(1), f"GET {other}/runs": run(2)}
    for call, record in listed.items():
        server.on(call, Reply([{**record, "created_at": now()}]))
    one = await until_broken(platform.stream(first))
    two = await until_broken(platform.stream(second))
    two += await resumed(platform, second, two)
    one += await resumed(platform, first, one)
    assert (fold(one).text, fold(two).text) == ("abc", "xyz")


@pytest.mark.parametrize("cut", [False, True])
async def test_the_answer_before_is_not_shown_as_this_one(
    server: ScriptedServer, platform: SeekrPlatform, cut: bool
) -> None:
    """A stream that says nothing, in a thread whose last run another client has had."""
    old = run(1, created_at=now(minutes=-1))
    server.routes |= {
        STREAM: stream(cut=cut),
        "GET /v1/threads/thread_1": Reply({**THREAD, "active_run_id": "run_1"}),
        "GET /v1/threads/thread_1/runs": Reply([old]),
        ATTACH: stream(PROMPT, *text("old answer"), end("old answer")),
    }
    request = ask(session_id="thread_1")
    batches = platform.stream(request)
    assert not (await until_broken(batches) if cut else [e async for b in batches for e in b])
    with pytest.raises(RequestError, match="not found"):
        await resumed(platform, request, [RunStarted(session_id="thread_1")])
    assert ATTACH not in server.calls


@pytest.mark.parametrize("fresh", [True, False])
async def test_a_break_before_the_run_is_asked_for_is_no_broken_stream(
    server: ScriptedServer, platform: SeekrPlatform, fresh: bool
) -> None:
    answer = {"content-type": "application/json"}
    server.on("POST /v1/threads/thread_1/messages", Reply(headers=answer, pieces=[b'{"id', CUT]))
    with pytest.raises(ConnectionFailedError, match="before the run was requested"):
        async for _ in platform.stream(ask() if fresh else ask(session_id="thread_1")):
            pass
    assert STREAM not in server.calls


async def test_a_lookup_that_fails_now_may_succeed_later(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.on("GET /v1/threads/thread_1", Reply({}, status=503))
    with pytest.raises(ServerError):
        await resumed(platform, ask(), [RunStarted(session_id="thread_1")])


def named(*frames: tuple[str, dict[str, Any]]) -> list[str]:
    return [f"id: e-{name}\ndata: {json.dumps(frame)}\n\n" for name, frame in frames]


@pytest.mark.parametrize(
    "again",
    [
        # Where it stands, from the place that was asked for, and from a little before it.
        [("d", text("four")[0])],
        [("c", text("three ")[0]), ("d", text("four")[0])],
        [("b", text("two ")[0]), ("c", text("three ")[0]), ("d", text("four")[0])],
        # An id that stands for another frame tells nothing.
        [("b", text("four")[0])],
        # A known one, and then one is missing.
        [("b", text("two ")[0]), ("d", text("four")[0])],
    ],
)
@pytest.mark.parametrize("has_messages", [True, False])
async def test_ids_that_do_not_count(
    server: ScriptedServer,
    platform: SeekrPlatform,
    again: list[tuple[str, dict[str, Any]]],
    has_messages: bool,
) -> None:
    whole = "one two three four"
    heard = zip("ab", text("one ", "two "), strict=True)
    server.on(STREAM, stream(*named(*heard), cut=True))
    server.on(ATTACH, stream(*named(*again, ("e", end(whole)))))
    message = {**MESSAGE, "id": "m2", "role": "assistant", "run_id": "run_1", "content": whole}
    server.on(MESSAGES, Reply([message, MESSAGE] if has_messages else []))
    before, after = await both(platform)
    found = fold([*before, *after])
    if found.status == "completed":
        assert found.text == whole
    else:
        # What was shown cannot be mended; it is said, and the answer kept.
        assert (found.status, again[-1][0]) == ("truncated", "d")
        assert whole in [event.data for event in after if isinstance(event, RawEvent)]


async def test_states_of_broken_streams_are_bounded(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    registry = RunRegistry(platform.api)
    saved = {f"run_{n}": StreamState() for n in range(100)}
    for run_id, state in saved.items():
        state.decode([ServerSentEvent("message", "{}", str(n), None) for n in range(2000)])
        registry.save_stream(run_id, state)
    left = [state for run_id in saved if (state := registry.pop_stream(run_id)) is not None]
    assert left == list(saved.values())[-32:]
    last = ServerSentEvent("message", "{}", "1999", None)
    first = ServerSentEvent("message", "{}", "0", None)
    assert (left[0].has_decoded(last), left[0].has_decoded(first)) == (True, False)

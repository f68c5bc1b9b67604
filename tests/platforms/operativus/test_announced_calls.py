"""Calls that a server announces as a sentence, with or without a word of their end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb.event.transcript import ToolCall, Transcript, fold
from agentnb.event.types import Event, ToolCallFinished, ToolCallStarted
from agentnb.platforms._replay_filter import ReplayFilter
from agentnb.platforms.operativus.decoder import Decoder
from agentnb.sse import ServerSentEvent

SENTENCES = [
    *("Executing Tool: {}", "Calling tool: {}", "Using the tool `{}`", "Invoking tool '{}' ..."),
    *("Tool call: {}", "Running tool: {}…", "{}"),
]


def frame(kind: str, data: object, ms: object = 0) -> ServerSentEvent:
    text = json.dumps({"event": kind, "data": data, "timestamp": ms})
    return ServerSentEvent("message", text, "", None)


def start(name: str, sentence: str = SENTENCES[0]) -> ServerSentEvent:
    return frame("TOOL_START", sentence.format(name))


def end(name: str, result: str) -> ServerSentEvent:
    return frame("TOOL_END", json.dumps({"name": name, "result": result}))


def text(words: str) -> ServerSentEvent:
    return frame("CONTENT_DELTA", words)


STOP = frame("STOP", "")


def timed(
    frames: Iterable[ServerSentEvent], *, batch: bool = False, ms: float = 1000
) -> Transcript:
    """Return the transcript of frames that come a second apart and were sent ``ms`` apart."""
    decoder, run = Decoder(session_id="s"), Transcript()
    for at, sent in enumerate(frames):
        stamped = json.dumps({**json.loads(sent.data), "timestamp": at * ms})
        each = ServerSentEvent(sent.event, stamped, "", None)
        events = decoder.decode_all([each]) if batch else decoder.decode(each)
        for event in events:
            run.apply(event, float(at))
    return run


def spans(calls: Sequence[ToolCall]) -> list[tuple[str, str, float | None, float | None]]:
    return [(call.name, call.status, call.started, call.finished) for call in calls]


@pytest.mark.parametrize("batch", [True, False])
@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_call_ends_when_the_next_starts_or_the_agent_continues(
    sentence: str, batch: bool
) -> None:
    run = timed(
        [
            start("look", sentence),
            start("search", sentence),
            text("So"),
            text(" it is."),
            frame("TOOL_START", json.dumps({"name": "sum", "id": "c1", "arguments": {}})),
            STOP,
        ],
        batch=batch,
    )
    look, search, total = run.tool_calls
    assert spans([look, search]) == [
        ("look", "completed", 0.0, 1.0),
        ("search", "completed", 1.0, 2.0),
    ]
    assert total.status == "abandoned"
    assert run.text == "So it is."


@pytest.mark.parametrize("batch", [True, False])
@pytest.mark.parametrize("ms", [0, 99])
def test_parallel_calls_end_when_the_agent_continues(batch: bool, ms: float) -> None:
    several = (["look", "search"], ["look", "search", "sum"], ["look", "look"])
    for names, sentence in product(several, SENTENCES):
        calls = [start(name, sentence) for name in names]
        run = timed([*calls, text(""), text("So"), STOP], batch=batch, ms=ms)
        assert spans(run.tool_calls) == [
            (name, "completed", float(at), len(names) + 1.0) for at, name in enumerate(names)
        ]


TOGETHER = [start("look"), start("search"), start("look")]
DONE = ("completed", None)


@pytest.mark.parametrize(
    ("frames", "ends", "finished"),
    [
        ([text("So")], [DONE, DONE, DONE], [3, 3, 3]),
        ([end("search", "7"), text("So")], [DONE, ("completed", "7"), DONE], [5, 3, 5]),
        ([text("So"), end("search", "7")], [DONE, ("completed", "7"), DONE], [3, 4, 3]),
        ([text("So"), frame("TOOL_END", "7")], [("completed", "7"), DONE, DONE], [4, 3, 3]),
        ([frame("TOOL_ERROR", "no"), text("So")], [("failed", "no"), DONE, DONE], [3, 4, 4]),
        (
            [frame("TOOL_ERROR", json.dumps({"name": "search", "error": "no"})), text("So")],
            [DONE, ("failed", "no"), DONE],
            [4, 3, 4],
        ),
        ([frame("CANCELLED", "")], [("abandoned", None)] * 3, None),
        ([frame("ERROR", "no")], [("abandoned", None)] * 3, None),
        ([], [DONE, DONE, DONE], [3, 3, 3]),
    ],
)
def test_how_calls_that_are_announced_together_may_end(
    frames: list[ServerSentEvent],
    ends: list[tuple[str, str | None]],
    finished: list[float] | None,
) -> None:
    run = timed([*TOGETHER, *frames, STOP], ms=0)
    assert [(c.status, c.error or c.result or None) for c in run.tool_calls] == ends
    if finished is not None:
        assert [call.finished for call in run.tool_calls] == finished


@pytest.mark.parametrize("timestamp", [None, "soon", True, {}])
def test_without_times_calls_are_taken_to_be_made_together(timestamp: object) -> None:
    first, second = frame("TOOL_START", "look", timestamp), frame("TOOL_START", "sum", timestamp)
    assert len(Decoder(session_id="s").decode_all([first, second])) == 2


@pytest.mark.parametrize("batch", [True, False])
def test_what_the_agent_thinks_after_a_call_ends_it_and_an_empty_fragment_does_not(
    batch: bool,
) -> None:
    frames = [start("look"), text(""), frame("REASONING_DELTA", "Now"), text("it"), STOP]
    assert spans(timed(frames, batch=batch).tool_calls) == [("look", "completed", 0.0, 2.0)]


def test_a_sentence_about_the_run_ends_no_call() -> None:
    frames = [start("look"), start("", "Initiating the Orchestration"), text("it"), STOP]
    assert spans(timed(frames).tool_calls) == [("look", "completed", 0.0, 2.0)]


@pytest.mark.parametrize("late", [end("look", "7"), frame("TOOL_END", "7")])
@pytest.mark.parametrize("before", [[], [text("a")], [text("a"), text("b")], [text("a"), STOP]])
def test_an_end_that_comes_late_is_that_of_the_same_call(
    before: list[ServerSentEvent], late: ServerSentEvent
) -> None:
    run = timed([start("look"), *before, late, STOP])
    assert [(c.name, c.result, c.status) for c in run.tool_calls] == [("look", "7", "completed")]
    assert run.tool_calls[0].finished == len(before) + 1


def test_an_error_that_comes_late_fails_the_same_call() -> None:
    run = timed([start("look"), text("a"), frame("TOOL_ERROR", "no"), STOP])
    assert [(c.status, c.error) for c in run.tool_calls] == [("failed", "no")]


def test_a_failure_without_other_ends_belongs_to_the_open_call() -> None:
    run = timed([start("look"), text("a"), start("look"), frame("TOOL_ERROR", "no"), STOP])
    assert [(c.status, c.error) for c in run.tool_calls] == [
        ("completed", None),
        ("failed", "no"),
    ]


def test_calls_stay_open_on_a_server_that_reports_ends() -> None:
    run = timed([start("a"), end("a", "1"), start("b"), text("x"), text("y"), end("b", "2"), STOP])
    assert spans(run.tool_calls) == [
        ("a", "completed", 0.0, 1.0),
        ("b", "completed", 2.0, 5.0),
    ]


def test_calls_side_by_side_get_their_own_results() -> None:
    frames = [start("look"), start("look"), end("look", "1"), end("look", "2"), text("x"), STOP]
    run = timed(frames)
    assert [call.result for call in run.tool_calls] == ["1", "2"]
    assert spans(run.tool_calls) == [
        ("look", "completed", 0.0, 2.0),
        ("look", "completed", 1.0, 3.0),
    ]


def test_a_call_under_way_when_the_run_fails_is_abandoned() -> None:
    run = timed([start("look"), start("search"), frame("ERROR", "no"), STOP])
    assert [call.status for call in run.tool_calls] == ["completed", "abandoned"]


def test_a_late_recorded_result_belongs_to_the_same_call() -> None:
    delivered: list[Event] = []
    decoder = Decoder(session_id="s", run_id="r")
    for each in [start("look"), text("So ")]:
        delivered += decoder.decode(each)
    run = Transcript()
    for at, event in enumerate(delivered):
        run.apply(event, float(at))
    record: list[dict[str, Any]] = [
        {"eventType": "TOOL_INVOKED", "payload": {"toolName": "look", "input": {"q": 1}}},
        {"eventType": "TOOL_COMPLETED", "payload": {"toolName": "look", "output": "7"}},
    ]
    splice, again = ReplayFilter(delivered), Decoder(session_id="s", run_id="r")
    for each in record:
        sse = ServerSentEvent("message", json.dumps({**each, "runId": "r"}), "", None)
        for event in splice.feed(again.decode(sse)):
            run.apply(event, 100.0)
    (call,) = run.tool_calls
    assert (call.result, call.status, call.finished) == ("7", "completed", 1.0)
    assert json.loads(call.arguments) == {"q": 1}


STEPS = st.sampled_from(
    [
        *(start(name, sentence) for name in ("look", "sum") for sentence in SENTENCES),
        *(text(words) for words in ("a", "", " ", "é😀")),
        frame("REASONING_DELTA", "hm"),
    ]
)


@given(frames=st.lists(STEPS, max_size=12), data=st.data())
def test_every_call_starts_and_ends_once_however_frames_are_batched(
    frames: list[ServerSentEvent], data: st.DataObject
) -> None:
    whole = [*frames, STOP]
    decoder = Decoder(session_id="s")
    alone = [event for each in whole for event in decoder.decode(each)]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole)))))
    batched: list[Event] = []
    decoder = Decoder(session_id="s")
    for first, last in pairwise([0, *cuts, len(whole)]):
        batched += decoder.decode_all(whole[first:last])
    for events in (alone, batched):
        began = [event.call_id for event in events if isinstance(event, ToolCallStarted)]
        ended = [event.call_id for event in events if isinstance(event, ToolCallFinished)]
        assert sorted(began) == sorted(ended)
        assert len(set(began)) == len(began)
    assert fold(alone).to_dict() == fold(batched).to_dict()

"""Whatever is printed of a run, its tables and what is made of it commands no terminal."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, cast, get_args

import pandas as pd
import pytest

import agentnb
from agentnb.errors import FieldProblem, InvalidRequestError, RunError
from agentnb.event.timeline import timeline
from agentnb.event.transcript import Passage, ToolCall, Transcript
from agentnb.event.types import (
    ApprovalRequested,
    Event,
    FollowupsSuggested,
    RawEvent,
    ReasoningDelta,
    RunCancelled,
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
from agentnb.monitoring.watched_run import watched_run
from agentnb.platforms.operativus.responses import PendingApproval
from agentnb.recording.base_run import BaseRun
from agentnb.store.stored_run import read_export
from agentnb.tables.run_list import RunList

ACTING: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]|\r(?!\n)"
)
BAD: Final = (
    "a\x1b[31mb\x1b]0;title\x07c\x9b0m\x9d0;t\x9c\x90\x85\x00\x7f\r"
    "\u202ed\u2066e\u200f\u061c\u200e\U000e0041\U000e0042\u200b\ud800f\udfff"
)
# What is exact by promise: the transcript, what tools were given and gave, an event's content.
EXACT: Final[dict[type, set[str]]] = {
    BaseRun: {"structured_text"},
    Transcript: {"text", "reasoning"},
    Passage: {"text"},
    ToolCall: {"arguments_text", "result_text"},
    **{
        event: {"text", "arguments", "output", "result", "data", "error"}
        for event in get_args(Event)
    },
    RunFailed: {"message", "line"},
}
EXACT[ApprovalRequested] = set()
# Beyond these nothing is for the user.
INNER: Final = {
    "client",
    "lock",
    "request",
    "exception",
    "request_options",
    "run",
    "type",
    "details",
}


def hostile_events() -> list[Event]:
    return [
        RunStarted(run_id=BAD, session_id=BAD, agent=BAD, model=BAD),
        ReasoningDelta(BAD, BAD),
        TextDelta(BAD),
        TextDelta(BAD, BAD),
        ToolCallStarted(call_id=BAD, name=BAD, arguments=BAD),
        ToolCallDelta(call_id=BAD, arguments=BAD, output=BAD),
        ToolCallFinished(call_id=BAD, name=BAD, result=BAD),
        ToolCallStarted(call_id=f"2{BAD}", name=BAD),
        ToolCallFinished(call_id=f"2{BAD}", error=BAD),
        UsageReported(usage=Usage(input_tokens=1), model=BAD),
        FollowupsSuggested(followups=(BAD, BAD)),
        RawEvent(name=BAD, data=BAD, problem=BAD),
    ]


ENDS: Final[dict[str, Event]] = {
    "finished": RunFinished(output=BAD, details={BAD: BAD}),
    "failed": RunFailed(message=BAD, code=BAD, error_type=BAD, hint=BAD, details={BAD: BAD}),
    "truncated": RunFailed(message=BAD, status="truncated", hint=BAD),
    "cancelled": RunCancelled(reason=BAD),
}


def printed(value: object) -> str:
    buffer = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict", newline="")
    print(value, file=buffer)
    print(repr(value), file=buffer)
    buffer.flush()
    assert isinstance(buffer.buffer, io.BytesIO)
    return buffer.buffer.getvalue().decode()


def walked(value: object, place: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield what printing ``value``, and whatever can be read of it, shows, with its place."""
    assert depth < 12, place
    yield place, printed(value)
    if isinstance(value, pd.DataFrame):
        yield f"{place}.to_string()", value.to_string()
        value = value.to_dict("records")
    if isinstance(value, Mapping):
        value = [*cast("Mapping[object, object]", value).items()]
    if isinstance(value, list | tuple):
        for number, item in enumerate(cast("Sequence[object]", value)):
            yield from walked(item, f"{place}[{number}]", depth + 1)
    elif type(value).__module__.startswith("agentnb"):
        exact = next((EXACT[kind] for kind in type(value).__mro__ if kind in EXACT), set[str]())
        for name in dir(value):
            if not name.startswith("_") and name not in exact | INNER:
                item = getattr(value, name)
                if not callable(item):
                    yield from walked(item, f"{place}.{name}", depth + 1)


def assert_inert(value: object, place: str) -> None:
    # Escaped, since a failure with halves of characters in it cannot be reported.
    assert not [f"{at}: {text!a}" for at, text in walked(value, place) if ACTING.search(text)]


@pytest.mark.parametrize("end", ENDS)
def test_a_run(end: str, tmp_path: Path) -> None:
    async def says_all(prompt: str) -> AsyncIterator[Event]:
        for event in hostile_events():
            yield event
        yield ENDS[end]

    agent = agentnb.agent(says_all)
    run = agent.run(BAD, check=False)
    assert run.transcript.text == 2 * BAD.replace("\ud800", "\ufffd").replace("\udfff", "\ufffd")
    assert run.tool_calls[0].name.startswith("a␛[31mb␛]0;title␇c")
    assert_inert(run, "run")
    assert_inert(timeline(run.events, run.event_times), "timeline")
    assert_inert(watched_run(run), "monitor")
    for table in (agentnb.runs, agentnb.tool_calls, agentnb.events, agentnb.sessions):
        rows = table(agent=run.agent)
        assert len(rows) > 0
        assert_inert(rows, "history")
    assert_inert(agentnb.usage(by="model", agent=run.agent), "usage")
    assert_inert(RunList([run]).DataFrame(), "list")
    assert not ACTING.search(printed(RunList([run])))
    loaded = agentnb.history.load(run.local_id)
    assert loaded.text == run.text
    assert_inert(loaded, "loaded")
    path = Path(run.export(tmp_path / "run.json"))
    assert_inert(read_export(path), "exported")
    assert_inert(agent.map([BAD, "b"], progress=False, on_error="keep"), "map")
    compared = agentnb.compare([says_all, says_all], "x").wait(check=False)
    assert_inert(compared.labels, "labels")
    assert_inert(compared.DataFrame(), "comparison")
    if run.status in ("failed", "truncated"):
        with pytest.raises(RunError) as raised:
            run.raise_for_status()
        assert_inert(raised.value, "error")


def test_halves_of_characters() -> None:
    async def cuts(prompt: str) -> AsyncIterator[Event]:
        yield TextDelta("a\ud83d")
        yield ReasoningDelta("x\ud83d")
        yield TextDelta("\ude00b\ud83d")
        yield TextDelta("\ud83d", "2")
        yield ReasoningDelta("y")
        yield RunFinished(output="\ud83d\ude00\udc00")

    run = agentnb.agent(cuts).run("x")
    assert run.text == "a\U0001f600b\ufffd\ufffd"
    assert run.reasoning == "x\n\n\ufffdy"
    assert all(printed(e.text) for e in run.events if isinstance(e, TextDelta | ReasoningDelta))
    assert run.transcript.finished is not None
    assert run.transcript.finished.output == "\U0001f600\ufffd"

    def half(prompt: str) -> str:
        return "\ud83d"

    assert agentnb.agent(half).run("x").text == "\ufffd"


def test_an_approval() -> None:
    async def asks(prompt: str) -> AsyncIterator[Event]:
        yield ApprovalRequested(approval_id=BAD, message=BAD, tool=BAD, arguments=BAD)
        yield RunFinished()

    run = agentnb.agent(asks).run("x", check=False)
    assert run.status == "paused"
    assert_inert(run, "run")
    # An id that commands a terminal is none, so that the function's only approval is meant.
    assert run.approve().wait().status == "completed"
    assert_inert(PendingApproval(id=BAD, run_id=BAD, tool=BAD, arguments=BAD, message=BAD), "")


def test_errors_of_platforms() -> None:
    error = InvalidRequestError(
        BAD, hint=BAD, code=BAD, request_id=BAD, excerpt=BAD, fields=(FieldProblem(BAD, BAD, BAD),)
    )
    assert_inert(error, "error")

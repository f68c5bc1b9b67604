"""Decisions with a payload: checked, passed on, recorded, stored and displayed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import agentnb
from agentnb.errors import PlaybackError, RequestError, UnsupportedError
from agentnb.event import ApprovalRequested, Event, RunFinished, RunStarted, TextDelta
from agentnb.event.approvals import approval_key
from agentnb.event.types import event_from_dict, event_to_dict
from agentnb.platforms.base import Capabilities, RunRequest
from agentnb.platforms.local import FunctionContext
from agentnb.render import to_html, to_text
from agentnb.run.run import Run
from tests.played import Batches, PlayedPlatform, player

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}


def travel(prompt: str, context: FunctionContext) -> Iterator[str | Event]:
    yield ApprovalRequested(
        approval_id="a",
        message="Where to?",
        answer_schema=SCHEMA,  # pyright: ignore[reportArgumentType]
        expires_at="2030-01-01T00:00:00Z",
    )
    yield f"{context.decisions['a']} {json.dumps(context.payloads)}"


@pytest.fixture
def paused() -> Run:
    run = agentnb.agent(travel).run("go")
    assert run.status == "paused"
    return run


def test_a_function_gets_the_payload(paused: Run) -> None:
    done = paused.approve(payload={"city": "Bern", "days": 2}).wait()
    assert done.text == 'APPROVED {"a": {"city": "Bern", "days": 2}}'


def test_a_denial_may_have_a_payload_of_any_form(paused: Run) -> None:
    assert paused.deny(payload="no time").wait().text == 'REJECTED {"a": "no time"}'


def test_without_a_payload_there_is_none(paused: Run) -> None:
    assert paused.approve().wait().text == "APPROVED {}"


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        ({}, "it has no 'city'"),
        ({"city": 1}, "'city' is no string, but 1"),
        ({"city": "x", "days": "2"}, "'days' is no integer"),
        ("Bern", "it is no object"),
        ({"city": {1}}, "no JSON data"),
        ({"city": float("nan")}, "no JSON data"),
    ],
)
def test_what_does_not_match_decides_nothing(paused: Run, payload: Any, problem: str) -> None:
    with pytest.raises(RequestError, match=problem):
        paused.approve(payload=payload)
    assert paused.status == "paused"
    assert paused.approve(payload={"city": "Bern"}).wait().status == "completed"


@pytest.mark.parametrize("schema", ["[", "5", '"x"', "{}", '{"properties": 5}', "[" * 100_000])
def test_a_schema_that_is_none_refuses_nothing(schema: str) -> None:
    def ask(prompt: str, context: FunctionContext) -> Iterator[Event | str]:
        yield ApprovalRequested(approval_id="a", answer_schema=schema)
        yield json.dumps(context.payloads["a"])

    assert agentnb.agent(ask).run("go").approve(payload=[1]).wait().text == "[1]"


@pytest.mark.anyio
async def test_in_an_event_loop() -> None:
    run = await agentnb.agent(travel).arun("go")
    done = await (await run.approve_async(payload={"city": "Bern"})).wait_async()
    assert done.text == 'APPROVED {"a": {"city": "Bern"}}'
    run = await agentnb.agent(travel).arun("go")
    done = await (await run.deny_async(payload=7)).wait_async()
    assert done.text == 'REJECTED {"a": 7}'


def test_in_a_chat() -> None:
    chat = agentnb.chat(travel)
    chat.send("go").wait()
    assert chat.approve(payload={"city": "Bern"}).wait().text.endswith('{"a": {"city": "Bern"}}')


def able(*, payloads: bool = False) -> PlayedPlatform:
    async def pausing(request: RunRequest) -> Batches:
        yield [RunStarted(run_id="r"), ApprovalRequested(approval_id="a")]
        # Attached to again after the decision.
        if request.prompt == "r":
            yield [TextDelta("Done"), RunFinished()]

    abilities = Capabilities(approvals=True, attach=True, approval_payloads=payloads)
    return PlayedPlatform(pausing, capabilities=abilities)


def test_a_platform_that_takes_none_is_not_called() -> None:
    platform = able()
    run = player(platform).run("go", check=False)
    with pytest.raises(UnsupportedError, match="without a payload only"):
        run.approve(payload={})
    assert platform.decisions == []


def test_a_recording_has_the_payload(tmp_path: Path) -> None:
    tape = tmp_path / "tape.jsonl"
    platform = able(payloads=True)
    agent = player(platform)
    with agentnb.record(tape):
        agent.run("go").approve(payload={"city": "Bern"}).wait()
    with agentnb.playback(tape):
        run = agent.run("go")
        for other in (None, {"city": "Rome"}):
            with pytest.raises(PlaybackError, match="with a payload"):
                run.approve(payload=other)
        assert run.approve(payload={"city": "Bern"}).wait().text == "Done"


def test_it_is_stored_and_exported() -> None:
    event = ApprovalRequested(answer_schema=json.dumps(SCHEMA), expires_at="2030-01-01")
    data = event_to_dict(event)
    assert json.loads(data["answer_schema"]) == SCHEMA
    assert event_from_dict(json.loads(json.dumps(data))) == event
    # As earlier versions wrote it.
    assert event_from_dict({"type": "approval_requested", "message": "May I?"}) == (
        ApprovalRequested(message="May I?")
    )
    assert "answer_schema" not in event_to_dict(ApprovalRequested(message="May I?"))
    # A schema that changes is another request; one without has the key that it always had.
    assert approval_key(ApprovalRequested()) != approval_key(ApprovalRequested(answer_schema=""))
    assert approval_key(ApprovalRequested(approval_id="a1", message="Buy ten shares?")) == (
        approval_key(ApprovalRequested(approval_id="a1", message="Buy ten shares?"))
    )


def bundle(run: Run) -> dict[str, str]:
    with run.lock:
        return {"text/plain": to_text(run.view()), "text/html": to_html(run.view())}


def test_outputs_name_the_call_that_answers(paused: Run) -> None:
    call = "Answer with run.approve(payload={'city': ..., 'days': ...}), refuse with run.deny()."
    shown = bundle(paused)
    assert call in shown["text/plain"]
    assert "It expires at 2030-01-01T00:00:00Z." in shown["text/plain"]
    assert "run.approve(payload=" in shown["text/html"]


def test_names_of_fields_are_text() -> None:
    name = "<img src=x onerror=alert(1)>\x1b[2J\n" + "x" * 1_000
    properties: dict[str, Any] = {each: {} for each in (name, *"abcdefgh")}
    schema = json.dumps({"properties": properties})

    def ask(prompt: str) -> Iterator[Event]:
        yield ApprovalRequested(approval_id="a", answer_schema=schema)
        yield TextDelta("x")

    shown = bundle(agentnb.agent(ask).run("go"))
    assert "<img" not in shown["text/html"]
    assert "\x1b" not in shown["text/plain"]
    line = next(each for each in shown["text/plain"].splitlines() if "payload=" in each)
    assert len(line) < 300

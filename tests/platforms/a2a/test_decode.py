"""Frames of both versions, and resumed streams."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentnb.event import (
    Event,
    RawEvent,
    ReasoningDelta,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
)
from agentnb.platforms.a2a.decoder import Decoder
from agentnb.plugin import RunRequest, ServerSentEvent
from agentnb.testing import fuzz_decoder

REQUEST = RunRequest(agent="a", prompt="q")
IDS = {"taskId": "t1", "contextId": "c1"}
STARTED = RunStarted(run_id="t1", session_id="c1")


def frame(result: Any) -> ServerSentEvent:
    return ServerSentEvent("message", json.dumps({"jsonrpc": "2.0", "result": result}), "", None)


def status(state: str, text: str | None = None) -> dict[str, Any]:
    message = {"messageId": "m1", "role": "ROLE_AGENT", "parts": [{"text": text}]}
    return {
        "statusUpdate": {
            **IDS,
            "status": {"state": state, **({"message": message} if text else {})},
        }
    }


def chunk(text: str, *, append: bool = True, key: str = "a1") -> dict[str, Any]:
    artifact = {"artifactId": key, "parts": [{"text": text}]}
    return {"artifactUpdate": {**IDS, "artifact": artifact, "append": append}}


def task(state: str, *texts: str) -> dict[str, Any]:
    artifacts = [{"artifactId": "a1", "parts": [{"text": text} for text in texts]}]
    return {
        "id": "t1",
        "contextId": "c1",
        "status": {"state": state},
        "artifacts": artifacts if texts else [],
    }


def decoded(decoder: Decoder, *results: Any) -> list[Event]:
    return [*decoder.decode_all([frame(result) for result in results]), *decoder.finish()]


def test_chunks_and_the_whole_artifact_again() -> None:
    whole = chunk("Hello", append=False)
    got = decoded(
        Decoder(REQUEST), chunk("Hel"), chunk("lo"), whole, status("TASK_STATE_COMPLETED")
    )
    assert got == [STARTED, TextDelta("Hel", "a1"), TextDelta("lo", "a1"), RunFinished()]


def test_early_frames() -> None:
    got = decoded(
        Decoder(REQUEST),
        {"kind": "task", "id": "t1", "contextId": "c1", "status": {"state": "submitted"}},
        {
            "kind": "artifact-update",
            **IDS,
            "artifact": {"artifactId": "a1", "parts": [{"kind": "text", "text": "Hi"}]},
        },
        {"kind": "status-update", **IDS, "final": True, "status": {"state": "completed"}},
    )
    assert got == [STARTED, TextDelta("Hi", "a1"), RunFinished()]


@pytest.mark.parametrize(
    ("state", "end"),
    [
        ("completed", [TextDelta("So.", "m1"), RunFinished()]),
        ("failed", [RunFailed(message="So.", code="failed")]),
        ("rejected", [RunFailed(message="So.", code="rejected")]),
        ("canceled", [RunCancelled(reason="So.")]),
        ("working", [ReasoningDelta("So.\n\n", "m1")]),
    ],
)
def test_states(state: str, end: list[Event]) -> None:
    wire = f"TASK_STATE_{state.upper()}"
    assert decoded(Decoder(REQUEST), status(wire, "So.")) == [STARTED, *end]


def test_an_agent_may_go_on_after_signing_in() -> None:
    auth = status("TASK_STATE_AUTH_REQUIRED", "Sign in.")
    got = decoded(Decoder(REQUEST), auth, status("TASK_STATE_COMPLETED"))
    assert got == [STARTED, RunFinished()]
    (_, end) = decoded(Decoder(REQUEST), auth)
    assert isinstance(end, RunFailed)
    assert end.message == "The agent requires authentication: Sign in."


def test_errors_and_unknown_frames() -> None:
    decoder = Decoder(REQUEST)
    got = decoded(decoder, {"news": {}}, {"artifactUpdate": {"artifact": 1}})
    assert [type(event) for event in got] == [RawEvent, RawEvent]
    error = ServerSentEvent("message", '{"error": {"code": -32603, "message": "No."}}', "", None)
    assert decoder.decode(error) == [RunFailed(message="No.", code="-32603")]


# --- resumed ------------------------------------------------------------------------------------


DELIVERED = [STARTED, TextDelta("Hel", "a1")]


def test_a_snapshot_brings_what_was_missed() -> None:
    decoder = Decoder(REQUEST, delivered=DELIVERED)
    got = decoded(decoder, {"task": task("TASK_STATE_WORKING", "Hel", "lo")}, chunk(" you"))
    assert got == [TextDelta("lo", "a1"), TextDelta(" you", "a1")]
    assert decoded(decoder, status("TASK_STATE_COMPLETED")) == []
    assert decoder.settle(task("TASK_STATE_COMPLETED", "Hello you")) == [RunFinished()]


def test_without_the_start_of_a_text_its_end_is_awaited() -> None:
    decoder = Decoder(REQUEST, delivered=DELIVERED)
    assert decoded(decoder, {"task": task("TASK_STATE_WORKING")}, chunk("you")) == []
    got = decoder.settle(task("TASK_STATE_COMPLETED", "Hello you"))
    assert got == [TextDelta("lo you", "a1"), RunFinished()]


@pytest.mark.parametrize("kept", [(), ("Hallo",), ("He",)])
def test_what_is_no_longer_there_is_not_passed_over(kept: tuple[str, ...]) -> None:
    decoder = Decoder(REQUEST, delivered=DELIVERED)
    end = decoder.settle(task("TASK_STATE_COMPLETED", *kept))[-1]
    assert isinstance(end, RunFailed)
    assert (end.status, end.code) == ("truncated", "answer_incomplete")


def test_damaged_streams() -> None:
    results = [
        {"task": task("TASK_STATE_SUBMITTED")},
        status("TASK_STATE_WORKING", "Hm."),
        chunk("Hel"),
        chunk("lo", append=False),
        status("TASK_STATE_COMPLETED", "Done."),
    ]
    recorded = b"".join(f"data: {frame(each).data}\n\n".encode() for each in results)
    fuzz_decoder(Decoder, recorded)

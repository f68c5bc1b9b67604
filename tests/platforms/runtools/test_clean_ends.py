"""Streams that end without a word that any dialect has for it, of runs that have completed."""

from __future__ import annotations

from typing import Any

import pytest

from agentnb._http.retry import Retries
from tests.faults.numbered import pauses_made
from tests.platforms.runtools.sse_runtime import body_of, data, runtime
from tests.played import LONG

WHOLE = "Hello there."
STREAM = body_of([data({"type": "text", "text": WHOLE}), data({"type": "odd_goodbye"})])


def row(**fields: Any) -> dict[str, Any]:
    return {"runId": "run_1", "threadId": "thr_1", "agent": "any", **fields}


def recorded(kind: str, number: int, **payload: Any) -> dict[str, Any]:
    return {"sequence": number, "runId": "run_1", "type": kind, "payload": payload}


RECORD = [recorded("text", 1, text=WHOLE), recorded("odd_goodbye", 2)]


@pytest.mark.parametrize(
    ("record", "result"),
    [(RECORD, WHOLE), (RECORD, None), ([], WHOLE), (None, WHOLE)],
    ids=["record", "no-result", "empty-record", "no-record"],
)
def test_a_run_that_completed_is_completed_at_once(
    record: list[dict[str, Any]] | None, result: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = pauses_made(monkeypatch)
    rows = [row(status="completed", result=result)]
    # The record would be read again long after the test has failed.
    options = {"poll_seconds": 10 * LONG}
    with runtime(rows=rows, record=record, retries=Retries(), options=options) as (agent, requests):
        run = agent.start(STREAM).wait(LONG)
    assert (run.status, run.text) == ("completed", WHOLE)
    assert sum(pauses) < 1.0
    assert len(requests) < 30


def test_a_run_that_is_joined_ends_by_how_its_model_stopped() -> None:
    stop: dict[str, Any] = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    record = [recorded("text", 1, text=WHOLE), recorded("", 2, **stop)]
    options = {"poll_seconds": 10 * LONG}
    rows = [row(status="completed")]
    with runtime(rows=rows, record=record, retries=Retries(), options=options) as (agent, _):
        run = agent.attach("run_1", session="thr_1").wait(LONG)
    assert (run.status, run.text) == ("completed", WHOLE)


def test_text_that_may_be_the_answer_is_used_without_any_other() -> None:
    stream = body_of(
        [data({"type": "spoken", "utterance": piece}) for piece in ("Hello ", "there.")]
    )
    rows = [row(status="completed", result=WHOLE)]
    with runtime(rows=rows, record=None, retries=Retries()) as (agent, _):
        run = agent.run(stream)
    assert (run.status, run.text) == ("completed", WHOLE)

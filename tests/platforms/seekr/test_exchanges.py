"""Which messages of a thread belong to which of its runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentnb.platforms.base import Exchange
from agentnb.platforms.seekr import SeekrPlatform
from agentnb.platforms.seekr.messages import match_exchanges
from agentnb.platforms.seekr.wire import Message
from tests.platforms.scripted import Reply, ScriptedServer, Seen

MESSAGES = "GET /v1/threads/t/messages"
BEGAN = datetime(2026, 5, 6, 10, tzinfo=UTC)


def at(minute: float) -> datetime:
    return BEGAN + timedelta(minutes=minute)


def message(role: str, content: Any, minute: float | None = None, **fields: Any) -> Message:
    moment = None if minute is None else at(minute).isoformat()
    record = {"id": f"{role} {content}", "role": role, "content": content, "created_at": moment}
    return Message.model_validate({**record, **fields})


def matched(messages: list[Message], **minutes: float) -> dict[str, tuple[str | None, str | None]]:
    found = match_exchanges(messages, {run_id: at(minute) for run_id, minute in minutes.items()})
    return {run_id: (each.prompt, each.text) for run_id, each in found.items()}


def test_by_the_id_of_the_run() -> None:
    thread = [
        message("user", "one?"),
        message("assistant", "one ", run_id="r1"),
        message("assistant", "and only", run_id="r1"),
        message("user", "two?"),
        message("assistant", "two", run_id="r2"),
    ]
    assert matched(thread, r2=2, r1=1) == {"r1": ("one?", "one and only"), "r2": ("two?", "two")}
    assert matched(thread, r2=2) == {"r2": ("two?", "two")}


def test_by_the_question_that_names_its_run() -> None:
    thread = [message("user", "one?", run_id="r1"), message("assistant", "one")]
    assert matched(thread, r1=1) == {"r1": ("one?", "one")}


def test_by_time() -> None:
    thread = [
        message("user", "one?", 0),
        message("assistant", "one", 1.5),
        message("user", "two?", 2),
        message("user", "three?", 4),
        message("assistant", "three", 5.5),
    ]
    assert matched(thread, r1=1, r2=3, r3=5) == {
        "r1": ("one?", "one"),
        "r2": ("two?", None),
        "r3": ("three?", "three"),
    }
    # Those that are known already need not be among them.
    assert matched(thread, r3=5) == {"r3": ("three?", "three")}
    assert matched(thread, r0=-1) == {}


def test_several_runs_of_one_question() -> None:
    thread = [
        message("user", "one?", 0),
        message("assistant", "first", 1.5),
        message("assistant", "second", 2.5),
    ]
    assert matched(thread, r1=1, r2=2) == {"r1": ("one?", "first"), "r2": ("one?", "second")}


def test_a_run_that_failed_without_a_word() -> None:
    thread = [
        message("user", "one?", 0),
        message("user", "two?", 2),
        message("assistant", "two", 3.5, run_id="r2"),
    ]
    assert matched(thread, r1=1, r2=3) == {"r1": ("one?", None), "r2": ("two?", "two")}


def test_by_order_where_nothing_else_is_told() -> None:
    thread = [
        message("user", "one?"),
        message("assistant", "one"),
        message("user", "two?"),
        message("assistant", "two"),
    ]
    assert matched(thread, r1=1, r2=2) == {"r1": ("one?", "one"), "r2": ("two?", "two")}
    assert matched(thread, r0=0, r1=1, r2=2)["r2"] == ("two?", "two")
    # It could be either.
    assert matched(thread, r2=2) == {}


def test_what_is_no_answer_is_left_out() -> None:
    parent = {"messageMetadata": {"metadata": {"parent_agent_id": "a1"}}}
    parts = [
        {"type": "text", "text": '{"steps": []}'},
        {"type": "text", "text": "Sub.", **parent},
        {"type": "output_guardrail", "text": "No."},
    ]
    question = [{"type": "input_text", "text": "one?"}, {"type": "input_image", "image_url": "x"}]
    thread = [message("user", question), message("assistant", parts, run_id="r1")]
    assert match_exchanges(thread, {"r1": BEGAN}) == {
        "r1": Exchange(prompt="one?", text="No.", reasoning='{"steps": []}\n\nSub.')
    }


@pytest.mark.anyio
@pytest.mark.parametrize("cap", [1000, 40])
async def test_one_request_where_one_is_enough(
    server: ScriptedServer, platform: SeekrPlatform, cap: int
) -> None:
    rows: list[dict[str, Any]] = []
    for n in range(60):
        rows.append({"id": f"q{n}", "role": "user", "content": f"{n}?"})
        rows.append({"id": f"a{n}", "role": "assistant", "content": f"{n}", "run_id": f"r{n}"})

    def reply(seen: Seen) -> Reply:
        begin, limit = int(seen.query["offset"]), int(seen.query["limit"])
        return Reply(rows[::-1][begin : begin + min(limit, cap)])

    server.routes[MESSAGES] = reply
    found = await platform.exchanges("t", {f"r{n}": at(n) for n in range(60)})
    assert {(e.prompt, e.text) for e in found.values()} == {(f"{n}?", f"{n}") for n in range(60)}
    assert len(found) == 60
    assert len(server.requests) == (1 if cap == 1000 else 3)

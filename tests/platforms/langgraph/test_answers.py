"""What interrupts are read as, and what they are resumed with."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentnb.errors import RequestError
from agentnb.event import ApprovalRequested
from agentnb.platforms.langgraph.interrupts import (
    BREAKPOINT,
    answer_to,
    read_approval,
    with_answer,
)
from agentnb.platforms.langgraph.wire import LangGraphOptions
from agentnb.plugin import Decision

OPTIONS = LangGraphOptions()
TWO: dict[str, Any] = {
    "action_requests": [{"name": "a", "args": {}}, {"name": "b", "args": {}}],
    "review_configs": [],
}
LEGACY: Any = [
    {"action_request": {"action": "buy", "args": {"n": 2}}, "config": {"allow_edit": True}}
]


@pytest.mark.parametrize(
    ("value", "approved", "payload", "answer"),
    [
        ("Sure?", True, None, True),
        ("Sure?", False, None, False),
        ("Sure?", True, 0, 0),
        ("Sure?", False, "no", "no"),
        (TWO, True, None, {"decisions": [{"type": "approve"}] * 2}),
        (TWO, True, [{"type": "approve"}], {"decisions": [{"type": "approve"}]}),
        (TWO, False, "no", {"decisions": [{"type": "reject", "message": "no"}] * 2}),
        (TWO, True, {"decisions": []}, {"decisions": []}),
        (LEGACY, True, None, [{"type": "accept", "args": None}]),
        (LEGACY, False, None, [{"type": "ignore", "args": None}]),
        (LEGACY, False, "no", [{"type": "response", "args": "no"}]),
        (
            LEGACY,
            True,
            {"n": 3},
            [{"type": "edit", "args": {"action": "buy", "args": {"n": 3}}}],
        ),
        (LEGACY, True, [{"type": "accept"}], [{"type": "accept"}]),
    ],
)
def test_answers(value: Any, approved: bool, payload: Any, answer: Any) -> None:
    assert answer_to(value, OPTIONS, Decision("i", approved, payload)) == answer


def test_arguments_for_several_calls_are_refused() -> None:
    with pytest.raises(RequestError, match="2 calls wait for one decision"):
        answer_to(TWO, OPTIONS, Decision("i", True, {"n": 1}))


def test_the_schema_of_an_answer() -> None:
    (properties,) = [
        json.loads(approval.answer_schema or "")["properties"]
        for approval in [read_approval({"id": "i", "value": LEGACY})]
    ]
    assert properties == {"n": {"type": "number"}}
    fixed = [{**LEGACY[0], "config": {"allow_edit": False}}]
    assert read_approval({"id": "i", "value": fixed}).answer_schema is None
    config = {"action_name": "buy", "allowed_decisions": ["edit"], "args_schema": {"title": "N"}}
    request: Any = {"action_requests": [{"name": "buy"}], "review_configs": [config]}
    assert read_approval({"id": "i", "value": request}).answer_schema == '{"title": "N"}'
    odd: tuple[Any, ...] = (None, 5, "x", [], {})
    for schema in odd:
        value: Any = {"question": "Where?", "schema": schema}
        assert read_approval({"id": "i", "value": value}).answer_schema is None


def test_the_schema_of_the_settings_is_for_interrupts_without_one() -> None:
    schema = {"type": "string"}
    plain = with_answer(ApprovalRequested(approval_id="i", message="Where?"), schema)
    assert json.loads(plain.answer_schema or "") == schema
    own = ApprovalRequested(approval_id="i", answer_schema="{}")
    breakpoint_ = ApprovalRequested(message=BREAKPOINT)
    calls = [read_approval({"id": "i", "value": value}) for value in (LEGACY, TWO)]
    for approval in (own, breakpoint_, *calls):
        assert with_answer(approval, schema) == approval

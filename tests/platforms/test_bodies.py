from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb.errors import FieldProblem
from agentnb.platforms._bodies import parse_error_body, parse_seconds, parse_time

MOMENT = datetime(2023, 11, 7, 5, 31, 56, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2023-11-07T05:31:56Z",
        "2023-11-07T05:31:56",
        " 2023-11-07T06:31:56+01:00 ",
        "2023-11-07T05:31:56.000000000Z",
        MOMENT.timestamp(),
        int(MOMENT.timestamp() * 1000),
        MOMENT,
        MOMENT.replace(tzinfo=None),
        MOMENT.astimezone(timezone(timedelta(hours=-5))),
    ],
)
def test_every_form_of_a_time(value: Any) -> None:
    found = parse_time(value)
    assert found == MOMENT
    assert found is not None
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "value", [None, "", "soon", True, -1, 10**30, math.inf, math.nan, [], "9999-12-31T23:59-14:00"]
)
def test_what_is_no_time(value: Any) -> None:
    assert parse_time(value) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(3, 3.0), ("1.5", 1.5), (0, 0.0), (-1, None), ("x", None), (True, None), (10**400, None)],
)
def test_seconds(value: Any, seconds: float | None) -> None:
    assert parse_seconds(value) == seconds


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ({"error": {"code": "E", "message": "m"}}, "m", "E"),
        ({"error": "not_found", "message": "m", "status": 404}, "m", "not_found"),
        ({"error": "m", "code": "E"}, "m", "E"),
        ({"title": "Bad", "detail": "m", "status": 400}, "m", None),
        ({"title": "m"}, "m", None),
        ({"detail": "m"}, "m", None),
        ({"errorText": "m"}, "m", None),
        ("m", "m", None),
        ({"message": " a\n b "}, "a b", None),
        ({"error": {"code": 7}}, None, "7"),
        ({"error": None}, None, None),
        ([], None, None),
        (None, None, None),
    ],
)
def test_every_form_of_an_error_body(body: Any, message: str | None, code: str | None) -> None:
    found = parse_error_body(400, body)
    assert (found.message, found.code) == (message, code)


def test_fields_ids_and_waiting() -> None:
    found = parse_error_body(
        422,
        {
            "detail": [
                {"loc": ["body", "items", 0], "msg": "wrong", "type": "t"},
                {"field": "name", "message": "missing"},
                "odd",
                {"loc": "query"},
            ]
        },
    )
    assert found.fields == (
        FieldProblem("body.items.0", "wrong", "t"),
        FieldProblem("name", "missing"),
        FieldProblem("query", "invalid"),
    )
    assert found.message == "body.items.0: wrong; name: missing; query: invalid"
    inside = {"error": {"message": "m", "details": {"fields": [{"field": "a", "message": "b"}]}}}
    assert parse_error_body(422, inside).fields == (FieldProblem("a", "b"),)
    body = {"error": {"message": "m", "requestId": "r", "retry_after": "2"}}
    waiting = parse_error_body(429, body)
    assert (waiting.request_id, waiting.retry_after) == ("r", 2.0)


def test_a_validator_without_a_location_and_without_an_envelope() -> None:
    entry: dict[str, Any] = {"loc": [], "msg": "Bad tag", "type": "t"}
    assert parse_error_body(422, {"detail": [entry]}).message == "Bad tag"
    bare = parse_error_body(422, [{"loc": ["a"], "msg": "x"}, entry])
    assert bare.message == "a: x; Bad tag"
    assert bare.fields == (FieldProblem("a", "x"), FieldProblem("", "Bad tag", "t"))
    # No validator's: the caller displays the body itself.
    assert parse_error_body(500, [{"error": {"code": 3}}]).message is None


def test_when_to_try_again_is_found_wherever_it_stands() -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    wrong: list[Any] = [-1, "-1", "nan", "inf", 10**400, True, "soon", "", [], {}]
    values: list[tuple[Any, float | None]] = [
        *((30, 30), ("2.5", 2.5), (0, 0), (1e300, 1e300)),
        (tomorrow.isoformat(), 86_400),
        (format_datetime(tomorrow, usegmt=True), 86_400),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        *((value, None) for value in wrong),
    ]
    for value, seconds in values:
        wait = {"retry_after": value}
        bodies: list[dict[str, Any]] = [
            {"error": "m", **wait},
            {"error": "m", "retryAfter": value},
            {"error": {"message": "m", **wait}},
            {"error": {"message": "m"}, **wait},
            {"error": {"message": "m", "details": wait}},
            {"error": "m", "details": wait},
            {"error": {"message": "m", "details": {}}, "details": wait},
            {"error": {"message": "m", "retry_after": "later", "details": wait}},
            {"error": "m", "metadata": wait},
        ]
        for body in bodies:
            found = parse_error_body(429, body).retry_after
            assert found == (None if seconds is None else pytest.approx(seconds, abs=60)), body


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = ("error", "detail", "details", "message", "code", "retry_after", "loc", "msg", "requestId")


@given(st.recursive(JSON, lambda i: st.dictionaries(st.sampled_from(NAMES), i) | st.lists(i)))
def test_no_body_raises(body: Any) -> None:
    found = parse_error_body(500, body)
    for text in (found.message, found.code, found.request_id):
        assert text is None or "\n" not in text


@given(JSON)
def test_no_time_raises(value: Any) -> None:
    parse_time(value)
    parse_seconds(value)

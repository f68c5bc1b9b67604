"""What the constructors of events take, and what they refuse."""

# pyright: reportArgumentType=false
# What is given here is what a caller without types may give.

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, get_args
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

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
    event_from_dict,
    event_to_dict,
    text_deltas,
)
from tests.cases import cases

CLASSES: tuple[type[Any], ...] = get_args(Event)


class City(BaseModel):
    name: str
    founded: date = date(1237, 10, 28)


@dataclass
class Point:
    x: int


class Tool(StrEnum):
    SEARCH = "search"


class Loud(str):
    __slots__ = ()

    def __str__(self) -> str:
        return self.upper()


def cyclic() -> dict[str, Any]:
    data: dict[str, Any] = {}
    data["self"] = data
    return data


def deep() -> list[Any]:
    data: list[Any] = []
    for _ in range(100_000):
        data = [data]
    return data


DATA: list[tuple[Any, str]] = [
    ("plain", "plain"),
    ({"city": "Zürich"}, '{"city": "Zürich"}'),
    ([1, "a", None], '[1, "a", null]'),
    ((1, 2), "[1, 2]"),
    (42, "42"),
    (True, "true"),
    (1.5, "1.5"),
    (float("nan"), "null"),
    ({"price": float("inf")}, '{"price": null}'),
    ({1: {2}}, '{"1": [2]}'),
    (City(name="Bern"), '{"name": "Bern", "founded": "1237-10-28"}'),
    ([City(name="Bern")], '[{"name": "Bern", "founded": "1237-10-28"}]'),
    (Point(1), '{"x": 1}'),
    (date(2026, 1, 2), "2026-01-02"),
    ({"when": date(2026, 1, 2)}, '{"when": "2026-01-02"}'),
    (Decimal("1.50"), "1.50"),
    (UUID(int=1), str(UUID(int=1))),
    (np.int64(3), "3"),
    (np.array([1, 2]), "[1, 2]"),
    ({"mean": np.float64("nan"), "up": np.bool_(True)}, '{"mean": null, "up": true}'),
    (Tool.SEARCH, "search"),
    (Loud("ab"), "ab"),
    (b'{"a": 1}', '{"a": 1}'),
    ("\ud800", "\ud800"),
    ({"half": "\ud800", "day": date(2026, 1, 2)}, '{"half": "\ud800", "day": "2026-01-02"}'),
    ("x" * 1_000_000, "x" * 1_000_000),
]
DATA_FIELDS: list[tuple[str, Callable[[Any], Any]]] = [
    ("arguments", lambda value: ToolCallStarted(call_id="1", name="n", arguments=value)),
    ("arguments", lambda value: ToolCallDelta(call_id="1", arguments=value)),
    ("output", lambda value: ToolCallDelta(call_id="1", output=value)),
    ("arguments", lambda value: ToolCallFinished(call_id="1", arguments=value)),
    ("result", lambda value: ToolCallFinished(call_id="1", result=value)),
    ("arguments", lambda value: ApprovalRequested(arguments=value)),
    ("output", lambda value: RunFinished(output=value)),
    ("data", lambda value: RawEvent(name="n", data=value)),
]


@cases("value, text", DATA)
@cases("field, make", DATA_FIELDS)
def test_data_becomes_json(field: str, make: Callable[[Any], Any], value: Any, text: str) -> None:
    event = make(value)
    made = getattr(event, field)
    # What is to be decided is printed.
    assert made == (text.replace("\ud800", "\ufffd") if type(event) is ApprovalRequested else text)
    assert type(made) is str


@pytest.mark.parametrize(
    ("value", "given"),
    [
        (pd.DataFrame({"a": [1]}), "not DataFrame"),
        ({"table": pd.DataFrame()}, "not DataFrame"),
        (object(), "not object"),
        (len, "not builtin_function_or_method"),
        (City, "not ModelMetaclass"),
        (b"\xff\xfe", "not UTF-8"),
        (cyclic(), "contains itself"),
        (deep(), "not list"),
        (10**5000, "too large"),
    ],
    ids=["frame", "nested", "object", "builtin", "class", "bytes", "cyclic", "deep", "long"],
)
@pytest.mark.parametrize(("field", "make"), DATA_FIELDS, ids=range(len(DATA_FIELDS)))
def test_what_has_no_json_form_is_refused(
    field: str, make: Callable[[Any], Any], value: Any, given: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"\.{field} must be text or JSON") as caught:
        make(value)
    assert given in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TextDelta(5), "TextDelta.text must be text (str), not int."),
        (lambda: TextDelta(None), "TextDelta.text must be text (str), not None."),
        (lambda: TextDelta(b"a"), "TextDelta.text must be text (str), not bytes."),
        (lambda: ReasoningDelta({}), "ReasoningDelta.text must be text (str), not dict."),
        (
            lambda: ToolCallStarted(call_id="1", name=None),
            "ToolCallStarted.name must be text (str), not None.",
        ),
        (
            lambda: ToolCallStarted(call_id=None, name="n"),
            "ToolCallStarted.call_id must be an id (str or int), not None.",
        ),
        (
            lambda: ToolCallFinished(call_id=True),
            "ToolCallFinished.call_id must be an id (str or int), not bool.",
        ),
        (
            lambda: ToolCallFinished(call_id="1", error=True),
            "ToolCallFinished.error must be text (str) or an exception, not bool.",
        ),
        (
            lambda: RunFailed(message=None),
            "RunFailed.message must be text (str) or an exception, not None.",
        ),
        (
            lambda: RunFailed(message="m", status="completed"),
            "RunFailed.status must be 'failed', 'truncated' or 'interrupted', not 'completed'.",
        ),
        (
            lambda: RunFailed(message="m", details=[1]),
            "RunFailed.details must be a dict, not list.",
        ),
        (
            lambda: RunFinished(duration="3 s"),
            "RunFinished.duration must be a number of 0 or more (float), not str.",
        ),
        (
            lambda: RunFinished(duration=float("nan")),
            "RunFinished.duration must be a finite number of 0 or more, not nan.",
        ),
        (lambda: RunStarted(model=4), "RunStarted.model must be text (str), not int."),
        (
            lambda: FollowupsSuggested(followups=None),
            "FollowupsSuggested.followups must be a sequence of texts (str), not None.",
        ),
        (
            lambda: FollowupsSuggested(followups=[1]),
            "FollowupsSuggested.followups must be a sequence of texts (str), not of int.",
        ),
        (
            lambda: UsageReported(usage=None),
            "UsageReported.usage must be a Usage, or a dict of counts, not None.",
        ),
        (
            lambda: UsageReported(usage=12),
            "UsageReported.usage must be a Usage, or a dict of counts, not int.",
        ),
        (
            lambda: UsageReported(usage={"in": 3}),
            "UsageReported.usage must be a Usage, or a dict of counts such as 'input_tokens' and "
            "'output_tokens', not one of 'in'.",
        ),
        (
            lambda: UsageReported(usage={"input_tokens": "many"}),
            "Usage.input_tokens must be a whole number of 0 or more (int), not str.",
        ),
        (
            lambda: Usage(output_tokens=-1),
            "Usage.output_tokens must be a whole number of 0 or more, not -1.",
        ),
        (
            lambda: Usage(output_tokens=True),
            "Usage.output_tokens must be a whole number of 0 or more (int), not bool.",
        ),
        (
            lambda: Usage(total_tokens=1.5),
            "Usage.total_tokens must be a whole number of 0 or more, not 1.5.",
        ),
        (
            lambda: Usage(total_tokens=10**400),
            "Usage.total_tokens must be a whole number of 0 or more, "
            "not a number too large to keep.",
        ),
        (
            lambda: Usage(cost_usd=float("inf")),
            "Usage.cost_usd must be a finite number of 0 or more, not a number too large to keep.",
        ),
        (
            lambda: Usage(cost_usd="$1"),
            "Usage.cost_usd must be a number of 0 or more (float), not str.",
        ),
    ],
)
def test_what_has_no_meaning_is_refused_in_one_line(make: Callable[[], Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    assert str(caught.value) == message


class Broken:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("broken")


class BrokenError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("broken")


class BrokenMapping(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("broken")

    def __iter__(self) -> Iterator[str]:
        return iter(["input_tokens"])

    def __len__(self) -> int:
        return 1


def broken_iterator() -> Iterator[str]:
    yield "a"
    raise RuntimeError("broken")


@pytest.mark.parametrize(
    ("place", "make"),
    [
        ("ToolCallFinished.error", lambda: ToolCallFinished(call_id="1", error=BrokenError())),
        ("RunFailed.message", lambda: RunFailed(message=BrokenError())),
        ("RunCancelled.reason", lambda: RunCancelled(reason=BrokenError())),
        ("UsageReported.usage", lambda: UsageReported(usage=Broken())),
        ("UsageReported.usage", lambda: UsageReported(usage=BrokenMapping())),
        ("Usage.input_tokens", lambda: Usage(input_tokens=Broken())),
        ("Usage.cost_usd", lambda: Usage(cost_usd=Decimal("sNaN"))),
        ("RunFinished.duration", lambda: RunFinished(duration=Broken())),
        ("RunFinished.details", lambda: RunFinished(details=BrokenMapping())),
        ("RunFinished.details", lambda: RunFinished(details={"n": 10**5000})),
        ("FollowupsSuggested.followups", lambda: FollowupsSuggested(followups=broken_iterator())),
        ("FollowupsSuggested.followups", lambda: FollowupsSuggested(followups=np.array("a"))),
        ("RunStarted.run_id", lambda: RunStarted(run_id=10**5000)),
        ("TextDelta.part_id", lambda: TextDelta("a", 10**5000)),
    ],
    ids=range(14),
)
def test_what_cannot_be_read_is_refused_by_the_name_of_its_field(
    place: str, make: Callable[[], Any]
) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    assert str(caught.value).startswith(f"{place} must be ")


def test_many_texts_are_checked_like_one() -> None:
    with pytest.raises(TypeError, match=r"TextDelta\.text must be text"):
        text_deltas(["a", 1])
    assert type(text_deltas(["a", Loud("b")])[1].text) is str


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_no_field_keeps_an_object_of_an_unknown_type(cls: type[Any]) -> None:
    valid: dict[str, Any] = {
        "usage": Usage(),
        "duration": 1,
        "retry_after": 1,
        "details": {},
        "status": "failed",
        "followups": (),
    }
    names = [f.name for f in fields(cls)]
    for wrong in names:
        given = {name: valid.get(name, "x") for name in names}
        with pytest.raises((TypeError, ValueError), match=rf"\.{wrong} must be "):
            cls(**{**given, wrong: object()})


def test_ids_and_texts_of_other_types_become_text() -> None:
    made = ToolCallFinished(call_id=np.int64(7), name=Tool.SEARCH)
    assert (made.call_id, made.name) == ("7", "search")
    assert type(made.name) is str
    assert RunStarted(run_id=UUID(int=2)).run_id == str(UUID(int=2))
    assert TextDelta(Loud("ab"), 3) == TextDelta("ab", "3")
    assert ToolCallStarted(call_id=1, name="n", arguments=None).arguments == ""


def test_exceptions_become_the_text_of_an_error() -> None:
    error = ValueError("no such city")
    assert ToolCallFinished(call_id="1", error=error).error == "ValueError: no such city"
    failed = RunFailed(message=error)
    assert (failed.message, failed.error_type) == ("ValueError: no such city", "ValueError")
    assert RunFailed(message=KeyError()).message == "KeyError"
    assert RunCancelled(reason=TimeoutError()).reason == "TimeoutError"


class Spent(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: dict[str, int]


@pytest.mark.parametrize(
    ("given", "usage"),
    [
        ({}, Usage()),
        ({"input_tokens": 3, "output_tokens": 4}, Usage(input_tokens=3, output_tokens=4)),
        ({"prompt_tokens": 3, "model": "m"}, Usage(input_tokens=3)),
        ({"inputTokens": 3.0, "costUsd": Decimal("0.5")}, Usage(input_tokens=3, cost_usd=0.5)),
        ({"total_tokens": np.int64(9), "cost_usd": None}, Usage(total_tokens=9)),
        (
            Spent(prompt_tokens=5, completion_tokens=6, prompt_tokens_details={"cached_tokens": 2}),
            Usage(input_tokens=5, output_tokens=6, cached_tokens=2),
        ),
    ],
)
def test_usage_is_taken_as_vendors_spell_it(given: Any, usage: Usage) -> None:
    assert UsageReported(usage=given).usage == usage


def test_times_details_and_followups_are_converted() -> None:
    made = RunFinished(duration=timedelta(seconds=1.5), details={"day": date(2026, 1, 2)})
    assert (made.duration, made.details) == (1.5, {"day": "2026-01-02"})
    assert FollowupsSuggested(followups="And AMD?").followups == ("And AMD?",)
    assert FollowupsSuggested(followups=[Loud("a"), "b"]).followups == ("a", "b")
    # The checked form is one that JSON keeps.
    assert event_from_dict(json.loads(json.dumps(event_to_dict(made)))) == made


def test_a_stored_event_that_was_never_checked_is_kept_raw() -> None:
    data = {"type": "run_finished", "duration": -1}
    event = event_from_dict(data)
    assert isinstance(event, RawEvent)
    assert event.name == "run_finished"
    assert event.problem is not None
    assert "RunFinished.duration" in event.problem
    with pytest.raises(TypeError, match="needs name"):
        event_from_dict({"type": "tool_call_started", "call_id": "1"})

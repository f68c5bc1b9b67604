"""The language of faults: what a script means, and what is said of one that means nothing."""

from __future__ import annotations

import pytest

import agentnb.sandbox
from agentnb.errors import ConfigError
from agentnb.sandbox import Sandbox
from agentnb.sandbox.fault_plan import FaultPlan, PendingPlans
from agentnb.sandbox.fault_script import (
    FAULTS,
    DropFault,
    ErrorFault,
    FaultScriptError,
    StatusFault,
    parse,
)


def test_a_script_is_faults_with_settings() -> None:
    script = parse(" status 429 retry_after=1 times=2;drop after=300 how=close ; ")
    assert script.faults == (
        StatusFault(code=429, retry_after="1", times=2),
        DropFault(after=300, how="close"),
    )


def test_text_with_spaces_stands_in_quotes() -> None:
    (fault,) = parse("error events=2 message=\"it broke; sorry\" code='A B'").faults
    assert fault == ErrorFault(events=2, message="it broke; sorry", code="A B")


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_in_the_documentation(name: str) -> None:
    assert f"``{name}" in (agentnb.sandbox.__doc__ or "")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "The script names no fault; there are status, drop,"),
        (" ; ", "The script names no fault"),
        ("dorp", "There is no fault 'dorp'. Did you mean 'drop'?"),
        ("explode", "There is no fault 'explode'. There are status, drop"),
        ("drop aftr=3", "drop: there is no setting 'aftr'. Did you mean 'after'?"),
        ("drop 3", "drop: '3' is no setting; one is name=value."),
        ("drop after=1 after=2", "drop: after is given twice."),
        ("drop after=-1", "drop: after must be greater than or equal to 0, not '-1'."),
        ("drop after=1 events=2", "drop: give either after (bytes) or events."),
        ("drop how=badly", "drop: how must be 'reset', 'close' or 'short', not 'badly'."),
        ("end", "end: say where: after (bytes) or events."),
        ("stall seconds=soon", "stall: seconds must be a valid number, not 'soon'."),
        ("stall seconds=nan", "stall: seconds must be a finite number, not 'nan'."),
        ("status", "status: code is missing."),
        ("status 200", "status: code must be greater than or equal to 400, not '200'."),
        ("status 429 'retry_after=1\r\nX: y'", "status: retry_after must be plain ASCII text"),
        ("type", "type: type is missing."),
        ("compress br", "compress: coding must be 'gzip' or 'deflate', not 'br'."),
        ("drop times=0", "drop: times must be greater than or equal to 1, not '0'."),
        ("drop on=monday", "drop: on must be 'runs', 'start', 'join', 'other' or 'any', not"),
        ("drop " + "x" * 999, "drop: 'xxx"),
        ("error message='", "The script cannot be read: no closing quotation."),
        ("drop;" * 3000, "The script is longer than 10000 characters."),
    ],
)
def test_a_wrong_script_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(FaultScriptError) as caught:
        parse(text)
    assert str(caught.value).startswith(says)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) <= 300


def test_code_is_told_with_a_hint() -> None:
    with pytest.raises(ConfigError, match="no fault 'dorp'") as caught:
        Sandbox().faults("dorp")
    assert "agentnb.sandbox" in (caught.value.hint or "")


def names(plan: FaultPlan, kind: str = "start") -> list[str]:
    return [type(fault).__name__ for fault in plan.next(kind)]  # pyright: ignore[reportArgumentType]


def test_each_fault_counts_its_connections() -> None:
    plan = FaultPlan(parse("drop after=1 times=2; stall after=2 times=1; compress"))
    assert names(plan) == ["DropFault", "StallFault", "CompressFault"]
    assert names(plan) == ["DropFault", "CompressFault"]
    assert names(plan) == ["CompressFault"]


def test_what_refuses_a_connection_leaves_the_rest_for_later() -> None:
    plan = FaultPlan(parse("drop after=1 times=1; status 503 times=1; drop times=1"))
    assert names(plan) == ["StatusFault"]
    assert names(plan) == ["DropFault"]
    assert names(plan) == ["DropFault"]
    assert names(plan) == []


def test_a_fault_concerns_some_requests() -> None:
    plan = FaultPlan(parse("drop after=1 on=join; stall; status 500 on=other; compress on=any"))
    assert names(plan, "start") == ["StallFault", "CompressFault"]
    assert names(plan, "join") == ["DropFault", "StallFault", "CompressFault"]
    assert names(plan, "other") == ["StatusFault"]


def test_what_was_refused_is_known_when_it_comes_again() -> None:
    book = PendingPlans()
    script = parse("status 503 times=1")
    assert names(book.plan("a", script)) == ["StatusFault"]
    assert names(book.plan("a", script)) == []
    assert names(book.plan("b", script)) == ["StatusFault"]
    assert names(book.plan("a", parse("status 503 times=2"))) == ["StatusFault"]
    book.forget("b")
    assert names(book.plan("b", script)) == ["StatusFault"]

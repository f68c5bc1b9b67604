"""Functions that give structured output, or badly typed events."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

import agentnb
from agentnb.errors import OutputError, RunFailedError
from agentnb.event.types import RunFinished, TextDelta, ToolCallFinished, UsageReported


class City(BaseModel):
    name: str
    size: int = Field(default=0, alias="population")


@dataclass
class Point:
    x: int


class Mood(StrEnum):
    GOOD = "good"


CITY = City(name="Bern", population=3)


def model(prompt: str) -> City:
    return CITY


def mapping(prompt: str) -> dict[str, Any]:
    return {"name": "Bern", "population": 3}


async def awaited(prompt: str) -> City:
    await asyncio.sleep(0)
    return CITY


def yielded(prompt: str) -> Iterator[Any]:
    yield "Looking it up. "
    yield {"name": "not yet"}
    yield CITY


def returned(prompt: str) -> Iterator[str]:
    yield "Looking it up. "
    return CITY


async def async_yielded(prompt: str) -> AsyncIterator[Any]:
    yield "Looking it up. "
    yield CITY


def with_an_end(prompt: str) -> Iterator[Any]:
    yield CITY
    yield RunFinished(duration=2)


class CallableObject:
    def __call__(self, prompt: str) -> City:
        return CITY


@pytest.mark.parametrize(
    "function",
    [
        model,
        mapping,
        awaited,
        yielded,
        returned,
        async_yielded,
        with_an_end,
        CallableObject(),
        lambda prompt: CITY,
    ],
)
def test_data_are_the_structured_output(function: Callable[..., Any]) -> None:
    run = agentnb.agent(function).run("Bern", output_type=City)
    assert run.parsed == CITY
    assert (run.status, run.error, run.parse_error) == ("completed", None, None)
    assert run.text.endswith('{"name": "Bern", "population": 3}')
    table = agentnb.agent(function).map(["Bern", "Bern"], output_type=City, progress=False)
    assert list(table["status"]) == ["completed", "completed"]
    assert list(table["parsed_name"]) == ["Bern", "Bern"]
    assert list(table["parsed_population"]) == [3, 3]
    assert list(table["answer"]) == ['{"name": "Bern", "population": 3}'] * 2


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (Point(1), Point),
        ([CITY], list[City]),
        ([1, 2], list[int]),
        (42, int),
        (1.5, float),
        (True, bool),
        (date(2026, 1, 2), date),
        (Decimal("1.50"), Decimal),
        (Mood.GOOD, Mood),
        ({"a": CITY}, dict[str, City]),
    ],
    ids=str,
)
def test_every_type_comes_back_as_it_was(value: Any, kind: Any) -> None:
    run = agentnb.agent(lambda prompt: value).run("q", output_type=kind)
    assert run.parsed == value


def test_a_schema_takes_a_model_too() -> None:
    run = agentnb.agent(model).run("q", output_type=City.model_json_schema())
    assert run.parsed == {"name": "Bern", "population": 3}


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        ("no JSON", City, "The answer does not match `City`: invalid JSON."),
        ("", City, "The answer does not match `City`: it is empty."),
        (None, City, "The answer does not match `City`: it is empty."),
        ({"nam": 1}, City, "The answer does not match `City`: name: Field required."),
        ({"x": "a"}, {"title": "Point", "type": "object", "properties": {"x": {"type": "number"}}},
         "The answer does not match `Point`: 'x' is no number, but \"a\"."),
    ],
)  # fmt: skip
def test_an_answer_of_another_form_says_so(answer: Any, kind: Any, says: str) -> None:
    run = agentnb.agent(lambda prompt: answer).run("q", output_type=kind)
    assert run.status == "completed"
    assert run.parse_error == run.error == says
    with pytest.raises(OutputError) as caught:
        _ = run.parsed
    assert str(caught.value) == says
    bundle = run._repr_mimebundle_()  # pyright: ignore[reportPrivateUsage]
    assert says in bundle["text/plain"]
    assert "Not parsed" in bundle["text/html"]
    assert "**Not parsed:**" in run.to_markdown()
    assert run.to_dict()["error"] == {"message": says, "code": "output"}
    table = agentnb.agent(lambda prompt: answer).map(["q"], output_type=kind, progress=False)
    assert list(table["error"]) == [says]
    assert list(table["error_code"]) == ["output"]


def test_without_an_output_type_nothing_is_checked() -> None:
    run = agentnb.agent(lambda prompt: "no JSON").run("q")
    assert (run.parsed, run.parse_error, run.error) == (None, None, None)


def test_the_history_tells_of_answers_that_do_not_parse() -> None:
    run = agentnb.agent(lambda prompt: "no JSON").run("q", output_type=City)
    assert agentnb.history.flush()
    said = "The answer does not match `City`: invalid JSON."
    row = agentnb.runs(limit=1).iloc[0]
    assert (row["run_id"], row["status"]) == (run.id, "completed")
    assert (row["error"], row["error_code"]) == (said, "output")
    kept = agentnb.history.load(run.id)
    assert (kept.status, kept.error, kept.parse_error) == ("completed", said, said)


# -- badly typed events --------------------------------------------------------------------------


def bad_result(prompt: str) -> Iterator[Any]:
    yield "Before. "
    yield ToolCallFinished(call_id="1", result=object())  # pyright: ignore[reportArgumentType]


def bad_usage(prompt: str) -> Iterator[Any]:
    yield "Before. "
    yield UsageReported(usage="many")  # pyright: ignore[reportArgumentType]


def no_event(prompt: str) -> Iterator[Any]:
    yield "Before. "
    yield {"name": "Bern"}


async def async_no_event(prompt: str) -> AsyncIterator[Any]:
    yield "Before. "
    yield 42


def returns_a_number(prompt: str) -> Any:
    return 42


@pytest.mark.parametrize(
    ("function", "says", "line"),
    [
        (bad_result, "ToolCallFinished.result must be text or JSON data", "result=object()"),
        (bad_usage, "UsageReported.usage must be a Usage, or a dict of counts", "usage="),
        (no_event, "gives text or events of agentnb.event, not dict", 'yield {"name": "Bern"}'),
        (async_no_event, "gives text or events of agentnb.event, not int", "yield 42"),
        (returns_a_number, "gives text or events of agentnb.event, not int", "returns_a_number"),
    ],
)
def test_a_mistake_fails_the_run_at_the_users_line(
    function: Callable[..., Any], says: str, line: str
) -> None:
    with pytest.raises(RunFailedError, match=says) as caught:
        agentnb.agent(function).run("q")
    run = caught.value.run
    assert run is not None
    failure = run.transcript.failure
    assert failure is not None
    assert failure.error_type == "TypeError"
    shown = failure.details["traceback"]
    assert Path(__file__).name in shown
    assert line in shown
    # Python's own traceback shows it, too.
    assert line in "".join(traceback.format_exception(caught.value))
    assert run.text in ("Before. ", "")
    assert agentnb.history.flush()
    row = agentnb.runs(limit=1).iloc[0]
    assert (row["run_id"], row["status"], row["error_class"]) == (run.id, "failed", "TypeError")


def test_well_meant_events_are_kept_whole() -> None:
    def events(prompt: str) -> Iterator[Any]:
        yield ToolCallFinished(call_id=7, name="look", arguments={"at": 1}, result={"price": 2.5})  # pyright: ignore[reportArgumentType]
        yield UsageReported(usage={"prompt_tokens": 3, "completion_tokens": 4})  # pyright: ignore[reportArgumentType]
        yield "Done."

    run = agentnb.agent(events).run("q")
    (call,) = run.tool_calls
    assert (call.call_id, call.arguments, call.result) == ("7", '{"at": 1}', '{"price": 2.5}')
    assert agentnb.history.flush()
    row = agentnb.runs(limit=1).iloc[0]
    assert (row["run_id"], row["tool_calls"]) == (run.id, 1)
    assert (row["input_tokens"], row["output_tokens"]) == (3, 4)


def test_an_event_of_a_subclass_is_kept_as_its_base() -> None:
    class Loud(TextDelta):
        note: object = None

    run = agentnb.agent(lambda prompt: Loud("hi")).run("q")
    assert [type(event) for event in run.events if event.type == "text_delta"] == [TextDelta]
    assert agentnb.history.flush()
    assert agentnb.history.load(run.id).text == "hi"


def test_a_generator_that_catches_the_error_does_not_go_on() -> None:
    def stubborn(prompt: str) -> Iterator[Any]:
        try:
            yield 42
        except TypeError:
            traceback.format_exc()
            yield "never shown"

    with pytest.raises(RunFailedError, match="not int"):
        agentnb.agent(stubborn).run("q")

"""What can be given as a check, and what each asks of an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel

from agentnb import RequestError
from agentnb.evaluation import Check, contains, exact, json_schema, regex
from agentnb.evaluation.read_checks import read_checks


class Quote(BaseModel):
    ticker: str
    price: float


@dataclass
class Pair:
    first: int
    second: int


SCHEMA = {
    "type": "object",
    "properties": {"price": {"type": "number", "minimum": 0}},
    "required": ["price"],
}


def brief(answer: str) -> bool:
    return len(answer) < 10


UNNAMED: Callable[[str], bool] = lambda answer: True  # noqa: E731 - what has no name


class Longer:
    def __init__(self, than: int) -> None:
        self.than = than

    def __call__(self, answer: str) -> bool:
        return len(answer) > self.than


def one(check: Any) -> Check:
    (read,) = read_checks(check)
    return read


def judged(check: Any, *answers: str) -> list[Any]:
    return [one(check).judge(answer, {}) for answer in answers]


# -- reading them ---------------------------------------------------------------------------------


KINDS: list[tuple[Any, str]] = [
    (brief, "brief"),
    (UNNAMED, "check"),
    (Longer(3), "Longer"),
    (partial(re.search, "a"), "partial"),
    (len, "len"),
    (re.compile("a"), "regex"),
    ("yes", "exact"),
    (SCHEMA, "json_schema"),
    ({"$ref": "#/$defs/a", "$defs": {"a": True}}, "json_schema"),
    ({"type": ["object", "null"]}, "json_schema"),
    (Quote, "Quote"),
    (Pair, "Pair"),
    (list[int], "list"),
    (contains("a"), "contains"),
]


@pytest.mark.parametrize(
    ("check", "name"), KINDS, ids=[f"{place}-{name}" for place, (_, name) in enumerate(KINDS)]
)
def test_one_check(check: Any, name: str) -> None:
    assert one(check).name == name
    assert [each.name for each in read_checks([check])] == [name]
    assert [each.name for each in read_checks({"mine": check})] == ["mine"]


def test_several_get_distinct_names() -> None:
    names = [check.name for check in read_checks([brief, "a", "b", re.compile("c"), "d"])]
    assert names == ["brief", "exact", "exact_2", "regex", "exact_3"]
    assert [check.name for check in read_checks(iter([brief]))] == ["brief"]
    mapping: Mapping[str, Any] = {"right": "a", "short": brief}
    assert [check.name for check in read_checks(mapping)] == ["right", "short"]


async def asynchronous(answer: str) -> bool:
    return True


class Asynchronous:
    async def __call__(self, answer: str) -> bool:
        return True


@pytest.mark.parametrize(
    "checks", [[], {}, None, 5, [5], {"a": 5}, {"": len}, {3: len}, b"a"], ids=repr
)
def test_invalid_checks(checks: Any) -> None:
    with pytest.raises(RequestError):
        read_checks(checks)


@pytest.mark.parametrize("check", [asynchronous, Asynchronous()], ids=["function", "object"])
def test_async_functions_are_refused(check: Any) -> None:
    with pytest.raises(RequestError, match="not an async one"):
        read_checks([check])


def positional(answer: str, row: Any, /) -> Any:
    return row


def named_otherwise(answer: str, where: Any) -> Any:
    return where


def keyword(answer: str, *, row: Any) -> Any:
    return row


def after_another(answer: str, strict: bool = True, row: Any = None) -> Any:
    return strict and row


@pytest.mark.parametrize("check", [positional, named_otherwise, keyword, after_another])
def test_functions_that_take_the_row(check: Any) -> None:
    row = {"price": 5}
    read = one(check)
    assert read.reads_row
    assert read.judge("a", row) is row


def with_a_default(answer: str, strict: bool = True) -> bool:
    return strict


def with_the_rest(answer: str, *others: Any) -> bool:
    return not others


@pytest.mark.parametrize("check", [with_a_default, with_the_rest, brief, len, Longer(0)])
def test_functions_that_do_not(check: Any) -> None:
    read = one(check)
    assert not read.reads_row
    assert read.judge("a", {"price": 5}) in (True, 1)


# -- texts ----------------------------------------------------------------------------------------


def test_exact() -> None:
    assert judged("Yes", "Yes", " Yes\n", "yes", "Yes.") == [True, True, False, False]
    assert judged(exact("Straße", ignore_case=True), "STRASSE", "Strase") == [True, False]
    column = exact(column="right")
    assert column.judge("42", {"right": 42})
    assert not column.judge("42", {"right": "43"})
    assert judged("", "", "  ", "a") == [True, True, False]


def test_contains() -> None:
    assert judged(contains("NVDA", "up"), "NVDA is up", "NVDA is down", "nvda is up") == [
        True,
        False,
        False,
    ]
    assert judged(contains("nvda", ignore_case=True), "NVDA") == [True]
    column = contains(column="ticker")
    assert column.columns == ("ticker",)
    assert column.judge("NVDA is up", {"ticker": "NVDA"})
    with pytest.raises(ValueError, match="is empty"):
        column.judge("NVDA", {"ticker": ""})


def test_regex() -> None:
    assert judged(re.compile("^b", re.MULTILINE), "a\nb", "ab") == [True, False]
    assert judged(regex(r"\bup\b", flags=re.IGNORECASE), "It is UP.", "UPPER") == [True, False]
    column = regex(column="form")
    assert column.judge("a1", {"form": r"[a-z]\d"})
    with pytest.raises(re.error):
        column.judge("a1", {"form": "("})


@pytest.mark.parametrize("make", [exact, contains, regex, json_schema])
def test_expected_value_or_column(make: Any) -> None:
    for arguments, keywords in (((), {}), (("a",), {"column": "b"})):
        with pytest.raises(RequestError, match="takes the expected value, or column="):
            make(*arguments, **keywords)
    with pytest.raises(ValueError, match="no value is expected in column 'b'"):
        make(column="b").judge("a", {"b": None})


def test_invalid_expected_values() -> None:
    with pytest.raises(RequestError, match="empty text"):
        contains("a", "")
    with pytest.raises(RequestError, match="The expression cannot be used"):
        regex("(")
    with pytest.raises(RequestError, match="The expression cannot be used"):
        regex(re.compile("a"), flags=re.IGNORECASE)
    with pytest.raises(RequestError, match="is one of bytes"):
        one(re.compile(b"a"))


# -- forms ----------------------------------------------------------------------------------------


def test_a_schema() -> None:
    fenced = '```json\n{"price": 1}\n```'
    answers = ('{"price": 177.8}', fenced, '{"price": -1}', "{}", "null", "no JSON", "", "[" * 9999)
    assert judged(SCHEMA, *answers) == [True, True, *[False] * 6]
    assert judged(json_schema({"type": "null"}), "null", "1") == [True, False]
    column = json_schema(column="form")
    for form in (SCHEMA, json.dumps(SCHEMA)):
        assert column.judge('{"price": 1}', {"form": form})
        assert not column.judge("{}", {"form": form})
    with pytest.raises(ValueError, match="holds no JSON schema, but list"):
        column.judge("{}", {"form": "[]"})


def test_a_schema_that_is_none() -> None:
    with pytest.raises(RequestError, match="The JSON schema is not well formed"):
        json_schema({"type": "objekt"})
    with pytest.raises(RequestError, match="gives no JSON schema"):
        json_schema(Longer)


def test_a_reference_is_not_fetched() -> None:
    """The tests allow no connection beyond this machine, and this must not try one at all."""
    inside = {"$ref": "#/$defs/n", "$defs": {"n": {"type": "number"}}}
    assert judged(inside, "1", '"a"') == [True, False]
    outside = json_schema({"$ref": "http://127.0.0.1:9/schema.json"})
    with pytest.raises(Exception, match="Unresolvable"):
        outside.judge("1", {})


def test_types() -> None:
    assert judged(Quote, '{"ticker": "NVDA", "price": 1}', '{"ticker": "NVDA"}', "1") == [
        True,
        False,
        False,
    ]
    assert judged(Pair, '{"first": 1, "second": 2}', '{"first": "a"}') == [True, False]
    assert judged(list[int], "[1, 2]", '["a"]') == [True, False]

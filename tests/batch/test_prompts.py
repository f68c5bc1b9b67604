"""From a table, or whatever else, to what each row asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pytest
from pydantic import BaseModel

from agentnb.batch.items import InvalidRow, PromptLike, RowPrompt, as_items, is_missing, prompts
from agentnb.errors import RequestError


@dataclass
class Pair:
    ticker: str
    other: str


class Model(BaseModel):
    ticker: str
    other: str


class Named(NamedTuple):
    ticker: str
    other: str


def asked(data: Any, prompt: PromptLike = None, **options: Any) -> list[str]:
    """The prompts of all rows; of those that ask nothing, the code of why."""
    found = prompts(as_items(data), prompt, **options)
    return [each.prompt if isinstance(each, RowPrompt) else each.code for each in found]


COMPARED = ["Compare NVDA with AMD", "Compare MU with INTC"]
ROWS = [("NVDA", "AMD"), ("MU", "INTC")]
COMPARE = "Compare {{ticker}} with {{ other }}"


@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame(ROWS, columns=["ticker", "other"]),
        pl.DataFrame({"ticker": ["NVDA", "MU"], "other": ["AMD", "INTC"]}),
        {"ticker": ["NVDA", "MU"], "other": ["AMD", "INTC"]},
        [{"ticker": a, "other": b} for a, b in ROWS],
        ({"ticker": a, "other": b, "more": 1} for a, b in ROWS),
        [Pair(*row) for row in ROWS],
        [Model(ticker=a, other=b) for a, b in ROWS],
        [Named(*row) for row in ROWS],
    ],
    ids=["pandas", "polars", "columns", "mappings", "lazy", "dataclasses", "models", "named"],
)
def test_names_are_columns_keys_and_fields(data: Any) -> None:
    assert asked(data, COMPARE) == COMPARED


class TestNames:
    def test_a_plain_item_is_called_item(self) -> None:
        assert asked(["a", 2, 2.5], "{{item}}!") == ["a!", "2!", "2.5!"]

    def test_a_series_by_its_name_too(self) -> None:
        series = pd.Series(["a", "b"], name="letter")
        assert asked(series, "{{letter}}{{item}}") == ["aa", "bb"]
        assert asked(pd.Series(["a"]), "{{item}}") == ["a"]

    def test_a_tuples_places(self) -> None:
        assert asked(ROWS, "{{0}}/{{1}}") == ["NVDA/AMD", "MU/INTC"]

    def test_columns_whose_names_are_no_text(self) -> None:
        frame = pd.DataFrame([[1, 2]], columns=[2024, ("a", "b")])
        assert asked(frame, "{{2024}} {{a.b}}") == ["1 2"]
        levels = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("x", 1), ("x", 2)]))
        assert asked(levels, "{{x.1}}-{{x.2}}") == ["1-2"]

    def test_an_unknown_name_raises_at_once(self) -> None:
        with pytest.raises(RequestError, match=r"\{\{tikcer\}\}, \{\{x\}\}; .* ticker, other"):
            prompts(as_items(pd.DataFrame(columns=["ticker", "other"])), "{{tikcer}} {{x}} {{x}}")
        with pytest.raises(RequestError, match="each row has item"):
            prompts(as_items(["a"]), "{{ticker}}")

    def test_a_long_list_of_names_is_cut(self) -> None:
        with pytest.raises(RequestError, match=r"c0, .* and 30 more"):
            prompts(as_items(pd.DataFrame(columns=[f"c{n}" for n in range(50)])), "{{x}}")

    def test_two_columns_of_one_name(self) -> None:
        frame = pd.DataFrame([[1, 2, 3]], columns=["a", "a", "b"])
        assert asked(frame, "{{b}}") == ["3"]
        with pytest.raises(RequestError, match="2 columns are called 'a'"):
            asked(frame, "{{a}}")

    def test_a_later_row_without_the_name_is_not_sent(self) -> None:
        assert asked([{"a": 1}, {"b": 2}, {"a": 3}], "{{a}}") == ["1", "unknown_name", "3"]


class TestTemplates:
    def test_values_are_put_in_once(self) -> None:
        assert asked([{"a": "{{b}}", "b": "{{a}}"}], "{{a}}{{b}}") == ["{{b}}{{a}}"]

    def test_nothing_is_evaluated(self) -> None:
        with pytest.raises(RequestError):
            asked([{"a": "x"}], "{{a.upper()}}")
        with pytest.raises(RequestError):
            asked([1], "{{item + 1}}")

    def test_single_braces_stay(self) -> None:
        assert asked(["x"], 'say {"a": {"b": "{{item}}"}}') == ['say {"a": {"b": "x"}}']

    def test_without_names_all_prompts_are_equal(self) -> None:
        assert asked([1, 2], "Say hello") == ["Say hello"] * 2
        assert asked(pd.DataFrame({"a": [1, 2]}), "Say hello") == ["Say hello"] * 2

    def test_whole_numbers_beside_floats_stay_whole(self) -> None:
        frame = pd.DataFrame({"n": [1, 2], "x": [0.5, 1.5]})
        assert asked(frame, "{{n}} {{x}}") == ["1 0.5", "2 1.5"]
        assert asked(frame, lambda row: f"{row['n']} {row.x}") == ["1 0.5", "2 1.5"]


class TestMissing:
    @pytest.mark.parametrize(
        "value", [None, float("nan"), np.float64("nan"), pd.NA, pd.NaT, Decimal("NaN")], ids=repr
    )
    def test_no_prompt_has_a_hole(self, value: Any) -> None:
        assert is_missing(value)
        assert asked([{"a": "x", "b": value}], "{{a}} {{b}}") == ["missing_value"]
        assert asked([{"a": "x", "b": value}], "{{a}}") == ["x"]

    @pytest.mark.parametrize("value", ["", "nan", 0, False, [], np.array([1.0]), pd.Series([1])])
    def test_present_values(self, value: Any) -> None:
        assert not is_missing(value)

    def test_in_columns(self) -> None:
        frame = pd.DataFrame({"a": ["x", None], "n": pd.array([None, 2], dtype="Int64")})
        assert asked(frame, "{{a}}") == ["x", "missing_value"]
        assert asked(frame, "{{n}}") == ["missing_value", "2"]


class TestItemsAsPrompts:
    def test_texts(self) -> None:
        assert asked(["a", "b"]) == ["a", "b"]
        assert asked(pd.Series(["a", "b"], name="question")) == ["a", "b"]
        assert asked(pd.DataFrame({"question": ["a", None]})) == ["a", "missing_value"]

    def test_a_prompt_that_is_no_text_is_not_sent(self) -> None:
        assert asked(["a", 1, None]) == ["a", "prompt", "missing_value"]

    def test_of_several_columns_none_is_the_prompt(self) -> None:
        with pytest.raises(RequestError, match=r"a, b, and nothing says what to ask.*\{\{a\}\}"):
            asked(pd.DataFrame({"a": ["x"], "b": ["y"]}))


class TestCallables:
    def test_they_are_given_the_item(self) -> None:
        assert asked([Pair("a", "b")], lambda pair: pair.other) == ["b"]

    def test_of_a_table_a_series(self) -> None:
        frame = pd.DataFrame({"a": [1], "b": ["x"]}, index=["label"])
        assert asked(frame, lambda row: f"{row.name}: {row['a']}{row.b}") == ["label: 1x"]

    def test_one_that_fails_costs_its_row_only(self) -> None:
        found = list(prompts(as_items(["1", "x", "3"]), lambda item: f"{int(item)}"))
        assert [isinstance(each, RowPrompt) for each in found] == [True, False, True]
        failed = found[1]
        assert isinstance(failed, InvalidRow)
        assert isinstance(failed.cause, ValueError)
        assert failed.code == "prompt"
        assert "ValueError: invalid literal" in failed.message

    def test_one_that_gives_no_text(self) -> None:
        number: Any = len
        assert asked(["abc"], number) == ["prompt"]

    def test_media_of_each_row(self) -> None:
        items = as_items([{"q": "see", "file": b"1"}, {"q": "look", "file": None}])
        found = list(prompts(items, "{{q}}", lambda row: row["file"]))
        assert [(e.prompt, e.media) for e in found if isinstance(e, RowPrompt)] == [
            ("see", (b"1",)),
            ("look", ()),
        ]
        frame = pd.DataFrame({"q": ["see"], "file": [b"1"]})
        (one,) = prompts(as_items(frame), "{{q}}", lambda row: [row["file"], "https://x.example"])
        assert isinstance(one, RowPrompt)
        assert one.media == (b"1", "https://x.example")


class TestInputs:
    def test_nothing_is_taken_before_it_is_needed(self) -> None:
        taken: list[int] = []

        def source() -> Iterator[dict[str, int]]:
            for number in range(10):
                taken.append(number)
                yield {"n": number}

        items = as_items(source())
        found = prompts(items, "{{n}}")
        # One, by which the template is checked.
        assert taken == [0]
        next(found)
        next(found)
        assert taken == [0, 1]
        assert list(items.frame()["n"]) == [0, 1]

    @pytest.mark.parametrize("data", ["one prompt", b"bytes", Model(ticker="a", other="b"), 5])
    def test_invalid_data(self, data: Any) -> None:
        with pytest.raises(RequestError):
            as_items(data)

    def test_an_asynchronous_iterable(self) -> None:
        async def source() -> Any:
            yield "a"

        with pytest.raises(RequestError, match="Collect it first"):
            as_items(source())

    def test_columns_of_different_lengths(self) -> None:
        with pytest.raises(RequestError, match="make none"):
            as_items({"a": [1, 2], "b": [1]})

    def test_nothing_at_all(self) -> None:
        assert asked([], "{{whatever}}") == []
        assert asked(pd.DataFrame({"a": []}), "{{a}}") == []
        assert as_items(iter(())).frame().empty

    def test_a_source_that_breaks_says_so_itself(self) -> None:
        def source() -> Iterator[str]:
            yield "a"
            raise OSError("the disk is gone")

        with pytest.raises(OSError, match="the disk is gone"):
            asked(source())

"""A table in, the same table with its answers out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import BaseModel

import agentnb
from agentnb import BatchError, RequestError, RunError, UnsupportedError, history
from agentnb.batch.result_table import RESULT_COLUMNS
from agentnb.event.types import ApprovalRequested, Event, RunFailed, TextDelta, Usage, UsageReported
from agentnb.platforms.local import FunctionContext
from agentnb.run.run import Run
from agentnb.sandbox import Sandbox


async def shout(prompt: str) -> str:
    return prompt.upper()


def mapped(function: Any, data: Any, prompt: Any = None, **options: Any) -> pd.DataFrame:
    return agentnb.agent(function).map(data, prompt, progress=False, **options)


def dtypes(table: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in table.dtypes.items()}


class TestTables:
    def test_answers_stand_beside_their_rows(self, echo: agentnb.Agent) -> None:
        frame = pd.DataFrame({"ticker": list("dcba"), "n": range(4)}, index=list("wxyz"))
        table = echo.map(frame, "Tell {{ticker}}{{n}}", concurrency=3, progress=False)
        assert list(table.columns) == ["ticker", "n", *RESULT_COLUMNS]
        assert list(table.index) == list("wxyz")
        assert list(table["answer"]) == ["Tell d0", "Tell c1", "Tell b2", "Tell a3"]
        assert set(table["status"]) == {"completed"}
        assert list(table["attempts"]) == [1] * 4
        assert table["run_id"].is_unique
        assert table["session_id"].is_unique
        assert (table["total_tokens"] == table["input_tokens"] + table["output_tokens"]).all()
        assert (table["finished_at"] - table["started_at"] == table["duration"]).all()
        assert list(frame.columns) == ["ticker", "n"]

    def test_dtypes_are_the_same_whatever_came(self, echo: agentnb.Agent) -> None:
        for data in (["hello"], [], ['{"error_after": 0}'], pd.DataFrame({"item": []})):
            table = echo.map(data, "{{item}}", progress=False)
            found = dtypes(table)
            assert {name: found[name] for name in RESULT_COLUMNS} == RESULT_COLUMNS
            assert len(table) == len(data)

    def test_each_row_is_a_run_of_the_history(self) -> None:
        table = mapped(shout, ["a", "b"])
        runs = {run.id: run for run in history.recent_runs()}
        assert [runs[run_id].prompt for run_id in table["run_id"]] == ["a", "b"]
        assert [runs[run_id].text for run_id in table["run_id"]] == ["A", "B"]

    @pytest.mark.parametrize(
        "index",
        [
            pd.Index(["same", "same", "other"], name="label"),
            pd.MultiIndex.from_tuples([("a", 1), ("a", 1), ("b", 2)], names=["x", "y"]),
            pd.date_range("2026-01-01", periods=3),
            pd.Index([None, 2.5, None]),
        ],
        ids=["twice", "levels", "dates", "missing"],
    )
    def test_any_index(self, index: pd.Index[Any]) -> None:
        frame = pd.DataFrame({"q": ["a", "b", "c"]}, index=index)
        table = mapped(shout, frame, "{{q}}")
        assert table.index.equals(index)
        assert table.index.names == index.names
        assert list(table["answer"]) == ["A", "B", "C"]

    def test_columns_with_levels(self) -> None:
        columns = pd.MultiIndex.from_tuples([("q", "de"), ("q", "en")], names=["what", "how"])
        table = mapped(shout, pd.DataFrame([["a", "b"]], columns=columns), "{{q.en}}")
        assert list(table["answer", ""]) == ["B"]
        assert table.columns.names == ["what", "how"]
        assert list(table["q", "de"]) == ["a"]

    def test_a_series_and_a_list(self) -> None:
        series = pd.Series(["a", "b"], index=[7, 7], name="question")
        table = mapped(shout, series)
        assert list(table["question"]) == ["a", "b"]
        assert list(table.index) == [7, 7]
        assert list(mapped(shout, ["a"])["item"]) == ["a"]

    def test_items_of_several_kinds(self) -> None:
        data = ({"n": n, "of": {"deep": n}} for n in range(2))
        table = mapped(shout, data, "x{{n}}")
        assert list(table["of"]) == [{"deep": 0}, {"deep": 1}]
        assert list(table["answer"]) == ["X0", "X1"]

    def test_a_column_of_that_name_is_refused(self) -> None:
        calls: list[str] = []

        async def note(prompt: str) -> str:
            calls.append(prompt)
            return prompt

        frame = pd.DataFrame({"q": ["a"], "status": ["old"], "error": [1]})
        with pytest.raises(RequestError, match=r"'status', 'error' already.*prefix="):
            mapped(note, frame, "{{q}}")
        with pytest.raises(RequestError, match="prefix="):
            mapped(note, iter([{"q": "a", "answer": "old"}]), "{{q}}")
        assert calls == []
        table = mapped(note, frame, "{{q}}", prefix="new_")
        assert list(table.columns) == [
            "q",
            "status",
            "error",
            *(f"new_{n}" for n in RESULT_COLUMNS),
        ]
        assert list(table["new_answer"]) == ["a"]


class View(BaseModel):
    ticker: str
    price: float
    tags: list[str] = []


class TestStructured:
    def test_fields_become_columns(self) -> None:
        async def view(prompt: str, context: FunctionContext) -> str:
            assert context.output_schema is not None
            return f'{{"ticker": "{prompt}", "price": {len(prompt)}, "tags": ["x"]}}'

        table = mapped(view, ["NVDA", "MU"], output_type=View)
        assert list(table.columns)[:6] == [
            *("item", "answer", "status", "parsed_ticker", "parsed_price", "parsed_tags"),
        ]
        assert list(table["parsed_ticker"]) == ["NVDA", "MU"]
        assert list(table["parsed_price"]) == [4.0, 2.0]
        assert list(table["parsed_tags"]) == [["x"], ["x"]]
        assert dtypes(table)["parsed_price"] == "Float64"

    def test_an_answer_of_another_form_is_a_failed_row(self) -> None:
        said: dict[str, int] = {}

        async def view(prompt: str) -> str:
            said[prompt] = said.get(prompt, 0) + 1
            if prompt == "never" or (prompt == "later" and said[prompt] == 1):
                return "I cannot say."
            return '{"ticker": "X", "price": 1}'

        table = mapped(view, ["at once", "later", "never"], output_type=View, retries=1)
        assert list(table["status"]) == ["completed", "completed", "failed"]
        assert list(table["attempts"]) == [1, 2, 2]
        assert table["error_code"][2] == "output"
        assert "invalid JSON" in table["error"][2]
        assert table["answer"][2] == "I cannot say."
        assert table["parsed_ticker"].isna().tolist() == [False, False, True]

    def test_anything_else_is_parsed(self) -> None:
        async def numbers(prompt: str) -> str:
            return prompt

        table = mapped(numbers, ["[1, 2]", "null"], output_type=list[int] | None)
        assert table["parsed"][0] == [1, 2]


class TestFailures:
    async def fail(self, prompt: str) -> AsyncIterator[str]:
        yield f"so far {prompt}"
        if prompt == "bad":
            raise ValueError("it broke")

    def test_failed_rows_keep_partial_results(self) -> None:
        table = mapped(self.fail, ["good", "bad", "good"])
        assert list(table["status"]) == ["completed", "failed", "completed"]
        assert list(table["answer"]) == ["so far good", "so far bad", "so far good"]
        assert "it broke" in table["error"][1]
        assert table["error_code"][1] == "ValueError"
        assert table["error"].isna().tolist() == [True, False, True]

    def test_a_row_that_asks_nothing_is_a_failed_one(self) -> None:
        table = mapped(shout, pd.DataFrame({"a": ["x", None, "z"]}), "{{a}}")
        assert list(table["status"]) == ["completed", "failed", "completed"]
        assert list(table["attempts"]) == [1, 0, 1]
        assert table["error_code"][1] == "missing_value"
        assert table["run_id"].isna().tolist() == [False, True, False]

    def test_an_empty_prompt_costs_its_row_only(self) -> None:
        table = mapped(shout, ["a", "  ", "c"])
        assert list(table["status"]) == ["completed", "failed", "completed"]
        assert "empty" in table["error"][1]

    def test_retryable_failures_are_retried(self) -> None:
        seen: dict[str, int] = {}

        async def flaky(prompt: str) -> AsyncIterator[Event]:
            seen[prompt] = seen.get(prompt, 0) + 1
            yield UsageReported(usage=Usage(cost_usd=0.5))
            if seen[prompt] <= int(prompt):
                yield RunFailed(message="overloaded", code="overloaded")

        table = mapped(flaky, ["0", "1", "2", "3"], retries=2)
        assert list(table["status"]) == ["completed"] * 3 + ["failed"]
        assert list(table["attempts"]) == [1, 2, 3, 3]

    def test_permanent_failures_are_not_retried(self, sandbox: Sandbox) -> None:
        wrong = agentnb.agent(
            "operativus:echo", base_url=sandbox.base_url("operativus"), api_key="not-the-key-1"
        )
        table = wrong.map(["a"], retries=3, progress=False)
        assert list(table["attempts"]) == [1]
        assert table["error_code"][0] == "AuthenticationError"

    def test_the_first_may_end_the_map(self) -> None:
        begun = asyncio.Event()

        async def some(prompt: str) -> AsyncIterator[str]:
            if prompt == "bad":
                await begun.wait()
                raise ValueError("it broke")
            if prompt == "slow":
                yield "begun"
                begun.set()
                await asyncio.sleep(600)
            yield "done"

        data = pd.DataFrame({"q": ["good", "bad", "slow", "later"]}, index=list("abcd"))
        with pytest.raises(
            BatchError, match=r"Row 'b' failed: .*it broke.* checkpoint='"
        ) as raised:
            mapped(some, data, "{{q}}", concurrency=2, on_error="raise")
        error = raised.value
        assert isinstance(error, RunError)
        assert error.run is not None
        assert error.run.prompt == "bad"
        assert error.__cause__ is error.run.exception
        assert list(error.table.index) == list("abcd")
        assert error.table["status"][:3].tolist() == ["completed", "failed", "cancelled"]
        assert error.table["status"].isna().tolist() == [False, False, False, True]
        assert error.table["answer"]["c"] == "begun"
        last = agentnb.last_map()
        assert last is not None
        pd.testing.assert_frame_equal(last, error.table)

    def test_a_row_that_was_not_sent_may_end_it_too(self) -> None:
        def number(item: str) -> str:
            return str(int(item))

        with pytest.raises(BatchError, match="Row 1 failed") as raised:
            mapped(shout, ["1", "x", "3"], number, on_error="raise")
        assert raised.value.run is None
        assert isinstance(raised.value.__cause__, ValueError)

    def test_a_source_that_breaks_ends_the_map(self) -> None:
        def source() -> Iterator[str]:
            yield "a"
            raise OSError("the disk is gone")

        with pytest.raises(OSError, match="the disk is gone"):
            mapped(shout, source())
        last = agentnb.last_map()
        assert last is not None
        assert list(last["item"]) == ["a"]

    def test_one_that_waits_for_a_decision_is_paused(self) -> None:
        async def careful(prompt: str) -> AsyncIterator[Event]:
            yield TextDelta("may I?")
            yield ApprovalRequested(approval_id="1", message="sure?")

        table = mapped(careful, ["a"])
        assert list(table["status"]) == ["paused"]
        assert list(table["answer"]) == ["may I?"]
        run = history.last_run()
        assert isinstance(run, Run)
        run.cancel()


class TestArguments:
    @pytest.mark.parametrize(
        "options",
        [
            {"concurrency": 0},
            {"concurrency": 1.5},
            {"concurrency": True},
            {"rpm": 0},
            {"rpm": float("nan")},
            {"on_error": "ignore"},
            {"retries": -1},
            {"session": "s1"},
            {"timeout": -1},
            {"media": ["no such file"]},
        ],
        ids=str,
    )
    def test_invalid_options_raise_at_once(self, options: dict[str, Any]) -> None:
        calls: list[str] = []

        async def note(prompt: str) -> str:
            calls.append(prompt)
            return prompt

        with pytest.raises(RequestError):
            mapped(note, ["a", "b"], **options)
        assert calls == []

    def test_unsupported_options(self, echo: agentnb.Agent) -> None:
        with pytest.raises(UnsupportedError):
            echo.map(["a"], output_type=View, progress=False)

    def test_options_are_those_of_a_run(self) -> None:
        async def tell(prompt: str, context: FunctionContext) -> str:
            return f"{context.params['tone']} {len(context.history)} {len(context.media)}"

        before: list[Any] = [{"role": "user", "content": "hi"}]
        table = mapped(tell, ["a"], tone="dry", history=before, media=[b"1", b"2"])
        assert list(table["answer"]) == ["dry 1 2"]

    def test_media_of_each_row(self, tmp_path: Path) -> None:
        async def size(prompt: str, context: FunctionContext) -> str:
            return str([len(media.data or b"") for media in context.media])

        def attached(row: dict[str, Any]) -> Any:
            return row["file"]

        data: list[dict[str, Any]]
        data = [{"q": "a", "file": b"1"}, {"q": "b", "file": b"22"}, {"q": "c", "file": "gone"}]
        table = mapped(size, data, "{{q}}", media=attached)
        assert list(table["answer"][:2]) == ["[1]", "[2]"]
        assert table["status"][2] == "failed"
        assert "'gone' is neither a file nor an address" in table["error"][2]


def test_nothing_was_mapped_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentnb.batch.mapping._last", None)
    assert agentnb.last_map() is None


def test_rows_are_read_a_bounded_number_ahead() -> None:
    read: list[str] = []
    ahead: list[int] = []

    def numbers() -> Iterator[str]:
        for number in range(60):
            read.append(str(number))
            yield str(number)

    async def answer(prompt: str) -> str:
        ahead.append(len(read) - int(prompt))
        return prompt

    table = mapped(answer, numbers(), concurrency=2)
    assert list(table["answer"]) == [str(number) for number in range(60)]
    # Two run, two wait in the queue, and one waits for room there.
    assert max(ahead) <= 6

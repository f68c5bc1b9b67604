"""Every check on every answer, of tables and of runs."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import agentnb
from agentnb import RequestError
from agentnb.comparison import ask_all
from agentnb.evaluation import evaluate, exact, json_schema, tolerance
from agentnb.platforms.base import RemoteRun
from agentnb.tables.run_list import RunList


def table() -> pd.DataFrame:
    """What a map returns, of rows of every kind."""
    return pd.DataFrame(
        {
            "ticker": ["NVDA", "AMD", "INTC", "ARM", "QCOM", "MU"],
            "price": [177.8, 203.8, 34.5, 130.0, 160.0, 200.0],
            "answer": ["$178", "204 or 205", "no idea", "13", None, None],
            "status": pd.Categorical(["completed"] * 3 + ["truncated", "failed", None]),
        },
        index=list("abcdef"),
    )


def always(verdict: Any) -> Callable[[str], Any]:
    return lambda answer: verdict


def near(**options: Any) -> Any:
    return tolerance(column="price", rel=0.02, **options)


def values(column: pd.Series[Any]) -> list[Any]:
    return [None if pd.isna(value) else value for value in column]


# -- the table ------------------------------------------------------------------------------------


def test_verdicts_beside_the_input() -> None:
    given = table()
    before = given.copy(deep=True)
    found = evaluate(given, {"near": near(), "length": len, "known": "no idea"})
    judged = found.table
    assert list(judged.columns) == [*given.columns, "near", "near_error", "length", "known"]
    assert list(judged.index) == list("abcdef")
    pd.testing.assert_frame_equal(judged[list(given.columns)], before)
    pd.testing.assert_frame_equal(given, before)
    assert judged.dtypes[["near", "near_error", "length", "known"]].map(str).tolist() == [
        "boolean",
        "string",
        "Float64",
        "boolean",
    ]
    # One that raised is missing, one that was cut off fails whatever there is of its answer, and
    # one that was not begun does not count.
    assert values(judged["near"]) == [True, None, False, False, False, None]
    assert values(judged["length"]) == [4.0, 10.0, 7.0, 0.0, 0.0, None]
    assert values(judged["known"]) == [False, False, True, False, False, None]
    assert values(judged["near_error"]) == [
        None,
        'ValueError: 2 different numbers; which="first", "last" or "any" chooses',
        *[None] * 4,
    ]
    assert found.checks == ("near", "length", "known")
    assert len(found) == 6


def test_the_table_is_not_changed_from_outside() -> None:
    found = evaluate(table(), near(which="last"))
    mine = found.table
    mine["more"] = 1
    del mine["tolerance"]
    assert "tolerance" in found.table
    assert "more" not in found.table


def test_failed_runs_may_be_skipped() -> None:
    found = evaluate(table(), [near(which="first"), len], failed="skip")
    assert values(found.table["tolerance"]) == [True, True, False, None, None, None]
    summary = found.summary()
    assert summary["n"].tolist() == [3, 3]
    assert summary["left_out"].tolist() == [3, 3]
    counted = evaluate(table(), [near(which="first"), len]).summary()
    assert counted["n"].tolist() == [5, 5]
    assert counted["left_out"].tolist() == [1, 1]
    assert counted["failed_runs"].tolist() == [2, 2]


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ("completed", True),
        ("failed", False),
        ("cancelled", False),
        ("truncated", False),
        ("interrupted", False),
        ("queued", None),
        ("running", None),
        ("paused", None),
        # Of somebody else's column.
        ("shipped", True),
    ],
)
def test_status(status: str, verdict: bool | None) -> None:
    found = evaluate(pd.DataFrame({"answer": ["a"], "status": [status]}), "a")
    assert values(found.table["exact"]) == [verdict]


def test_a_row_without_an_answer_fails() -> None:
    answers = pd.DataFrame({"answer": ["", None, float("nan"), pd.NA, "a"]}, dtype=object)
    assert values(evaluate(answers, str.isalpha).table["isalpha"]) == [False] * 4 + [True]
    # An empty one is judged, where a run completed with it.
    assert values(evaluate(answers, "").table["exact"]) == [True, False, False, False, False]


def test_no_rows() -> None:
    found = evaluate(table()[:0], {"near": near(), "same": "a"})
    assert found.table.dtypes["near"] == "boolean"
    summary = found.summary()
    assert summary["n"].tolist() == [0, 0]
    assert summary["mean"].isna().all()
    assert "0 rows" in repr(found)


# -- which column ---------------------------------------------------------------------------------


def test_the_column_of_the_answers() -> None:
    frame = pd.DataFrame({"text": ["a"], "answer": ["b"], "note": ["c"], "score": [3]})
    assert values(evaluate(frame, "b").table["exact"]) == [True]
    assert values(evaluate(frame[["text", "note"]], "a").table["exact"]) == [True]
    assert values(evaluate(frame, "c", answer="note").table["exact"]) == [True]
    assert values(evaluate(frame, "3", answer="score").table["exact"]) == [True]
    with pytest.raises(RequestError, match=r"no column 'answer' or 'text'.*There are: note, score"):
        evaluate(frame[["note", "score"]], "a")
    with pytest.raises(RequestError, match="no column 'nope'"):
        evaluate(frame, "a", answer="nope")


def test_parsed_answers_are_json_again() -> None:
    frame = pd.DataFrame({"parsed": [{"price": 1}, {"price": "a"}, [1]]})
    schema = json_schema({"properties": {"price": {"type": "number"}}, "type": "object"})
    assert values(evaluate(frame, schema, answer="parsed").table["json_schema"]) == [
        True,
        False,
        False,
    ]


def test_the_status_beside_a_prefixed_answer() -> None:
    frame = pd.DataFrame(
        {"status": ["failed", "new"], "b_answer": ["a", "a"], "b_status": ["completed", "failed"]}
    )
    assert values(evaluate(frame, "a", answer="b_answer").table["exact"]) == [True, False]


def test_columns_that_clash() -> None:
    frame = pd.DataFrame({"answer": ["a"], "exact": ["b"], "right_error": ["c"]})
    with pytest.raises(RequestError, match=r"'exact' already\. Name the checks otherwise"):
        evaluate(frame, "a")
    with pytest.raises(RequestError, match="'right_error' already"):
        evaluate(frame, {"right": "a"})
    with pytest.raises(RequestError, match="'a_error' is the name of a check, and of the errors"):
        evaluate(frame, {"a": "a", "a_error": "a"})
    assert evaluate(frame, {"same": "a"}).checks == ("same",)
    with pytest.raises(RequestError, match="several columns 'answer'"):
        evaluate(pd.DataFrame([["a", "b"]], columns=["answer", "answer"]), "a")
    with pytest.raises(RequestError, match="names of one level"):
        evaluate(pd.DataFrame([["a"]], columns=pd.MultiIndex.from_tuples([("answer", "")])), "a")


def test_a_column_that_a_check_needs() -> None:
    with pytest.raises(RequestError, match=r"needs the column 'target'\. There are: ticker, price"):
        evaluate(table(), exact(column="target"))


# -- what checks return ---------------------------------------------------------------------------


def test_functions_get_the_answer_and_the_row() -> None:
    seen: list[Any] = []

    def look(answer: str, row: Any) -> bool:
        seen.append((answer, dict(row)))
        return row["ticker"] == "NVDA"

    found = evaluate(table()[:2], look)
    assert values(found.table["look"]) == [True, False]
    first = {"ticker": "NVDA", "price": 177.8, "answer": "$178", "status": "completed"}
    assert seen[0] == ("$178", first)


@pytest.mark.parametrize(
    ("returned", "verdict", "dtype"),
    [
        (True, True, "boolean"),
        (np.True_, True, "boolean"),
        (0.5, 0.5, "Float64"),
        (1, 1.0, "Float64"),
        (np.float32(0.5), 0.5, "Float64"),
        (np.int64(3), 3.0, "Float64"),
        (Decimal("0.5"), 0.5, "Float64"),
    ],
    ids=repr,
)
def test_verdicts_and_scores(returned: Any, verdict: Any, dtype: str) -> None:
    judged = evaluate(pd.DataFrame({"answer": ["a"]}), {"c": always(returned)}).table
    assert values(judged["c"]) == [verdict]
    assert str(judged["c"].dtype) == dtype


@pytest.mark.parametrize(
    "returned",
    [None, "yes", [True], float("nan"), float("inf"), 10**400, np.array([1, 2])],
    ids=repr,
)
def test_invalid_verdicts(returned: Any) -> None:
    judged = evaluate(pd.DataFrame({"answer": ["a"]}), {"c": always(returned)}).table
    assert values(judged["c"]) == [None]
    assert judged["c_error"].str.contains("Error: ").tolist() == [True]


def test_a_score_for_any_row_makes_them_scores() -> None:
    frame = pd.DataFrame({"answer": ["a", "bb", "ccc"]})

    def c(answer: str) -> float:
        return 0.5 if answer == "bb" else answer == "a"

    judged = evaluate(frame, c).table
    assert values(judged["c"]) == [1.0, 0.5, 0.0]


def test_a_check_that_raises_is_an_error_of_its_row() -> None:
    def picky(answer: str) -> bool:
        if answer == "b":
            raise KeyError
        if answer == "c":
            raise ValueError("not\x1b[31m so\n" + "x" * 500)
        return True

    found = evaluate(pd.DataFrame({"answer": list("abcd")}), picky)
    assert values(found.table["picky"]) == [True, None, None, True]
    _, bare, told, _ = found.table["picky_error"]
    assert bare == "KeyError"
    # On one line, without what acts on a terminal, and not endless.
    assert told.startswith("ValueError: not so xxx")
    assert len(told) == 200
    assert found.summary()["errors"].tolist() == [2]
    assert found.summary()["n"].tolist() == [2]


def test_interrupts_are_raised() -> None:
    def stopped(answer: str) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(pd.DataFrame({"answer": ["a"]}), stopped)


def test_an_async_function_in_disguise() -> None:
    async def asked(answer: str) -> bool:
        return True

    def c(answer: str) -> Any:
        return asked(answer)

    judged = evaluate(pd.DataFrame({"answer": ["a"]}), c).table
    assert judged["c_error"].tolist() == [
        "TypeError: a check is a plain function, not an async one"
    ]


# -- runs -----------------------------------------------------------------------------------------


def echo(prompt: str) -> str:
    if prompt == "fail":
        raise RuntimeError("out of order")
    return prompt


def test_runs() -> None:
    agent = agentnb.agent(echo)
    runs = [agent.run(prompt, check=False) for prompt in ("a", "fail", "b")]
    for given in (runs, tuple(runs), RunList(runs), iter(runs)):
        found = evaluate(given, "a")
        assert values(found.table["exact"]) == [True, False, False]
        assert found.table["prompt"].tolist() == ["a", "fail", "b"]
        assert found.summary().loc["exact", "failed_runs"] == 1
    assert values(evaluate(runs[0], "a").table["exact"]) == [True]
    assert len(evaluate([], "a")) == 0


def test_the_tables_of_maps() -> None:
    frame = pd.DataFrame({"word": ["a", "fail", "b"]}, index=["x", "y", "z"])
    agent = agentnb.agent(echo)
    first = agent.map(frame, "{{word}}", progress=False)
    # Beside the first one's answers and statuses.
    second = agent.map(first[["word", "answer", "status"]], "a", prefix="b_", progress=False)
    here = evaluate(first, exact(column="word"))
    other = evaluate(second, exact(column="word"), answer="b_answer")
    assert values(here.table["exact"]) == [True, False, True]
    assert values(other.table["exact"]) == [True, False, False]
    compared = here.compare(other)
    assert compared["paired"].all()
    assert compared["difference"].tolist() == pytest.approx([1 / 3])


def test_runs_of_a_platform() -> None:
    listed = [
        RemoteRun(id="r1", status="completed", output=None),
        RemoteRun(id="r2", status="running"),
    ]
    found = evaluate(RunList(listed, platform="seekr"), {"right": "a"})
    assert values(found.table["right"]) == [False, None]


def test_a_comparison() -> None:
    def shout(prompt: str) -> str:
        return prompt.upper()

    compared = ask_all([echo, shout], "a").wait()
    found = evaluate(compared, "a")
    assert found.table.index.tolist() == compared.labels
    assert values(found.table["exact"]) == [True, False]


def test_other_frames() -> None:
    found = evaluate(pl.DataFrame({"answer": ["a", "b"]}), "a")
    assert values(found.table["exact"]) == [True, False]


@pytest.mark.parametrize("given", [5, "text", None, ["a"], {"answer": ["a"]}], ids=repr)
def test_invalid_data(given: Any) -> None:
    with pytest.raises(RequestError, match="evaluate takes a table or runs"):
        evaluate(given, "a")


def test_failed_option() -> None:
    with pytest.raises(RequestError, match='it is "fail" or "skip"'):
        evaluate(table(), "a", failed="drop")  # pyright: ignore[reportArgumentType]

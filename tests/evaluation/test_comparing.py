"""Two evaluations side by side: which rows belong together, and what the difference is."""

from __future__ import annotations

import random
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentnb
from agentnb import RequestError
from agentnb.evaluation import Evaluation, evaluate
from agentnb.evaluation.differences import COMPARED_COLUMNS
from agentnb.evaluation.evaluation import SUMMARY_COLUMNS

#: Passed by both, by the first only, by the second only, by neither: see the published cases.
CELLS = (36, 12, 2, 0)


def passes(marks: str, **columns: Any) -> Evaluation:
    """Return the evaluation of answers "y" and "n", "?" for a check that raises."""
    index = columns.pop("index", None)
    frame = pd.DataFrame({"answer": list(marks), **columns}, index=index)

    def right(answer: str) -> bool:
        if answer == "?":
            raise ValueError
        return answer == "y"

    return evaluate(frame, right)


def scores(values: list[float], **columns: Any) -> Evaluation:
    index = columns.pop("index", None)
    frame = pd.DataFrame({"answer": [repr(value) for value in values], **columns}, index=index)
    return evaluate(frame, {"score": float_of})


def float_of(answer: str) -> float:
    return float(answer)


def two_sides() -> tuple[str, str]:
    both, here, other, neither = CELLS
    return (
        "y" * both + "y" * here + "n" * other + "n" * neither,
        "y" * both + "n" * here + "y" * other + "n" * neither,
    )


def row(table: pd.DataFrame, check: str = "right") -> dict[str, Any]:
    (only,) = table.loc[[check]].to_dict("records")
    return {str(name): value for name, value in only.items()}


# -- pairs ----------------------------------------------------------------------------------------


def test_rows_of_one_index_are_pairs() -> None:
    here, other = two_sides()
    found = row(passes(here).compare(passes(other)))
    assert found["paired"]
    assert (found["n"], found["other_n"]) == (50, 50)
    assert (found["mean"], found["other_mean"]) == (48 / 50, 38 / 50)
    assert found["difference"] == pytest.approx(0.2)
    # As R. G. Newcombe (1998) has them.
    assert (found["low"], found["high"]) == pytest.approx((0.0569, 0.3404), abs=1e-4)
    assert found["p_value"] == pytest.approx(0.01293945)
    assert (found["only_here"], found["only_other"]) == (0, 0)
    assert "McNemar" in found["method"]


def test_in_whatever_order_they_are() -> None:
    here, other = two_sides()
    places = list(range(50))
    random.Random(3).shuffle(places)
    turned = passes("".join(other[place] for place in places), index=places)
    straight = passes(here).compare(passes(other))
    pd.testing.assert_frame_equal(passes(here).compare(turned), straight)


def test_columns_and_dtypes() -> None:
    summary = passes("yn?").summary()
    compared = passes("yn?").compare(passes("yyn"))
    assert {name: str(dtype) for name, dtype in summary.dtypes.items()} == SUMMARY_COLUMNS
    assert {name: str(dtype) for name, dtype in compared.dtypes.items()} == COMPARED_COLUMNS
    assert summary.index.name == compared.index.name == "check"


def test_rows_that_only_one_side_has_are_counted() -> None:
    here = passes("yyn?y", index=list("abcde"))
    other = passes("y?nyyy", index=list("abcdxz"))
    found = row(here.compare(other))
    # a and c; b and d lack a verdict on one side, e, x and z a partner.
    assert (found["n"], found["only_here"], found["only_other"]) == (2, 2, 3)
    turned = row(other.compare(here))
    assert (turned["n"], turned["only_here"], turned["only_other"]) == (2, 3, 2)


def test_without_a_common_row_they_are_compared_as_they_are() -> None:
    here, other = two_sides()
    found = row(passes(here).compare(passes(other, index=range(100, 150))))
    assert not found["paired"]
    assert (found["n"], found["other_n"]) == (50, 50)
    assert (found["only_here"], found["only_other"]) == (0, 0)
    assert found["difference"] == pytest.approx(0.2)
    assert "Fisher" in found["method"]
    # An index that does not tell rows apart pairs none.
    assert not row(passes("yy", index=[0, 0]).compare(passes("yy")))["paired"]
    assert not row(passes("yy", index=[0, None]).compare(passes("yy")))["paired"]


def test_prompts_decide_if_there_are_any() -> None:
    """Two lists of runs have one index, whatever was asked in them."""
    here = passes("yn", prompt=["a", "b"])
    assert row(here.compare(passes("nn", prompt=["a", "b"])))["paired"]
    turned = row(here.compare(passes("ny", prompt=["b", "a"])))
    assert turned["paired"]
    assert turned["difference"] == 0
    assert turned["p_value"] == 1
    part = row(here.compare(passes("ny", prompt=["b", "c"])))
    assert (part["n"], part["only_here"], part["only_other"]) == (1, 1, 1)
    others = here.compare(passes("ny", prompt=["c", "d"]))
    assert not row(others)["paired"]
    # The user may know better: two wordings of the same questions.
    assert row(here.compare(passes("ny", prompt=["c", "d"]), by="index"))["paired"]
    # Asked several times: nothing tells which belongs to which.
    repeated = passes("ny", prompt=["b", "b"])
    assert not row(here.compare(repeated))["paired"]


def test_by_a_column_and_by_several() -> None:
    here = passes("yyn", ticker=["A", "B", "C"], year=[1, 1, 1])
    other = passes("nyy", ticker=["C", "A", None], year=[1, 1, 1])
    found = row(here.compare(other, by="ticker"))
    assert (found["n"], found["only_here"], found["only_other"]) == (2, 1, 1)
    assert found["difference"] == 0
    both = row(here.compare(other, by=["ticker", "year"]))
    assert (both["n"], both["only_here"], both["only_other"]) == (2, 1, 1)


def test_repeated_rows_count_once() -> None:
    """Ten answers to one question are not ten questions."""
    here = passes("yyyn" + "nn", question=["a"] * 4 + ["b"] * 2)
    other = passes("yynn" + "ny", question=["a"] * 4 + ["b"] * 2)
    found = row(here.compare(other, by="question"))
    assert (found["n"], found["other_n"]) == (2, 2)
    assert (found["mean"], found["other_mean"]) == (0.375, 0.5)
    assert found["method"] == "Student's t of paired means"
    assert (found["only_here"], found["only_other"]) == (0, 0)


def test_invalid_keys() -> None:
    here, other = passes("y", ticker=["A"]), passes("y", ticker=["B"])
    with pytest.raises(RequestError, match="has a partner in the other by 'ticker'"):
        here.compare(other, by="ticker")
    with pytest.raises(RequestError, match=r"one column 'tickers'.*ticker"):
        here.compare(other, by="tickers")
    with pytest.raises(RequestError, match="cannot be paired by 'lists'"):
        passes("y", lists=[[1]]).compare(passes("y", lists=[[1]]), by="lists")


# -- scores, and checks that differ ---------------------------------------------------------------


def test_scores() -> None:
    # Student (1908), as in tests/fixtures/evaluation/intervals.json.
    here = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    other = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    paired = row(scores(here).compare(scores(other)), "score")
    assert (paired["low"], paired["high"]) == pytest.approx((-2.4598858, -0.7001142))
    assert paired["method"] == "Student's t of pairs"
    apart = row(scores(here).compare(scores(other, index=range(20, 30))), "score")
    assert (apart["low"], apart["high"]) == pytest.approx((-3.3654832, 0.2054832))
    assert apart["method"] == "Welch's t"
    summary = scores(here).summary().loc["score"]
    assert (summary["low"], summary["high"]) == pytest.approx((-0.5297804, 2.0297804))
    assert scores(here).summary()["passed"].isna().all()


def half(answer: str) -> float:
    return 0.5


def test_a_verdict_and_a_score_are_both_scores() -> None:
    frame = pd.DataFrame({"answer": ["a", "b", "c"]})
    here = evaluate(frame, {"right": "a"})
    other = evaluate(frame, {"right": half})
    found = row(here.compare(other))
    assert found["method"] == "Student's t of pairs"
    assert found["difference"] == pytest.approx(1 / 3 - 1 / 2)


def test_a_check_of_one_side_is_listed() -> None:
    frame = pd.DataFrame({"answer": ["a", "b"]})
    here = evaluate(frame, {"first": "a", "both": "a"})
    other = evaluate(frame, {"both": "b", "second": "b"})
    compared = here.compare(other)
    assert compared.index.tolist() == ["first", "both", "second"]
    assert compared["difference"].isna().tolist() == [True, False, True]
    assert compared["only_here"].tolist() == [2, 0, 0]
    assert compared["only_other"].tolist() == [0, 0, 2]
    with pytest.raises(RequestError, match="no check in common"):
        evaluate(frame, {"a": "a"}).compare(evaluate(frame, {"b": "a"}))


def test_something_else_than_an_evaluation() -> None:
    other: Any = pd.DataFrame({"answer": ["a"]})
    with pytest.raises(RequestError, match="another evaluation, not DataFrame"):
        passes("y").compare(other)


@pytest.mark.parametrize("confidence", [0, 1, 95, -0.5, float("nan")])
def test_invalid_confidence(confidence: float) -> None:
    found = passes("yn")
    with pytest.raises(RequestError, match="between 0 and 1"):
        found.summary(confidence=confidence)
    with pytest.raises(RequestError, match="between 0 and 1"):
        found.compare(found, confidence=confidence)


def test_nothing_in_common_but_errors() -> None:
    found = row(passes("??").compare(passes("yn")))
    assert (found["n"], found["only_here"], found["only_other"]) == (0, 0, 2)
    assert pd.isna(found["difference"])
    assert pd.isna(found["p_value"])


marks = st.text("yn?", min_size=1, max_size=12)
keys = st.lists(st.integers(0, 15), min_size=12, max_size=12)
COUNTS = {"n": "other_n", "mean": "other_mean", "only_here": "only_other"}


@given(marks, marks, keys, keys, st.booleans())
def test_turned_round(a: str, b: str, first: list[int], second: list[int], by_key: bool) -> None:
    """The same with the other sign, and no row is lost or counted twice."""
    here = passes(a, key=first[: len(a)])
    other = passes(b, key=second[: len(b)])
    by = "key" if by_key and set(first[: len(a)]) & set(second[: len(b)]) else None
    found, turned = row(here.compare(other, by=by)), row(other.compare(here, by=by))
    for mine, theirs in COUNTS.items():
        for one, another in ((found, turned), (turned, found)):
            if pd.isna(one[mine]):
                assert pd.isna(another[theirs])
            else:
                assert one[mine] == pytest.approx(another[theirs])
    assert found["method"] == turned["method"]
    if pd.isna(found["low"]):
        assert pd.isna(turned["low"])
    else:
        expected = (-turned["high"], -turned["low"], turned["p_value"])
        got = (found["low"], found["high"], found["p_value"])
        assert got == pytest.approx(expected, abs=1e-9)
    if by is None:
        judged = len(a) - a.count("?")
        assert found["n"] + found["only_here"] == judged


def test_agents_with_the_same_prompts() -> None:
    """As a user has it: two agents, the same questions, in whatever order."""
    questions = [f"{n} + {n}" for n in range(8)]

    def good(prompt: str) -> str:
        return str(2 * int(prompt.split()[0]))

    def guesses(prompt: str) -> str:
        return "4"

    def right(answer: str, row: Any) -> bool:
        return int(answer) == 2 * int(row["prompt"].split()[0])

    first = [agentnb.agent(good).run(question) for question in questions]
    second = [agentnb.agent(guesses).run(question) for question in reversed(questions)]
    found = row(evaluate(first, right).compare(evaluate(second, right)))
    assert found["paired"]
    assert found["difference"] == pytest.approx(7 / 8)
    assert found["low"] > 0.3
    assert found["p_value"] == pytest.approx(2 / 2**7)

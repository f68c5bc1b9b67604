"""Differences between two evaluations, by check, with intervals and p values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from agentnb.errors import RequestError
from agentnb.evaluation.intervals import (
    Difference,
    mean,
    mean_difference,
    paired_mean_difference,
    paired_proportion_difference,
    proportion_difference,
)
from agentnb.evaluation.pairing import Keys, paired

Verdicts = Sequence[bool | float | None]
"""Bools or scores of one check for each row, None where the row does not count."""

#: Column -> dtype of `Evaluation.compare`, in order.
COMPARED_COLUMNS: Final[dict[str, str]] = {
    "paired": "boolean",
    "n": "Int64",
    "other_n": "Int64",
    "mean": "Float64",
    "other_mean": "Float64",
    "difference": "Float64",
    "low": "Float64",
    "high": "Float64",
    "p_value": "Float64",
    "only_here": "Int64",
    "only_other": "Int64",
    "method": "string",
}


def compare_verdicts(
    here: Mapping[str, Verdicts],
    other: Mapping[str, Verdicts],
    keys: tuple[Keys, Keys] | None,
    confidence: float,
) -> dict[str, dict[str, Any]]:
    """Return check -> its row of `COMPARED_COLUMNS`, for the checks of both sides, in order.

    Raises:
        RequestError: the sides have no check in common.
    """
    if not here.keys() & other.keys():
        raise RequestError("The two evaluations have no check in common.")
    rows: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys([*here, *other]):
        mine, theirs = here.get(name), other.get(name)
        if mine is None or theirs is None:
            rows[name] = _one_sided(mine or (), theirs or ())
        elif keys is None:
            rows[name] = _unpaired(mine, theirs, confidence)
        else:
            rows[name] = _paired(keys, mine, theirs, confidence)
    return rows


def _one_sided(mine: Verdicts, theirs: Verdicts) -> dict[str, Any]:
    here, other = _known(mine), _known(theirs)
    counts = {"only_here": len(here), "only_other": len(other)}
    return _row(here, other, Difference(None), None, "on one side only", **counts)


def _unpaired(mine: Verdicts, theirs: Verdicts, confidence: float) -> dict[str, Any]:
    here, other = _known(mine), _known(theirs)
    if _is_pass_or_fail(mine) and _is_pass_or_fail(theirs):
        difference = proportion_difference(
            int(sum(here)), len(here), int(sum(other)), len(other), confidence
        )
        method = "Newcombe, Fisher"
    else:
        difference, method = mean_difference(here, other, confidence), "Welch's t"
    return _row(here, other, difference, False, method, only_here=0, only_other=0)


def _paired(
    keys: tuple[Keys, Keys], mine: Verdicts, theirs: Verdicts, confidence: float
) -> dict[str, Any]:
    pairs = paired(keys, mine, theirs)
    here, other = pairs.here, pairs.other
    if _is_pass_or_fail(mine) and _is_pass_or_fail(theirs) and not pairs.repeated:
        both = sum(1 for a, b in zip(here, other, strict=True) if a and b)
        difference = paired_proportion_difference(
            both,
            int(sum(here)) - both,
            int(sum(other)) - both,
            len(here) - int(sum(here)) - int(sum(other)) + both,
            confidence,
        )
        method = "Newcombe of pairs, McNemar"
    else:
        difference = paired_mean_difference(here, other, confidence)
        method = "Student's t of paired means" if pairs.repeated else "Student's t of pairs"
    return _row(
        here,
        other,
        difference,
        True,
        method,
        only_here=pairs.only_here,
        only_other=pairs.only_other,
    )


def _row(
    here: Sequence[float],
    other: Sequence[float],
    difference: Difference,
    is_paired: bool | None,
    method: str,
    *,
    only_here: int,
    only_other: int,
) -> dict[str, Any]:
    return {
        "paired": is_paired,
        "n": len(here),
        "other_n": len(other),
        "mean": mean(here) if here else None,
        "other_mean": mean(other) if other else None,
        "difference": difference.value,
        "low": difference.low,
        "high": difference.high,
        "p_value": difference.p_value,
        "only_here": only_here,
        "only_other": only_other,
        "method": method,
    }


def _known(verdicts: Iterable[bool | float | None]) -> list[float]:
    return [float(verdict) for verdict in verdicts if verdict is not None]


def _is_pass_or_fail(verdicts: Verdicts) -> bool:
    return all(verdict is None or isinstance(verdict, bool) for verdict in verdicts)

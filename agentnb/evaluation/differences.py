"""Differences between two evaluations, by check, with intervals and p values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, Final

from agentnb.errors import RequestError
from agentnb.evaluation.intervals import (
    Difference,
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
        mine, theirs = here.get(name, ()), other.get(name, ())
        if name not in here or name not in other:
            a, b = _known(mine), _known(theirs)
            rows[name] = _row(a, b, Difference(None), None, "on one side only", len(a), len(b))
        elif keys is None:
            rows[name] = _unpaired(mine, theirs, confidence)
        else:
            rows[name] = _paired(keys, mine, theirs, confidence)
    return rows


def _unpaired(mine: Verdicts, theirs: Verdicts, confidence: float) -> dict[str, Any]:
    a, b = _known(mine), _known(theirs)
    if is_pass_or_fail([*mine, *theirs]):
        difference = proportion_difference(int(sum(a)), len(a), int(sum(b)), len(b), confidence)
        return _row(a, b, difference, False, "Newcombe, Fisher")
    return _row(a, b, mean_difference(a, b, confidence), False, "Welch's t")


def _paired(
    keys: tuple[Keys, Keys], mine: Verdicts, theirs: Verdicts, confidence: float
) -> dict[str, Any]:
    pairs = paired(keys, mine, theirs)
    a, b = pairs.here, pairs.other
    if is_pass_or_fail([*mine, *theirs]) and not pairs.repeated:
        counts = Counter(zip(a, b, strict=True))
        cells = [counts[pair] for pair in ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0))]
        difference = paired_proportion_difference(*cells, confidence=confidence)
        method = "Newcombe of pairs, McNemar"
    else:
        difference = paired_mean_difference(a, b, confidence)
        method = "Student's t of paired means" if pairs.repeated else "Student's t of pairs"
    return _row(a, b, difference, True, method, pairs.only_here, pairs.only_other)


def _row(
    here: Sequence[float],
    other: Sequence[float],
    difference: Difference,
    is_paired: bool | None,
    method: str,
    only_here: int = 0,
    only_other: int = 0,
) -> dict[str, Any]:
    return {
        "paired": is_paired,
        "n": len(here),
        "other_n": len(other),
        "mean": fmean(here) if here else None,
        "other_mean": fmean(other) if other else None,
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


def is_pass_or_fail(verdicts: Verdicts) -> bool:
    """Return whether the verdicts are bools, not scores."""
    return all(verdict is None or isinstance(verdict, bool) for verdict in verdicts)

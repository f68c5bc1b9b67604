"""Matching of runs that were recorded without their platform's id with those that it lists.

Candidates have the same session and agent and a near start.  Their prompts, tokens and ends must
agree; among several, the order and the distance of the starts decide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any, Final, TypeAlias

WINDOW: Final = 60_000_000
"""How far apart the two starts of one run may be, in microseconds."""

Row: TypeAlias = Mapping[str, Any]
_Fits: TypeAlias = Callable[[Row, Row], bool]

_TOKENS: Final = ("input_tokens", "output_tokens")
# Runs sent within so many microseconds may start in any order at the platform.
_SIMULTANEOUS: Final = 1_000_000
# Score of a pair at no distance; the score of any pair is positive.
_MAX_SCORE: Final = math.sqrt(WINDOW) + 1


def shift(pairs: Sequence[tuple[Row, Row]]) -> int:
    """Return by how many microseconds runs start later at the platform, from known pairs.

    It is the duration of a request plus the offset of the platform's clock.
    """
    return round(median(b["started_at"] - a["started_at"] for a, b in pairs)) if pairs else 0


def matches(
    recorded: Sequence[Row], listed: Sequence[Row], *, known: Sequence[int], shift: int
) -> list[tuple[Row, Row]]:
    """Return the pairs of a ``recorded`` run and a ``listed`` one that are the same run.

    All are of one session; rows have the columns of `run`, and ``prompt``.  ``known`` are the
    starts of its other runs, ``shift`` is the result of `shift`.  Pairs keep the order of the
    starts; remaining runs are paired if they have the same prompt or tokens.
    """

    def fits(a: Row, b: Row) -> bool:
        return (
            _distance(a, b, shift) <= WINDOW
            and (a["agent"] is None or b["agent"] in (None, a["agent"]))
            and _may_end_as(a, b)
            and _agrees(a, b) is not False
            and not _is_separated(a, b, known, shift)
        )

    pairs = new = _aligned(recorded, listed, fits, shift)
    while new:
        recorded = [row for row in recorded if all(row is not a for a, _ in new)]
        listed = [row for row in listed if all(row is not b for _, b in new)]
        new = _aligned(recorded, listed, lambda a, b: fits(a, b) and _agrees(a, b) is True, shift)
        pairs = [*pairs, *new]
    return pairs


def _aligned(
    recorded: Sequence[Row], listed: Sequence[Row], fits: _Fits, shift: int
) -> list[tuple[Row, Row]]:
    """Return the pairs in order of the starts with the highest total score."""
    ours, theirs = sorted(recorded, key=_start), sorted(listed, key=_start)
    # Best total score among the first i of ours and the first j of theirs.
    best = [[0.0] * (len(theirs) + 1)]
    for a in ours:
        previous, row = best[-1], [0.0]
        for index, b in enumerate(theirs):
            paired = previous[index] + _score(a, b, shift) if fits(a, b) else 0.0
            row.append(max(paired, previous[index + 1], row[index]))
        best.append(row)
    pairs: list[tuple[Row, Row]] = []
    i, j = len(ours), len(theirs)
    while i and j:
        if best[i][j] == best[i - 1][j]:
            i -= 1
        elif best[i][j] == best[i][j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((ours[i], theirs[j]))
    return pairs


def _start(row: Row) -> int:
    return row["started_at"]


def _distance(recorded: Row, listed: Row, shift: int) -> int:
    return abs(_start(listed) - shift - _start(recorded))


def _score(recorded: Row, listed: Row, shift: int) -> float:
    # The root prefers one unmatched run to all of its neighbours being shifted by one.
    return _MAX_SCORE - math.sqrt(_distance(recorded, listed, shift))


def _is_separated(recorded: Row, listed: Row, known: Sequence[int], shift: int) -> bool:
    """Return whether another run of the session was sent between the two starts."""
    first, last = sorted((_start(recorded), _start(listed) - shift))
    return any(first + _SIMULTANEOUS < moment < last - _SIMULTANEOUS for moment in known)


def _may_end_as(recorded: Row, listed: Row) -> bool:
    """Return whether the platform's status agrees with the recorded end."""
    return not _has_reported_end(recorded) or listed["status"] == recorded["status"]


def _has_reported_end(recorded: Row) -> bool:
    # A stream that was closed or lost does not have the end of the run.
    return recorded["status"] in ("completed", "failed") and recorded["error_class"] is None


def _agrees(recorded: Row, listed: Row) -> bool | None:
    """Return whether prompt and tokens are equal; None if there is nothing to compare."""
    compared = [(recorded["prompt"], listed["prompt"])]
    if _has_reported_end(recorded):
        compared += [(recorded[name], listed[name]) for name in _TOKENS]
    present = [(a, b) for a, b in compared if None not in (a, b)]
    return all(_normalize(a) == _normalize(b) for a, b in present) if present else None


def _normalize(value: Any) -> Any:
    return " ".join(value.split()) if isinstance(value, str) else value

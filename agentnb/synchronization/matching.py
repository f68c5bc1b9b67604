"""Runs that were recorded without their platform's id, found among those that it lists.

Such a run is known by its session, its agent and its start.  What else both sides know of it must
agree, and where several may be meant, their order and their distance decide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any, Final, TypeAlias

__all__ = ["WINDOW", "matches", "shift"]

WINDOW: Final = 60_000_000
"""How far apart the two starts of one run may be, in microseconds."""

Row: TypeAlias = Mapping[str, Any]
_Fits: TypeAlias = Callable[[Row, Row], bool]

_TOKENS: Final = ("input_tokens", "output_tokens")
# Of runs that were sent within this, in microseconds, the platform may have begun any one first.
_AT_ONCE: Final = 1_000_000
# What a pair is worth: more the nearer it is, and always more than nothing.
_WORTH: Final = math.sqrt(WINDOW) + 1


def shift(pairs: Sequence[tuple[Row, Row]]) -> int:
    """Return by how much runs start later at the platform, from pairs that are known.

    That is how long a request takes, and how far the platform's clock is ahead.
    """
    return round(median(b["started_at"] - a["started_at"] for a, b in pairs)) if pairs else 0


def matches(
    recorded: Sequence[Row], listed: Sequence[Row], *, known: Sequence[int], shift: int
) -> list[tuple[Row, Row]]:
    """Return the pairs of a ``recorded`` run and a ``listed`` one that are the same run.

    All are of one session; rows are by the columns of `run`, with the ``prompt``.  ``known`` is
    when its other runs were sent, ``shift`` how much later runs start at the platform.  Pairs keep
    the order of the starts; runs that this leaves alone are paired where they have the same prompt
    or tokens.
    """

    def fits(a: Row, b: Row) -> bool:
        return (
            _distance(a, b, shift) <= WINDOW
            and (a["agent"] is None or b["agent"] in (None, a["agent"]))
            and _may_end_as(a, b)
            and _agrees(a, b) is not False
            and not _is_parted(a, b, known, shift)
        )

    pairs = found = _aligned(recorded, listed, fits, shift)
    while found:
        recorded = [row for row in recorded if all(row is not a for a, _ in found)]
        listed = [row for row in listed if all(row is not b for _, b in found)]
        found = _aligned(recorded, listed, lambda a, b: fits(a, b) and _agrees(a, b) is True, shift)
        pairs = [*pairs, *found]
    return pairs


def _aligned(
    recorded: Sequence[Row], listed: Sequence[Row], fits: _Fits, shift: int
) -> list[tuple[Row, Row]]:
    """Return the pairs that keep the order of the starts and are worth the most together."""
    ours, theirs = sorted(recorded, key=_start), sorted(listed, key=_start)
    # The worth of the best pairs among the first so many of ours and of theirs.
    best = [[0.0] * (len(theirs) + 1)]
    for a in ours:
        before, row = best[-1], [0.0]
        for place, b in enumerate(theirs):
            paired = before[place] + _worth(a, b, shift) if fits(a, b) else 0.0
            row.append(max(paired, before[place + 1], row[place]))
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


def _worth(recorded: Row, listed: Row, shift: int) -> float:
    # The root lets one run be left alone rather than all of its neighbours be moved by one.
    return _WORTH - math.sqrt(_distance(recorded, listed, shift))


def _is_parted(recorded: Row, listed: Row, known: Sequence[int], shift: int) -> bool:
    """Tell whether another run of the session was sent between the two starts."""
    first, last = sorted((_start(recorded), _start(listed) - shift))
    return any(first + _AT_ONCE < moment < last - _AT_ONCE for moment in known)


def _may_end_as(recorded: Row, listed: Row) -> bool:
    """Tell whether the platform's status does not contradict the end that was recorded."""
    return not _is_told(recorded) or listed["status"] == recorded["status"]


def _is_told(recorded: Row) -> bool:
    # One that was left or lost here says nothing of how the run itself ended.
    return recorded["status"] in ("completed", "failed") and recorded["error_class"] is None


def _agrees(recorded: Row, listed: Row) -> bool | None:
    """Tell whether prompt and tokens are the same; None where there is nothing to compare."""
    compared = [(recorded["prompt"], listed["prompt"])]
    if _is_told(recorded):
        compared += [(recorded[name], listed[name]) for name in _TOKENS]
    known = [(a, b) for a, b in compared if None not in (a, b)]
    return all(_plain(a) == _plain(b) for a, b in known) if known else None


def _plain(value: Any) -> Any:
    return " ".join(value.split()) if isinstance(value, str) else value

"""Pairing of the rows of two tables, and of their values."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, cast

from agentnb.config.names import suggestion
from agentnb.errors import RequestError
from agentnb.evaluation.check import is_missing

if TYPE_CHECKING:
    import pandas as pd

By = Hashable | Sequence[Hashable]
"""A column, several, or "index"."""

Keys = list[Hashable | None]
"""The key of each row, None for a row without one."""

_PROMPT = "prompt"


@dataclass(frozen=True, slots=True)
class Paired:
    """Values of the keys that both sides have, in order.

    ``repeated``: some are means of several rows.  ``only_here`` and ``only_other`` count the rows
    that have a value but no partner with one.
    """

    here: list[float]
    other: list[float]
    repeated: bool
    only_here: int
    only_other: int


def pair_keys(here: pd.DataFrame, other: pd.DataFrame, by: By | None) -> tuple[Keys, Keys] | None:
    """Return the keys that pair the rows of both tables, None if they cannot be paired.

    Without ``by`` these are the index, if it is unique in either table, shared by some rows, and
    the prompts of these are equal (in tables with a column "prompt"); else the prompts, if unique
    and shared.

    Raises:
        RequestError: ``by`` is no column of both, its values are not hashable, or no row has a
            partner.
    """
    if by is not None:
        keys = _keys(here, by), _keys(other, by)
        if not _known(keys[0]) & _known(keys[1]):
            raise RequestError(
                f"No row of one evaluation has a partner in the other by {by!r}.",
                hint="Compare without by= for different rows.",
            )
        return keys
    by_index = _index(here), _index(other)
    by_prompt = None
    if all(list(table.columns).count(_PROMPT) == 1 for table in (here, other)):
        by_prompt = _keys(here, _PROMPT), _keys(other, _PROMPT)
    if _are_unique_and_shared(by_index) and (by_prompt is None or _agree(by_index, by_prompt)):
        return by_index
    return by_prompt if by_prompt is not None and _are_unique_and_shared(by_prompt) else None


def paired(
    keys: tuple[Keys, Keys], here: Sequence[float | None], other: Sequence[float | None]
) -> Paired:
    """Return the values of each pair; rows of one key count once, by their mean."""
    mine, theirs = _grouped(keys[0], here), _grouped(keys[1], other)
    shared = [key for key in mine if key is not None and key in theirs]
    groups = [(mine[key], theirs[key]) for key in shared]
    return Paired(
        here=[fmean(values) for values, _ in groups],
        other=[fmean(values) for _, values in groups],
        repeated=any(len(a) > 1 or len(b) > 1 for a, b in groups),
        only_here=_count(mine) - sum(len(values) for values, _ in groups),
        only_other=_count(theirs) - sum(len(values) for _, values in groups),
    )


def _index(table: pd.DataFrame) -> Keys:
    return _hashable(table.index.tolist(), "index")


def _keys(table: pd.DataFrame, by: By) -> Keys:
    columns = cast("list[Any]", by) if isinstance(by, list) else [by]
    if columns == ["index"] and "index" not in table.columns:
        return _index(table)
    values: list[list[Any]] = []
    for column in columns:
        if cast("list[Any]", list(table.columns)).count(column) != 1:
            names = [str(name) for name in table.columns]
            raise RequestError(
                f"Both evaluations need one column {column!r} to pair rows by.",
                hint=suggestion(str(column), names) or f"There are: {', '.join(names)}.",
            )
        values.append(table[column].tolist())
    return _hashable(values[0] if len(values) == 1 else list(zip(*values, strict=True)), by)


def _hashable(values: Iterable[Any], by: Any) -> Keys:
    try:
        return [None if _has_missing(value) else _check_hash(value) for value in values]
    except TypeError as error:
        raise RequestError(f"Rows cannot be paired by {by!r}: {error}.") from error


def _has_missing(value: Any) -> bool:
    if isinstance(value, tuple):
        return any(is_missing(part) for part in cast("tuple[Any, ...]", value))
    return is_missing(value)


def _check_hash(value: Any) -> Hashable:
    hash(value)
    return value


def _known(keys: Keys) -> set[Hashable]:
    return {key for key in keys if key is not None}


def _are_unique_and_shared(keys: tuple[Keys, Keys]) -> bool:
    """Return whether the keys are unique in each table, and some are in both."""
    here, other = map(_known, keys)
    return len(here) == len(keys[0]) and len(other) == len(keys[1]) and bool(here & other)


def _agree(keys: tuple[Keys, Keys], prompts: tuple[Keys, Keys]) -> bool:
    """Return whether rows with the same key have the same prompt."""
    by_key = dict(zip(keys[0], prompts[0], strict=True))
    pairs = zip(keys[1], prompts[1], strict=True)
    return all(by_key[key] == prompt for key, prompt in pairs if key in by_key)


def _grouped(keys: Keys, values: Sequence[float | None]) -> dict[Hashable | None, list[float]]:
    groups: dict[Hashable | None, list[float]] = {}
    for key, value in zip(keys, values, strict=True):
        if value is not None:
            groups.setdefault(key, []).append(float(value))
    return groups


def _count(groups: dict[Hashable | None, list[float]]) -> int:
    return sum(map(len, groups.values()))

"""What only a platform's own entry of a run tells: the columns of `REMOTE_COLUMNS`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from agentnb.store.timestamps import to_micros
from agentnb.tables.columns import REMOTE_COLUMNS

__all__ = ["remote_columns", "remote_fields"]


def remote_columns(entries: Sequence[str | None]) -> dict[str, list[Any]]:
    """Return the columns of platforms' entries, given as JSON; None where there is none."""
    columns: dict[str, list[Any]] = {name: [None] * len(entries) for name in REMOTE_COLUMNS}
    for place, text in enumerate(entries):
        if text is None:
            continue
        try:
            entry = json.loads(text)
        except ValueError:
            continue
        if isinstance(entry, dict):
            for name, value in remote_fields(cast("dict[str, Any]", entry)).items():
                columns[name][place] = value
    return columns


def remote_fields(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a platform's entry tells of a run; moments in microseconds, lists as JSON."""
    found: dict[str, Any] = {}
    for name, dtype in REMOTE_COLUMNS.items():
        values: list[Any] = [entry.get(spelling) for spelling in _SPELLINGS[name]]
        # Empty counts only where no other spelling holds anything.
        given = [value for value in values if value is not None]
        if given:
            found[name] = _read(next((value for value in given if value), given[0]), dtype)
    return found


def _spellings(name: str) -> tuple[str, ...]:
    names = (name, "meta_data") if name == "metadata" else (name,)
    camel = (re.sub(r"_([a-z])", lambda match: match[1].upper(), each) for each in names)
    return tuple(dict.fromkeys([*names, *camel]))


_SPELLINGS: Final = {name: _spellings(name) for name in REMOTE_COLUMNS}


def _read(value: Any, dtype: str) -> Any:
    if dtype.startswith("datetime"):
        from agentnb.platforms._bodies import parse_time

        moment = parse_time(value)
        return None if moment is None else to_micros(moment)
    if dtype == "string":
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return value

"""Make ids and names in rows short, of one line, and safe to print, whatever their source.

An index of PostgreSQL takes no long ones, and a terminal takes controls for commands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from agentnb._support.text import identifier_or_none, name_signs, printable

__all__ = ["clean_call", "clean_process", "clean_run"]

_LONGEST_ID: Final = 500
_LONGEST_NAME: Final = 200
_IDS: Final = ("run_id", "session_id")
_RUN_NAMES: Final = (
    *("platform", "agent", "model", "user_name"),
    *("error_code", "error_class"),
)


def clean_run(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of ``run``; an id that nothing can go by is None, and names are cut."""
    ids = {name: _id(row[name]) for name in _IDS if name in row}
    # A title may have several lines.
    titles = {"title": _short(title, printable)} if (title := row.get("title")) else {}
    return {**row, **ids, **_names(row, _RUN_NAMES), **titles}


def clean_call(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of ``tool_call`` whose name is short; ids of calls are in no index."""
    return {**row, **_names(row, ("name",)), "call_id": name_signs(row["call_id"])}


def clean_process(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of ``process`` whose names are short."""
    return {**row, **_names(row, ("host", "user_name"))}


def _names(row: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    return {
        name: _short(text, name_signs) for name in names if isinstance(text := row.get(name), str)
    }


def _id(text: str | None) -> str | None:
    return None if text is None or len(text) > _LONGEST_ID else identifier_or_none(text)


def _short(text: str, clean: Callable[[str], str]) -> str:
    # A sign can be longer than what it stands for.
    shown = clean(text[: _LONGEST_NAME + 1])
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[: _LONGEST_NAME - 1]}…"

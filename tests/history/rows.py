"""Rows of the store, as short as they can be."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table

from agentnb.store.store import Store

#: 2026-01-01 12:00:00.000001 UTC.
NOON = 1_767_268_800_000_001


def a_process(name: str = "p") -> dict[str, Any]:
    return {"id": name, "host": "h", "pid": 1, "started_at": 1, "seen_at": 1}


def a_run(key: str, **values: Any) -> dict[str, Any]:
    return {
        "key": key,
        "source": "recorded",
        "process": "p",
        "platform": "sandbox",
        "agent": "analyst",
        "status": "completed",
        "started_at": NOON,
        **values,
    }


def add(store: Store, table: Table, *rows: dict[str, Any]) -> None:
    with store.begin() as connection:
        connection.execute(table.insert(), list(rows))

"""Old runs go, with all that belongs to them, and their room is given back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import func, select

from agentnb import history
from agentnb.errors import HistoryError, RequestError
from agentnb.store.retention import Pruned, prune, vacuum
from agentnb.store.schema import content, event_chunk, process, run, tool_call
from agentnb.store.store import Store
from agentnb.tables.runs import runs
from tests.history.rows import NOON, a_process, a_run, add
from tests.history.seeding import seed


def children(store: Store) -> set[str]:
    with store.connect() as connection:
        return {
            key
            for table in (content, event_chunk, tool_call)
            for key in connection.execute(select(table.c.run).distinct()).scalars()
        }


def test_by_age(history_store: Store) -> None:
    now = datetime.now(UTC)
    seed(history_store, runs=200, days=100, until=now)
    old = runs(until=now - timedelta(days=30))
    assert 0 < len(old) < 200
    would = prune(older_than="30d", dry_run=True)
    assert would.runs == len(old)
    assert len(runs()) == 200
    done = prune(older_than=timedelta(days=30))
    assert (done.runs, done.bytes) == (would.runs, would.bytes)
    left = set(runs()["local_id"])
    assert len(left) == 200 - len(old)
    assert not left & set(old["local_id"])
    assert children(history_store) <= left
    assert prune(older_than="30d") == Pruned(0, 0)


def test_by_number_and_those_that_go_on_stay(history_store: Store) -> None:
    seed(history_store, runs=50, events=False)
    alive = a_process() | {"seen_at": round(datetime.now(UTC).timestamp() * 1_000_000)}
    add(history_store, process, alive)
    for status in ("running", "queued", "paused"):
        add(history_store, run, a_run(status, status=status, started_at=NOON - 10**13))
    newest = list(runs(limit=10)["local_id"])
    assert prune(keep=10).runs == 40
    assert list(runs()["local_id"])[:10] == newest
    assert set(runs()["local_id"]) - set(newest) == {"running", "queued", "paused"}
    assert prune(keep=0).runs == 10
    assert prune(older_than="0d").runs == 0


def test_by_size_the_oldest_go(history_store: Store) -> None:
    seed(history_store, runs=300)
    everything = prune(keep=0, dry_run=True).bytes
    before = list(runs()["local_id"])
    done = prune(max_bytes=everything // 3)
    left = list(runs()["local_id"])
    assert left == before[: len(left)]
    assert 0 < len(left) < 150
    assert done.runs == 300 - len(left)
    assert prune(keep=0, dry_run=True).bytes <= everything // 3


def test_the_size_is_about_what_the_store_has(history_store: Store) -> None:
    from agentnb.store import retention

    empty = retention._size(history_store)  # pyright: ignore[reportPrivateUsage]
    seed(history_store, runs=600)
    vacuum()
    real = retention._size(history_store) - empty  # pyright: ignore[reportPrivateUsage]
    told = prune(keep=0, dry_run=True).bytes
    assert 0.5 < told / real < 2, (told, real)


def test_vacuum_gives_room_back(history_store: Store) -> None:
    seed(history_store, runs=300)
    vacuum()
    assert prune(keep=10).runs == 290
    given = vacuum()
    if history_store.path is not None:
        size = history_store.path.stat().st_size
        assert given > size
    else:
        assert given >= 0
    assert len(runs()) == 10


def test_more_than_one_limit(history_store: Store) -> None:
    now = datetime.now(UTC)
    seed(history_store, runs=100, days=60, until=now, events=False)
    frame = runs()
    recent = int((frame["started_at"] >= pd.Timestamp(now) - pd.Timedelta(days=20)).sum())
    prune(older_than="20d", keep=recent + 5)
    assert len(runs()) == recent


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({}, "needs to know"),
        ({"older_than": "soon"}, "older_than is 'soon'"),
        ({"older_than": timedelta(-1)}, "older_than"),
        ({"keep": -1}, "keep is -1"),
        ({"max_bytes": "1 GB"}, "max_bytes is '1 GB'"),
    ],
)
def test_a_wrong_limit_takes_nothing_out(
    history_store: Store, limits: dict[str, Any], said: str
) -> None:
    seed(history_store, runs=3, events=False)
    with pytest.raises(RequestError, match=said):
        prune(**limits)
    with history_store.connect() as connection:
        assert connection.execute(select(func.count()).select_from(run)).scalar() == 3


def test_without_a_store() -> None:
    history.use("off")
    try:
        for act in (vacuum, lambda: prune(keep=1)):
            with pytest.raises(HistoryError, match="History is off"):
                act()
    finally:
        history.use(None)


def test_it_can_be_read() -> None:
    assert repr(Pruned(1200, 3_400_000)) == "<Pruned 1,200 runs, about 3.4 MB>"
    counted = Pruned(12, 0, dry_run=True)
    assert repr(counted) == "<Would prune 12 runs, about 0.0 MB>"


@pytest.mark.parametrize("age", ["1m", "1M", "3 months", "soon"])
def test_an_age_that_may_mean_something_else_takes_nothing_out(age: str) -> None:
    with pytest.raises(RequestError, match="is no age"):
        prune(older_than=age)

"""Usage added up in the database is what pandas adds up of the runs, in every time zone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from sqlalchemy import text

import agentnb
from agentnb import history
from agentnb.store import recent
from agentnb.store.schema import process, run
from agentnb.store.store import Store
from agentnb.store.values import to_micros
from agentnb.tables.columns import TIMESTAMP, USAGE_COLUMNS, USAGE_KEYS, USAGE_PERIODS
from agentnb.tables.periods import DAY, HOUR, day_rounder, read_zone, utc_offsets
from agentnb.tables.runs import runs
from agentnb.tables.usage import usage
from tests.history.rows import NOON, a_process, a_run, add
from tests.history.seeding import seed

TOKENS = ["input_tokens", "output_tokens", "total_tokens", "cached_tokens", "reasoning_tokens"]
ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata", "America/Sao_Paulo", "Australia/Lord_Howe")


def hour_start(time: int, zone: ZoneInfo) -> int:
    ((_, offset),) = utc_offsets(zone, time, time)
    return time - (time + offset) % HOUR


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def by_pandas(frame: pd.DataFrame, by: list[str], tz: str) -> pd.DataFrame:
    days = frame["started_at"].dt.tz_convert(tz).dt.tz_localize(None).dt.normalize()
    periods: dict[str, Any] = {
        "day": days,
        "week": days - pd.to_timedelta(days.dt.day_of_week, unit="D"),
        "month": days - pd.to_timedelta(days.dt.day - 1, unit="D"),
    }
    frame = frame.assign(session=frame["session_id"])
    for name, wall in periods.items():
        frame[name] = wall.dt.tz_localize(tz, nonexistent="shift_forward", ambiguous=True)
    ended = frame["status"].astype("string")
    frame = frame.assign(
        completed=ended == "completed", failed=ended.isin(["failed", "truncated", "interrupted"])
    )
    groups = frame.groupby(by, observed=True, dropna=False)
    sums = groups[[*TOKENS, "cost_usd"]].sum(min_count=1)
    counts = groups[["completed", "failed"]].sum()
    means = groups[["duration", "time_to_first_token"]].mean()
    together = pd.concat([groups.size().rename("runs"), counts, sums, means], axis=1)
    return together.reset_index()


@pytest.mark.parametrize("tz", ZONES)
def test_it_is_what_pandas_makes_of_the_runs(history_store: Store, tz: str) -> None:
    # Over the change of the clocks in March, and in Brazil of that in February 2018.
    seed(history_store, runs=300, days=60, until=datetime(2026, 4, 20, tzinfo=UTC), events=False)
    seed(
        history_store,
        runs=100,
        seed=1,
        days=9,
        until=datetime(2018, 11, 6, tzinfo=UTC),
        events=False,
    )
    everything = runs()
    for by in (["agent", "day"], ["week"], ["platform", "month"], ["model", "user_name", "day"]):
        expected = by_pandas(everything, by, tz).sort_values(by, na_position="last")
        found = usage(by, tz=tz)
        assert list(found["runs"]) == list(expected["runs"])
        for name in by:
            zoned = name in USAGE_PERIODS
            assert str(found[name].dtype) == (f"datetime64[us, {tz}]" if zoned else "category")
            one, other = list(found[name]), list(expected[name])
            assert [a for a in one if not pd.isna(a)] == [b for b in other if not pd.isna(b)]
        for name in ("completed", "failed", *TOKENS):
            assert found[name].tolist() == expected[name].tolist(), name
        assert found["cost_usd"].isna().tolist() == expected["cost_usd"].isna().tolist()
        assert found["cost_usd"].sum() == pytest.approx(expected["cost_usd"].sum())
        for name in ("duration", "time_to_first_token"):
            apart = (found[name].array - expected[name].array).max()  # pyright: ignore
            assert abs(apart) <= pd.Timedelta(microseconds=1)
        assert (found["error_rate"] * found["runs"]).round().tolist() == expected["failed"].tolist()


def test_hours_of_every_zone(history_store: Store) -> None:
    seed(history_store, runs=200, days=20, until=datetime(2026, 4, 6, tzinfo=UTC), events=False)
    for tz in ZONES:
        zone = read_zone(tz)
        frame = usage(["hour"], tz=tz)
        assert frame["runs"].sum() == 200
        expected = {hour_start(to_micros(at.to_pydatetime()), zone) for at in runs()["started_at"]}
        assert {to_micros(at.to_pydatetime()) for at in frame["hour"]} == expected


def test_dtypes_do_not_depend_on_what_is_there(history_store: Store) -> None:
    shares = (50, 99.9)
    for filled in (False, True):
        for by in (list[str](), *([name] for name in (*USAGE_KEYS, *USAGE_PERIODS))):
            expected = {n: USAGE_KEYS.get(n, TIMESTAMP) for n in by} | USAGE_COLUMNS
            for name in ("duration", "time_to_first_token"):
                expected |= {f"{name}_p{share}": "timedelta64[us]" for share in shares}
            found = usage(by, percentiles=shares)
            assert dtypes(found) == expected
            assert found["runs"].sum() == (20 if filled else 0)
            assert filled or len(found) == (not by)
        if not filled:
            seed(history_store, runs=20, events=False)


def test_percentiles(history_store: Store) -> None:
    seed(history_store, runs=200, events=False)
    found = usage("agent", percentiles=(50, 95)).set_index("agent")
    assert list(found.columns)[-4:] == [
        "duration_p50",
        "duration_p95",
        "time_to_first_token_p50",
        "time_to_first_token_p95",
    ]
    groups = runs().groupby("agent", observed=True)
    for name in ("duration", "time_to_first_token"):
        for share in (50, 95):
            expected = groups[name].quantile(share / 100)
            apart = (found[f"{name}_p{share}"].sort_index() - expected.sort_index()).abs().max()
            assert apart <= pd.Timedelta(microseconds=1)


def test_percentiles_that_are_close_have_columns_of_their_own(history_store: Store) -> None:
    seed(history_store, runs=20, events=False)
    found = usage("agent", percentiles=(99.99999, 99.99998, 100, 50.0))
    assert [str(name) for name in found.columns[-8:-4]] == [
        "duration_p99.99999",
        "duration_p99.99998",
        "duration_p100",
        "duration_p50",
    ]


def test_numbers_that_no_column_holds_are_missing(history_store: Store) -> None:
    add(history_store, process, a_process())
    rows = [a_run(str(n), started_at=NOON + n, input_tokens=2**63 - 1) for n in range(2)]
    rows += [a_run("other", agent="other", input_tokens=2**62, output_tokens=3)]
    for each in rows:
        add(history_store, run, each)
    found = usage("agent").set_index("agent")
    assert found["input_tokens"].isna().tolist() == [True, False]
    assert found["output_tokens"].sum() == 3
    assert usage("status")["output_tokens"].iloc[0] == 3


def test_the_index_is_read_in_its_order(tmp_path: Path) -> None:
    history.use(tmp_path / "runs.sqlite")
    try:
        from sqlalchemy import event as happens

        from agentnb.store.store import store

        opened = store(required=True)
        seed(opened, runs=50, events=False)
        asked: list[tuple[str, Any]] = []

        def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            if "GROUP BY" in statement:
                asked.append((statement, parameters))

        happens.listen(opened.engine, "before_cursor_execute", note)
        usage(["agent", "day"])
        usage(["agent", "week"], tz="Europe/Berlin", since="2026-01-20")
        assert len(asked) == 2
        with opened.connect() as connection:
            explain = "EXPLAIN QUERY PLAN"
            for statement, parameters in tuple(asked):
                plan = connection.exec_driver_sql(f"{explain} {statement}", parameters)
                steps = [step[3] for step in plan]
                assert any("USING COVERING INDEX ix_run_usage" in step for step in steps), steps
                # The inner sums need no sorting; the few outer ones do.
                assert sum("TEMP B-TREE" in step for step in steps) == 1, steps
            assert connection.execute(text("SELECT count(*) FROM run")).scalar() == 50
    finally:
        history.use(None)


@pytest.fixture
def off() -> Iterator[None]:
    kept = list(recent._runs)  # pyright: ignore[reportPrivateUsage]
    recent._runs.clear()  # pyright: ignore[reportPrivateUsage]
    history.use("off")
    yield
    history.use(None)
    recent._runs.clear()  # pyright: ignore[reportPrivateUsage]
    recent._runs.extend(kept)  # pyright: ignore[reportPrivateUsage]


@pytest.mark.usefixtures("off")
def test_without_a_store_it_is_of_this_process() -> None:
    assert usage([])["runs"].tolist() == [0]
    agent = agentnb.agent(str.upper)
    for _ in range(3):
        agent.run("what?")
    agentnb.agent(len).run("what?", check=False)
    found = usage(["agent", "status", "day"], percentiles=[50])
    assert found["agent"].tolist() == ["len", "upper"]
    assert found["runs"].tolist() == [1, 3]
    assert found["error_rate"].tolist() == [1.0, 0.0]
    assert dtypes(found)["duration_p50"] == "timedelta64[us]"
    assert found["duration_p50"].notna().all()


def test_offsets_change_when_clocks_do() -> None:
    berlin = read_zone("Europe/Berlin")
    low = to_micros(datetime(2026, 1, 1, tzinfo=UTC))
    high = to_micros(datetime(2026, 12, 31, tzinfo=UTC))
    hour = 3_600_000_000
    assert utc_offsets(berlin, low, high) == [
        (low, hour),
        (to_micros(datetime(2026, 3, 29, 1, tzinfo=UTC)), 2 * hour),
        (to_micros(datetime(2026, 10, 25, 1, tzinfo=UTC)), hour),
    ]
    # Midnight did not exist there on that day: it began at one.
    brazil = read_zone("America/Sao_Paulo")
    noon = to_micros(datetime(2018, 11, 4, 15, tzinfo=UTC))
    (_, offset), *_ = utc_offsets(brazil, noon, noon)
    assert day_rounder("day", brazil)((noon + offset) // DAY) == to_micros(
        datetime(2018, 11, 4, 3, tzinfo=UTC)
    )

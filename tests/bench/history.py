"""Row 13: a million runs added up by agent and day, beside pandas and DuckDB over the same runs.

Each measurement is a process of its own, which tells how long the work itself took, without
imports, and the most memory that the process ever had.
"""

from __future__ import annotations

import math
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.bench.alone import MB, peak, tell, told_by
from tests.bench.measure import FEWEST, Row

RUNS: Final = 1_000_000
MOST_SECONDS: Final = 1.0
MOST_MB: Final = 1000.0

FIGURES: Final = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost_usd",
)
# What is read of a run to add them up as agentnb does.
READ: Final = ("agent", "started_at", "status", "duration", "first_token", *FIGURES)
# The first of them began with the year 2025; in microseconds, as all moments and spans.
_BEGAN: Final = 1_735_689_600_000_000
_YEAR: Final = 31_536_000_000_000
_DAY: Final = 86_400_000_000
# As objects of Python they take a kilobyte each.
_AT_ONCE: Final = 20_000

Usage = Callable[[], int]


async def a_million_runs(seed: int) -> list[Row]:
    """Seconds and megabytes are themselves the figures here; the peers are there to compare."""
    told: dict[str, list[tuple[float, float, int]]] = {}
    with tempfile.TemporaryDirectory(prefix="agentnb-bench-") as folder:
        for size in (RUNS, RUNS // 4):
            await told_by("tests.bench.history", "fill", Path(folder, str(size)), size, seed)
        for number in range(FEWEST):
            given = [(name, RUNS) for name in ("ours", "pandas", "duckdb")] + [("ours", RUNS // 4)]
            first = number % len(given)
            for name, size in given[first:] + given[:first]:
                one = await told_by("tests.bench.history", name, Path(folder, str(size)))
                told.setdefault(f"{name} {size}", []).append(one)
    ours, few, pandas, duckdb = (
        told[name]
        for name in (f"ours {RUNS}", f"ours {RUNS // 4}", f"pandas {RUNS}", f"duckdb {RUNS}")
    )
    groups = {rows for each in (ours, pandas, duckdb) for *_, rows in each}
    assert len(groups) == 1, groups
    what = f"usage by agent and day, {RUNS:,} runs"
    seconds = [took for took, *_ in ours]
    return [
        Row(
            what,
            seconds,
            MOST_SECONDS,
            at_least=False,
            unit="s",
            limit=[took for took, *_ in duckdb],
            limit_of="DuckDB, of Parquet",
            exponents=[math.log(n / less, 4) for n, (less, *_) in zip(seconds, few, strict=True)],
        ),
        Row(
            f"{what}, memory",
            [mb for _, mb, _ in ours],
            MOST_MB,
            at_least=False,
            unit="MB",
            limit=[mb for _, mb, _ in duckdb],
            limit_of="DuckDB, of Parquet",
        ),
        Row(
            what,
            [theirs / own for own, (theirs, *_) in zip(seconds, pandas, strict=True)],
            None,
            over="pandas",
        ),
        Row(
            f"{what}, memory",
            [own / theirs for (_, own, _), (_, theirs, _) in zip(ours, pandas, strict=True)],
            None,
            at_least=False,
            over="pandas",
        ),
    ]


# --- What the processes do


def _fill(folder: Path, size: int, seed: int) -> None:
    """Make a store of as many runs, and a copy in Parquet of what DuckDB reads of them."""
    import pandas as pd

    from agentnb import history
    from agentnb.store.store import store

    folder.mkdir()
    history.use(folder / "runs.sqlite")
    store(required=True)
    history.use("off")
    runs = _runs(size, seed)
    connection = sqlite3.connect(folder / "runs.sqlite")
    with connection:
        connection.execute("PRAGMA synchronous=OFF")
        marks = ", ".join("?" * len(runs.columns))
        insert = f"INSERT INTO run ({', '.join(runs.columns)}) VALUES ({marks})"
        for start in range(0, size, _AT_ONCE):
            part = runs[start : start + _AT_ONCE]
            values = part.astype(object).where(part.notna(), None)
            connection.executemany(insert, values.itertuples(index=False, name=None))
    names = ", ".join(READ)
    copy: Any = pd.read_sql_query(f"SELECT {names} FROM run", connection)
    copy.to_parquet(folder / "runs.parquet")
    connection.close()


def _runs(size: int, seed: int) -> Any:
    """Return a year of runs as a DataFrame with the columns of the store."""
    import numpy as np
    import pandas as pd

    chance = np.random.default_rng(seed)

    def some(*names: str) -> Any:
        # The first ones are used most, as it is with people and agents.
        return chance.choice(names, size, p=(shares := np.arange(len(names), 0, -1)) / shares.sum())

    took = (chance.lognormal(16, 0.7, size)).astype("int64") + 1
    began = _BEGAN + np.sort(chance.integers(0, _YEAR, size))
    tokens_in, tokens_out = chance.integers(0, 9000, size), chance.integers(0, 3000, size)
    return pd.DataFrame(
        {
            "key": [f"{number:032x}" for number in chance.permutation(size)],
            "source": "recorded",
            "platform": some("operativus", "seekr", "runagent"),
            "agent": some(*(f"agent_{number}" for number in range(8))),
            "run_id": [f"run_{number:024x}" for number in range(size)],
            "session_id": [f"session_{number // 4:016x}" for number in range(size)],
            "model": some(*(f"model-{number}" for number in range(4))),
            "user_name": some(*(f"user{number}" for number in range(5))),
            "status": some("completed", "completed", "completed", "failed", "cancelled"),
            "started_at": began,
            "finished_at": began + took,
            "duration": took,
            "first_token": (took * chance.random(size)).astype("int64"),
            "input_tokens": tokens_in,
            "output_tokens": tokens_out,
            "total_tokens": tokens_in + tokens_out,
            "cached_tokens": (tokens_in * chance.random(size)).astype("int64"),
            "reasoning_tokens": (tokens_out * chance.random(size)).astype("int64"),
            # Not every platform tells it.
            "cost_usd": np.where(chance.random(size) < 0.5, chance.random(size) / 100, np.nan),
            "tool_calls": chance.integers(0, 4, size),
            "tool_errors": 0,
            "events": chance.integers(2, 400, size),
        }
    )


def _ours(folder: Path) -> Usage:
    from agentnb import history
    from agentnb.tables.usage import usage

    history.use(folder / "runs.sqlite")
    # Loads what is loaded once.
    usage([], since="2200-01-01")
    return lambda: len(usage(by=["agent", "day"]))


def _pandas(folder: Path) -> Usage:
    import pandas as pd

    connection = sqlite3.connect(folder / "runs.sqlite")
    pd.read_sql_query("SELECT key FROM run LIMIT 1", connection)

    def work() -> int:
        frame: Any = pd.read_sql_query(f"SELECT {', '.join(READ)} FROM run", connection)
        frame["day"] = frame["started_at"] // _DAY
        groups = frame.groupby(["agent", "day"])
        sums = groups[list(FIGURES)].sum().join(groups[["duration", "first_token"]].mean())
        return len(sums.join(groups["status"].value_counts().unstack()))

    return work


def _duckdb(folder: Path) -> Usage:
    import duckdb

    connection = duckdb.connect()
    sums = ", ".join(f"sum({name})" for name in FIGURES)
    statement = (
        f"SELECT agent, started_at // {_DAY}, count(*), {sums}, avg(duration), "
        "avg(first_token), count(*) FILTER (status = 'completed') FROM read_parquet(?) GROUP BY ALL"
    )
    path = str(folder / "runs.parquet")
    return lambda: len(connection.execute(statement, [path]).fetchall())


def _measure(usage: Usage) -> tuple[float, float, int]:
    """Return seconds, megabytes and how many groups there were."""
    start = time.perf_counter()
    groups = usage()
    took = time.perf_counter() - start
    return took, peak() / MB, groups


_WAYS: Final = {"ours": _ours, "pandas": _pandas, "duckdb": _duckdb}

if __name__ == "__main__":
    wanted, place, *more = sys.argv[1:]
    if wanted == "fill":
        _fill(Path(place), *map(int, more))
        tell(None)
    else:
        tell(_measure(_WAYS[wanted](Path(place))))

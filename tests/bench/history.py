"""Row 13: a million runs added up by agent and day, beside pandas and DuckDB over the same runs."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tempfile
from pathlib import Path

from tests.bench.measure import Row

RUNS = 1_000_000
SECONDS = 1.0
MEGABYTES = 1000.0
TIMES = 3

_FILL = """
WITH RECURSIVE number(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < :runs)
INSERT INTO run (
  key, source, platform, agent, run_id, session_id, model, user_name, status, started_at,
  finished_at, duration, first_token, input_tokens, output_tokens, total_tokens, cached_tokens,
  reasoning_tokens, cost_usd, tool_calls, tool_errors, events
)
SELECT
  printf('%032x', n), 'recorded', iif(n % 3, 'operativus', 'seekr'),
  'agent_' || (n * 7919 % 8), printf('run_%024x', n), printf('session_%016x', n / 4),
  'model-' || (n % 4), 'user' || (n % 5), iif(n * 31 % 17, 'completed', 'failed'), began,
  began + took, took, took / 9, n * 13 % 9000, n * 17 % 3000, n * 13 % 9000 + n * 17 % 3000,
  n * 13 % 3000, n * 17 % 700, iif(n % 2, n % 977 / 1e5, NULL), n % 4, n % 50 = 0, 40
FROM (
  SELECT n, 1735689600000000 + n * 31000000 AS began, 1000000 + n * 104729 % 20000000 AS took
  FROM number
)
"""

# What is measured runs in a process of its own, which tells how long the work itself took, without
# imports, and the most memory that the process ever had.
_CHILD = """
import json, resource, sys, time
path, copy = sys.argv[1:]
{prepare}
start = time.perf_counter()
{work}
took = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([took, peak / (1e6 if sys.platform == "darwin" else 1e3), rows]))
"""
_PREPARE = "import sys; from tests.bench import history; history.fill(*sys.argv[1:])"
_FIGURES = "input_tokens output_tokens total_tokens cached_tokens reasoning_tokens cost_usd"
_OURS = _CHILD.format(
    prepare="""
from agentnb import history
from agentnb.history.usage import usage
history.use(path)
usage([], since="2200-01-01")
""",
    work='rows = len(usage(by=["agent", "day"]))',
)
_PANDAS = _CHILD.format(
    prepare="import sqlite3, pandas",
    work=f"""
frame = pandas.read_sql_query(
    "SELECT agent, started_at, status, duration, first_token, {", ".join(_FIGURES.split())} "
    "FROM run", sqlite3.connect(path))
frame["day"] = pandas.to_datetime(frame["started_at"], unit="us", utc=True).dt.floor("D")
groups = frame.groupby(["agent", "day"])
rows = len(groups[{_FIGURES.split()!r}].sum().join(
    groups[["duration", "first_token"]].mean()).join(groups["status"].value_counts().unstack()))
""",
)
_COLUMNS = ", ".join(f"sum({name})" for name in _FIGURES.split())
_DUCKDB = _CHILD.format(
    prepare="import duckdb, pandas",
    work=f"""
rows = len(duckdb.connect().execute(
    "SELECT agent, started_at // 86400000000, count(*), {_COLUMNS}, avg(duration), "
    "avg(first_token), count(*) FILTER (status = 'completed') "
    "FROM read_parquet(?) GROUP BY ALL", [copy]).fetchall())
""",
)


def fill(path: str, copy: str) -> None:
    """Make a store with a million runs, and a copy of them in Parquet, which DuckDB reads."""
    import pandas as pd

    from agentnb import history
    from agentnb.history.store import store

    history.use(path)
    store(required=True)
    history.use("off")
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(_FILL, {"runs": RUNS})
    names = f"agent, started_at, status, duration, first_token, {', '.join(_FIGURES.split())}"
    pd.read_sql_query(f"SELECT {names} FROM run", connection).to_parquet(copy)
    connection.close()


async def _run(code: str, path: Path, copy: Path) -> str:
    """Run ``code`` in a process of its own; return what it prints."""
    command = ("-W", "ignore", "-c", code, str(path), str(copy))
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError("A process of the measurement failed.")
    return out.decode()


async def a_million_runs() -> list[Row]:
    """Seconds and megabytes are themselves the figures here; the peers are there to compare."""
    with tempfile.TemporaryDirectory(prefix="agentnb-bench-") as folder:
        path, copy = Path(folder) / "runs.sqlite", Path(folder) / "runs.parquet"
        # Not in this process: a child begins with the peak of its parent's memory.
        await _run(_PREPARE, path, copy)
        found: dict[str, list[tuple[float, float, int]]] = {}
        for _ in range(TIMES):
            for name, code in (("ours", _OURS), ("pandas", _PANDAS), ("DuckDB", _DUCKDB)):
                told: tuple[float, float, int] = json.loads(await _run(code, path, copy))
                found.setdefault(name, []).append(told)
    groups = {rows for each in found.values() for *_, rows in each}
    assert len(groups) == 1, groups
    ours = found["ours"]
    return [
        Row("usage by agent and day, 1M runs, seconds", [s for s, *_ in ours], SECONDS, False),
        Row("usage by agent and day, 1M runs, MB", [mb for _, mb, _ in ours], MEGABYTES, False),
        *(
            Row(
                f"the same, speed over {name}",
                [theirs[0] / own[0] for own, theirs in zip(ours, found[name], strict=True)],
                goal,
            )
            for name, goal in (("pandas", 1.5), ("DuckDB", 0.0))
        ),
        Row(
            "the same, memory of pandas' part",
            [own[1] / theirs[1] for own, theirs in zip(ours, found["pandas"], strict=True)],
            1.0,
            False,
        ),
    ]

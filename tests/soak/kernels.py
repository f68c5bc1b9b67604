"""`python -m tests.soak.kernels [--seconds N]`: eight processes that record to one SQLite history.

Together they make 60 runs a second, and each reads `agentnb.runs()` once a second.  In the middle,
processes that just started read for the first time.  Printed are the 50th and 99th percentile of
write transactions, of reads and of first reads, and whether a run is missing.  In the same pattern,
a peer writes one row for each run with the `sqlite3` module alone.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import surroundings

PROCESSES = 8
RATE = 60.0
READERS = 5
# A table like that of runs: what the peer writes.
PEER = "CREATE TABLE IF NOT EXISTS run (key TEXT PRIMARY KEY, at REAL, prompt TEXT, answer TEXT)"


def percentile(values: Sequence[float], share: float) -> float:
    """Return a percentile in milliseconds; 0 where nothing was measured."""
    ordered = sorted(values)
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def paced(seconds: float, begin: Callable[[], object], read: Callable[[], object]) -> list[float]:
    """Call ``begin`` at this process's share of the rate, and ``read`` once a second."""
    took: list[float] = []
    step, started = PROCESSES / RATE, time.monotonic()
    reads = 0
    number = 0
    while (now := time.monotonic()) < started + seconds:
        begin()
        number += 1
        if now - started > reads + 1:
            reads += 1
            before = time.perf_counter()
            read()
            took.append(time.perf_counter() - before)
        time.sleep(max(0.0, started + number * step - time.monotonic()))
    return took


def record(seconds: float) -> dict[str, Any]:
    """Make runs, and return how long the write transactions and the reads took."""
    import agentnb
    from agentnb.store.store import Store

    writes: list[float] = []
    plain = Store.begin

    @contextmanager
    def timed(self: Store, timeout: int | None = None) -> Generator[Any]:
        before = time.perf_counter()
        with plain(self, timeout) as connection:
            yield connection
        writes.append(time.perf_counter() - before)

    Store.begin = timed

    def answer(prompt: str) -> str:
        return "An answer. " * 20

    agent = agentnb.agent(answer)
    runs: list[str] = []
    reads = paced(
        seconds,
        lambda: runs.append(agent.start("A question?").local_id),
        lambda: agentnb.runs(limit=20),
    )
    flushed = agentnb.history.flush(60)
    return {"writes": writes, "reads": reads, "runs": len(runs), "flushed": flushed}


def record_peer(seconds: float, path: str) -> dict[str, Any]:
    """Write the same number of rows with `sqlite3`, one transaction each."""
    writes: list[float] = []
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(PEER)

        def begin() -> None:
            before = time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            row = (os.urandom(16).hex(), time.time(), "A question?", "An answer. " * 20)
            connection.execute("INSERT INTO run VALUES (?, ?, ?, ?)", row)
            connection.execute("COMMIT")
            writes.append(time.perf_counter() - before)

        def read() -> None:
            connection.execute("SELECT * FROM run ORDER BY at DESC LIMIT 20").fetchall()

        reads = paced(seconds, begin, read)
    return {"writes": writes, "reads": reads, "runs": len(writes), "flushed": True}


FIRST = """
import time
begun = time.perf_counter()
import agentnb
imported = time.perf_counter()
agentnb.runs(limit=20)
print(imported - begun, time.perf_counter() - imported)
"""


def together(seconds: float, path: Path, *, peer: bool) -> list[dict[str, Any]]:
    """Run all processes at once, first readers in the middle; return what each measured."""
    environment = {**os.environ, "AGENTNB_HISTORY": str(path)}
    words = [sys.executable, "-m", "tests.soak.kernels", "--seconds", str(seconds), "--child"]
    words += ["--peer", str(path)] if peer else []
    children = [
        subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    first: list[list[float]] = []
    if not peer:
        time.sleep(seconds / 2)
        for _ in range(READERS):
            done = subprocess.run(
                [sys.executable, "-c", FIRST],
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            )
            first.append([float(each) for each in done.stdout.split()])
    found = [json.loads(child.communicate(timeout=seconds + 120)[0]) for child in children]
    return [*found, {"first": first}]


def report(name: str, found: list[dict[str, Any]]) -> None:
    *children, last = found
    for kind in ("writes", "reads"):
        # Each process loads what it needs at its first read.
        skipped = 1 if kind == "reads" else 0
        values = [each for child in children for each in child[kind][skipped:]]
        print(
            f"{name} {kind}: {len(values)}, p50 {percentile(values, 0.5):.1f} ms, "
            f"p99 {percentile(values, 0.99):.1f} ms, longest {percentile(values, 1):.1f} ms"
        )
    for imported, read in last["first"]:
        print(f"{name} first read: {1000 * read:.0f} ms, after an import of {1000 * imported:.0f}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.kernels", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--child", action="store_true")
    parser.add_argument("--peer")
    given = parser.parse_args()
    if given.child:
        made = record_peer(given.seconds, given.peer) if given.peer else record(given.seconds)
        print(json.dumps(made))
        return 0
    with tempfile.TemporaryDirectory(prefix="agentnb-soak-") as folder:
        clean = surroundings.clean(os.environ, home=Path(folder))
        os.environ.clear()
        os.environ.update(clean)
        store = Path(folder, "history.sqlite")
        found = together(given.seconds, store, peer=False)
        report("agentnb", found)
        report("sqlite3", together(given.seconds, Path(folder, "peer.sqlite"), peer=True))
        wanted = sum(child["runs"] for child in found[:-1])
        with closing(sqlite3.connect(store)) as connection:
            ((there,),) = connection.execute("SELECT count(*) FROM run").fetchall()
    print(f"{there:,} of {wanted:,} runs are in the history")
    return int(there != wanted)


if __name__ == "__main__":
    sys.exit(main())

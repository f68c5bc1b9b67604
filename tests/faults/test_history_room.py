"""A disk that is full while runs are recorded: what fits is written, the rest waits for room."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.children import python

# Files cannot grow beyond a limit that is lowered and raised again: as on a disk that is full.
FILLING = """
    import resource, sqlite3, warnings
    import agentnb
    from agentnb.store.recorder import flush
    from agentnb.store.store import store

    LONG = 60

    def limit(size):
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    def brief(prompt):
        return "a" * 1000

    def there():
        with store(required=True).connect() as connection:
            rows = connection.exec_driver_sql("SELECT key FROM run").fetchall()
        return {key for key, in rows}

    warnings.simplefilter("always")
    agent = agentnb.agent(brief)
    first = agent.run("q")
    assert flush(LONG)
"""


def run(code: str, folder: Path) -> tuple[list[str], list[str]]:
    """Run ``code`` with a store of its own; return what it printed, and what it was warned of."""
    store = {"AGENTNB_HISTORY": str(folder / "history.sqlite")}
    done = python(FILLING + code, "-W", "always", environment=store)
    told = [line for line in done.stderr.splitlines() if "HistoryWarning" in line]
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines(), told


@pytest.mark.slow
def test_what_fits_is_written_and_the_rest_once_there_is_room(tmp_path: Path) -> None:
    printed, told = run(
        """
    lock = sqlite3.connect(store(required=True).path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    runs = [agent.start("q" * 500) for _ in range(1200)]
    for each in runs:
        each.wait(LONG)
    limit(2_000_000)
    lock.close()
    assert not flush(LONG)
    written = there()
    print(len(written))
    assert all(run.status == "completed" for run in runs)
    assert not flush(LONG)
    limit(resource.RLIM_INFINITY)
    assert flush(LONG)
    lost = {run.local_id for run in runs} - there()
    print(len(lost))
    assert len(there()) == 1201 - len(lost), (len(there()), first.local_id in there())
    """,
        tmp_path,
    )
    written, lost = map(int, printed)
    # About four kilobytes a run, in a file and its log of two megabytes each; a thousand may wait.
    assert written > 200
    assert lost == 0
    assert ("full" in told[0]) or ("the disk fails" in told[0])
    assert len(told) == 1


def test_one_that_is_too_large_does_not_hold_up_the_others(tmp_path: Path) -> None:
    printed, told = run(
        """
    limit(1_000_000)
    large = agent.start("q" * 3_000_000)
    small = [agent.start("q") for _ in range(20)]
    for each in (large, *small):
        each.wait(LONG)
    assert not flush(LONG)
    assert {run.local_id for run in small} <= there()
    assert large.local_id not in there()
    limit(resource.RLIM_INFINITY)
    assert flush(LONG)
    assert large.local_id in there()
    print("whole")
    """,
        tmp_path,
    )
    assert printed == ["whole"]
    assert len(told) == 1

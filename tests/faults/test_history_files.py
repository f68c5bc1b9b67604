"""Files of a store that are removed or replaced while a process writes to them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import agentnb
from agentnb import history
from agentnb.errors import HistoryWarning
from agentnb.store import recorder
from agentnb.store.recorder import flush, use
from agentnb.store.store import store
from tests.history.recorded import LONG, keys

READ = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(*(key for key, in connection.execute("SELECT key FROM run")))
"""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What the recorder's thread warned of."""
    found: list[str] = []

    def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        assert category is HistoryWarning
        found.append(str(message))

    fresh = recorder._Recorder()  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(recorder, "_recorder", fresh)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", show)
        yield found


@pytest.fixture
def path(tmp_path: Path, told: list[str]) -> Iterator[Path]:
    """The file of a store in use."""
    file = tmp_path / "folder" / "history.sqlite"
    use(file)
    yield file
    use(None)


def seen_by_another_process(path: Path) -> set[str]:
    command = [sys.executable, "-c", READ, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LONG)
    return set(done.stdout.split())


def ask(count: int = 1) -> set[str]:
    agent = agentnb.agent(brief)
    return {agent.run(str(number)).local_id for number in range(count)}


def brief(prompt: str) -> str:
    return f"answer to {prompt}"


def beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)


def remove(*ends: str) -> Callable[[Path], None]:
    def do(path: Path) -> None:
        for end in ends:
            beside(path, end).unlink()

    return do


def move(path: Path) -> None:
    path.rename(path.with_name("moved.sqlite"))


def replace(path: Path) -> None:
    """Put an older copy in its place, as who restores a backup does."""
    copy = path.with_name("copy.sqlite")
    shutil.copyfile(path, copy)
    for end in ("-wal", "-shm"):
        beside(path, end).unlink()
    copy.rename(path)


def replace_log(path: Path) -> None:
    log = beside(path, "-wal")
    log.unlink()
    log.touch()


def remove_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


LOGS = [remove("-wal"), remove("-shm"), remove("-wal", "-shm"), replace_log]
FILES = [remove("", "-wal", "-shm"), remove(""), move, replace, remove_folder]


@pytest.mark.parametrize("change", LOGS, ids=["wal", "shm", "wal and shm", "another wal"])
@pytest.mark.parametrize("runs", [0, 3])
def test_what_is_acknowledged_others_can_see(
    path: Path, told: list[str], change: Callable[[Path], None], runs: int
) -> None:
    before = ask(3)
    assert flush(LONG)
    assert seen_by_another_process(path) == before
    change(path)
    after = ask(runs)
    assert flush(LONG)
    assert seen_by_another_process(path) == before | after
    assert keys(store(required=True)) == before | after
    assert len(told) <= 1
    more = ask()
    assert flush(LONG)
    assert seen_by_another_process(path) == before | after | more


@pytest.mark.parametrize("change", FILES, ids=["all", "file", "moved", "replaced", "folder"])
def test_where_the_file_is_another_one_runs_are_written_there(
    path: Path, told: list[str], change: Callable[[Path], None]
) -> None:
    ask(3)
    assert flush(LONG)
    change(path)
    after = ask(3)
    assert flush(LONG)
    assert seen_by_another_process(path) >= after
    assert len(told) == 1
    assert f"{path} was moved or replaced while it was in use." in told[0]


def test_a_log_that_others_looked_for_meanwhile(path: Path, told: list[str]) -> None:
    before = ask(3)
    assert flush(LONG)
    beside(path, "-wal").unlink()
    # It makes another log, beside the index of the first.
    command = [sys.executable, "-c", READ, str(path)]
    subprocess.run(command, capture_output=True, check=False, timeout=LONG)
    after = ask(3)
    assert flush(LONG)
    assert seen_by_another_process(path) == before | after


def test_the_file_that_was_moved_is_left_alone(path: Path, told: list[str]) -> None:
    ask(3)
    assert flush(LONG)
    before = path.read_bytes()
    move(path)
    ask()
    assert flush(LONG)
    use("off")
    assert path.with_name("moved.sqlite").read_bytes() == before


def test_one_warning_says_what_was_written_again(path: Path, told: list[str]) -> None:
    for _ in range(3):
        ask()
        assert flush(LONG)
        replace_log(path)
        # The index goes with it: nobody knows any more what was in the log.
        beside(path, "-shm").unlink()
    assert flush(LONG)
    assert len(told) <= 1
    assert len(seen_by_another_process(path)) == 3


def test_what_was_forgotten_is_not_written_again(path: Path, told: list[str]) -> None:
    ask(3)
    assert flush(LONG)
    assert history.prune(keep=0).runs == 3
    kept = ask(2)
    assert flush(LONG)
    remove("-wal", "-shm")(path)
    assert flush(LONG)
    assert seen_by_another_process(path) == kept


def test_another_store_gets_nothing_of_it(path: Path, tmp_path: Path, told: list[str]) -> None:
    ask(3)
    assert flush(LONG)
    use(tmp_path / "another.sqlite")
    after = ask()
    assert flush(LONG)
    assert keys(store(required=True)) == after
    assert told == []


def test_who_only_reads_sees_the_file_that_is_there(path: Path) -> None:
    ask(3)
    assert len(agentnb.runs()) == 3
    use("off")
    use(path)
    fresh = recorder._Recorder()  # pyright: ignore[reportPrivateUsage]
    recorder._recorder = fresh  # pyright: ignore[reportPrivateUsage]
    assert len(agentnb.runs()) == 3
    path.rename(path.with_name("moved.sqlite"))
    assert len(agentnb.runs()) == 0

"""A store that fails: the run goes on, somebody is told once, and what can be kept is kept."""

from __future__ import annotations

import sqlite3
import threading
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Integer, literal, select, text
from sqlalchemy.exc import DBAPIError

import agentnb
from agentnb.errors import HistoryWarning
from agentnb.event.types import Event, Usage, UsageReported
from agentnb.store import recorder
from agentnb.store.recorder import flush, use
from agentnb.store.store import Store, store
from agentnb.store.writer import is_error_of_run
from tests.children import python
from tests.history.recorded import LONG, keys, recorded
from tests.played import until


def brief(prompt: str) -> str:
    return f"answer to {prompt}"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was warned of; the thread's warnings are not those of a test."""
    found: list[str] = []

    def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        assert category is HistoryWarning
        found.append(str(message))

    # Each fault is news to each test.
    fresh = recorder._Recorder()  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(recorder, "_recorder", fresh)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", show)
        yield found


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """The file of a store in use."""
    file = tmp_path / "folder" / "history.sqlite"
    use(file)
    yield file
    use(None)


def test_one_that_is_locked_for_long(path: Path, told: list[str]) -> None:
    agent = agentnb.agent(brief)
    before = agent.run("before")
    assert flush(LONG)
    opened = store(required=True)
    # Thirty seconds are too long for a test.
    with opened.autocommit() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=50")
    lock = sqlite3.connect(path, isolation_level=None)
    try:
        lock.execute("BEGIN IMMEDIATE")
        during = [agent.run(str(number)) for number in range(3)]
        assert not flush(LONG)
        assert [run.text for run in during] == [f"answer to {n}" for n in range(3)]
        assert not flush(LONG)
        assert keys(opened) == {before.local_id}
        assert len(told) == 1
        assert "locked" in told[0]
    finally:
        lock.close()
    assert flush(LONG)
    assert keys(opened) == {run.local_id for run in (before, *during)}
    for run in during:
        assert recorded(opened, run).events == list(run.events)


def test_a_disk_that_is_full(path: Path, told: list[str]) -> None:
    agent = agentnb.agent(brief)
    agent.run("before")
    assert flush(LONG)
    opened = store(required=True)

    def limit(pages: int) -> None:
        # Of SQLite's own, which answers as where there is no room.
        with opened.autocommit() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    limit(1)
    large = agent.run("q" * 100_000)
    assert not flush(LONG)
    assert large.status == "completed"
    assert len(told) == 1
    assert "full" in told[0]
    limit(2**30)
    assert flush(LONG)
    assert recorded(opened, large).content["prompt"] == "q" * 100_000


@pytest.mark.slow
@pytest.mark.parametrize("history_url", ["postgresql"], indirect=True)
def test_a_database_that_goes_away_and_comes_back(
    history_store: Store, history_url: str, told: list[str]
) -> None:
    agent = agentnb.agent(brief)
    before = agent.run("before")
    assert flush(LONG)
    address = history_url.replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(address, autocommit=True) as server:
        others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = %s"
        ended = f"SELECT pg_terminate_backend(pid) {others}".encode()
        server.execute(ended, [server.info.dbname])
        during = agent.run("during")
        assert during.text == "answer to during"
    until(lambda: flush(LONG))
    assert keys(history_store) == {before.local_id, during.local_id}


def test_it_is_tried_again_by_itself(path: Path, told: list[str]) -> None:
    agent = agentnb.agent(brief)
    agent.run("before")
    assert flush(LONG)
    opened = store(required=True)
    with opened.autocommit() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=50")
    lock = sqlite3.connect(path, isolation_level=None)
    try:
        lock.execute("BEGIN IMMEDIATE")
        during = agent.run("during")
        assert not flush(LONG)
    finally:
        lock.close()
    until(lambda: during.local_id in keys(opened))


def test_a_run_that_streams_while_it_fails(path: Path, told: list[str]) -> None:
    """What is due afterwards is whole, though part of it was written before."""
    gates = [threading.Event() for _ in range(3)]

    def slow(prompt: str) -> Iterator[str]:
        for number, gate in enumerate(gates):
            yield from (f"{number}.{n} " for n in range(400))
            gate.wait(LONG)

    run = agentnb.agent(slow).start("q")
    until(lambda: len(run.events) > 400)
    assert flush(LONG)
    opened = store(required=True)
    assert recorded(opened, run.local_id).run["events"] > 400
    with opened.autocommit() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=50")
    lock = sqlite3.connect(path, isolation_level=None)
    try:
        lock.execute("BEGIN IMMEDIATE")
        gates[0].set()
        until(lambda: len(run.events) > 800)
        assert not flush(LONG)
    finally:
        lock.close()
    assert flush(LONG)
    for gate in gates:
        gate.set()
    run.wait(LONG)
    found = recorded(opened, run)
    assert found.events == list(run.events)
    assert found.content["text"] == run.text
    assert len(told) == 1


def test_a_place_that_cannot_be_written(tmp_path: Path, told: list[str]) -> None:
    (tmp_path / "file").write_text("not a folder")
    use(tmp_path / "file" / "history.sqlite")
    try:
        run = agentnb.agent(brief).run("q")
        assert run.text == "answer to q"
        assert not flush(LONG)
        agentnb.agent(brief).run("q")
        assert not flush(LONG)
        assert len(told) == 1
        assert "history.sqlite" in told[0]
        # Another place: what is still known is written there.
        use(tmp_path / "elsewhere.sqlite")
        assert flush(LONG)
        assert run.local_id in keys(store(required=True))
    finally:
        use(None)


def test_history_that_is_off(told: list[str]) -> None:
    use("off")
    try:
        run = agentnb.agent(brief).run("q")
        assert run.text == "answer to q"
        assert not flush(LONG)
        assert told == []
        mine = recorder._recorder  # pyright: ignore[reportPrivateUsage]
        assert not mine._due  # pyright: ignore[reportPrivateUsage]
        assert not mine._live  # pyright: ignore[reportPrivateUsage]
    finally:
        use(None)


def test_what_waits_for_a_store_that_stays_broken_is_bounded(
    tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "_MAX_WAITING", 10)
    (tmp_path / "file").write_text("not a folder")
    use(tmp_path / "file" / "history.sqlite")
    try:
        agent = agentnb.agent(brief)
        runs = [agent.run(str(number)) for number in range(30)]
        assert not flush(LONG)
        assert len(told) == 2
        assert "the oldest are not recorded" in told[1]
        use(tmp_path / "elsewhere.sqlite")
        assert flush(LONG)
        assert keys(store(required=True)) == {run.local_id for run in runs[-10:]}
    finally:
        use(None)


def test_another_store_gets_the_whole_of_a_live_run(tmp_path: Path, told: list[str]) -> None:
    gate = threading.Event()

    def slow(prompt: str) -> Iterator[str]:
        yield "before "
        gate.wait(LONG)
        yield "after"

    try:
        use(tmp_path / "one.sqlite")
        run = agentnb.agent(slow).start("q")
        until(lambda: run.text)
        assert flush(LONG)
        assert recorded(store(required=True), run.local_id).content["text"] == "before "
        use(tmp_path / "two.sqlite")
        gate.set()
        run.wait(LONG)
        found = recorded(store(required=True), run)
        assert found.events == list(run.events)
        assert found.content["text"] == "before after"
    finally:
        gate.set()
        use(None)


def test_rows_that_somebody_deleted_are_written_again(history_store: Store) -> None:
    """A table emptied by hand, the process's own row with it."""
    gate = threading.Event()

    def slow(prompt: str) -> Iterator[str]:
        yield "before "
        gate.wait(LONG)
        yield "after"

    run = agentnb.agent(slow).start("q")
    try:
        until(lambda: run.text)
        assert flush(LONG)
        with history_store.begin() as connection:
            for table in ("content", "event_chunk", "tool_call", "run", "process"):
                connection.exec_driver_sql(f"DELETE FROM {table}")
    finally:
        gate.set()
    run.wait(LONG)
    found = recorded(history_store, run)
    assert found.run["status"] == "completed"
    assert found.events == list(run.events)


def test_a_cell_shows_it_once(tmp_path: Path) -> None:
    """The warning comes from a thread; whoever looks at stderr sees it, and only once."""
    file = tmp_path / "file"
    file.write_text("x")
    done = python(
        """
        import agentnb
        from agentnb.store.recorder import flush
        def brief(prompt):
            return "ok"
        for number in range(3):
            assert agentnb.agent(brief).run("q").text == "ok"
            assert not flush(30)
        """,
        "-W",
        "default",
        environment={"AGENTNB_HISTORY": str(file / "history.sqlite")},
    )
    assert done.stderr.count("HistoryWarning") == 1


def test_a_run_that_cannot_be_written_is_named_and_costs_no_other(
    history_store: Store, told: list[str]
) -> None:
    async def several(prompt: str) -> AsyncIterator[Event]:
        usage = Usage(input_tokens=3)
        if prompt == "bad":
            # As a platform of somebody else's could give it, past the constructor.
            object.__setattr__(usage, "cost_usd", {"usd": 1})
        yield UsageReported(usage=usage)

    agent = agentnb.agent(several)
    good = [agent.start(str(number)) for number in range(3)]
    bad = agent.start("bad")
    good += [agent.start(str(number)) for number in range(3)]
    for run in (*good, bad):
        run.wait()
    assert flush(LONG)
    assert keys(history_store) == {run.local_id for run in good}
    assert told == [f"The run {bad.id} is not recorded: TypeError was raised."]


def test_a_value_that_the_driver_does_not_know_is_error_of_run(history_store: Store) -> None:
    with pytest.raises(DBAPIError) as caught, history_store.connect() as connection:
        connection.execute(select(literal({"a": 1}, Integer)))
    assert is_error_of_run(caught.value)
    with pytest.raises(DBAPIError) as caught, history_store.connect() as connection:
        connection.execute(text("SELECT 1 FROM no_such_table"))
    assert not is_error_of_run(caught.value)

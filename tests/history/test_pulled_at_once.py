"""Pulls and recorders that write the same runs at the same moment, on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select, text, update
from sqlalchemy.exc import OperationalError

from agentnb.store.recorder import use
from agentnb.store.rows import Rows
from agentnb.store.schema import content, run
from agentnb.store.store import Store, store
from agentnb.store.transactions import in_transaction, write
from agentnb.store.values import platform_key
from agentnb.synchronization.merge import write_listed
from tests.history import postgresql
from tests.history.test_pulled import entry, record, rows
from tests.played import LONG, until

pytestmark = pytest.mark.slow

KEY = "k" * 32


@pytest.fixture
def shared(postgresql_server: postgresql.Server, new_database: str) -> Iterator[Store]:
    """An empty store that several write to at once."""
    with postgresql_server.database(template=new_database) as url:
        use(url)
        try:
            yield store(required=True)
        finally:
            use(None)


class Other:
    """Work in another thread; `result` waits for what it returned or raised."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._results: list[object] = []
        self._work = work
        self._thread = threading.Thread(target=self._do, daemon=True)
        self._thread.start()

    def _do(self) -> None:
        try:
            self._results.append(self._work())
        except Exception as error:
            self._results.append(error)

    def result(self) -> object:
        self._thread.join(LONG)
        return self._results[0]


def until_waiting(shared: Store, many: int = 1) -> None:
    """Return when so many wait for a lock that another holds."""
    blocked = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )

    def found() -> bool:
        with shared.connect() as connection:
            return connection.execute(blocked).scalar_one() >= many

    until(found)


def recorded(connection: Connection, shared: Store) -> None:
    """Write the run r1 as the recorder does."""
    told: dict[str, Any] = {"key": KEY, "source": "recorded", "platform": "p", "run_id": "r1"}
    told |= {"agent": "a", "status": "completed", "started_at": 1}
    kept = Rows(run=told, content=None, chunks=[], tool_calls=[], is_fresh=True, may_be_pulled=True)
    write(connection, shared, [kept])


def sources(shared: Store) -> list[tuple[str, str]]:
    with shared.connect() as connection:
        return [tuple(row) for row in connection.execute(select(run.c.key, run.c.source))]


def test_what_the_recorder_writes_last_stays(shared: Store) -> None:
    record(shared, KEY, text="The be", status="running")
    told = entry(output="The beginning of it.")
    with shared.begin() as connection:
        connection.execute(update(run).values(status="completed", output_tokens=7))
        final = {"text": "The whole of it.", "prompt": "Why, then?"}
        connection.execute(update(content).values(final))
        pulling = Other(lambda: write_listed(shared, [told]))
        until_waiting(shared)
    assert pulling.result() == ["updated"]
    (row,) = rows(shared)
    assert (row["text"], row["prompt"]) == ("The whole of it.", "Why, then?")
    assert (row["source"], row["status"], row["output_tokens"]) == ("both", "completed", 7)


def test_one_that_is_being_recorded_stays_one_row(shared: Store) -> None:
    with shared.begin() as connection:
        recorded(connection, shared)
        pulling = Other(lambda: write_listed(shared, [entry()]))
        until_waiting(shared)
    assert pulling.result() == ["updated"]
    assert sources(shared) == [(KEY, "both")]


def test_one_that_is_being_pulled_becomes_one_row(shared: Store) -> None:
    def write_it() -> None:
        with shared.begin() as connection:
            recorded(connection, shared)

    with shared.begin() as holding:
        # What holds up the pull in the middle of its work, and then is not there after all.
        told = {"source": "platform", "platform": "p", "status": "completed", "started_at": 1}
        holding.execute(run.insert().values(key=platform_key("p", "r1"), **told))
        pulling = Other(lambda: write_listed(shared, [entry()]))
        until_waiting(shared)
        recording = Other(write_it)
        until_waiting(shared, 2)
        holding.execute(delete(run))
    assert pulling.result() == ["added"]
    assert recording.result() is None
    assert sources(shared) == [(KEY, "both")]


def test_pulls_in_any_order(shared: Store) -> None:
    ids = [f"r{n}" for n in range(60)]
    turns = 15

    def work(ids: list[str]) -> int:
        for turn in range(turns):
            write_listed(shared, [entry(each, raw={"turn": turn}) for each in ids])
        return turns

    others = [Other(lambda each=each: work(each)) for each in (ids, ids[::-1]) * 2]
    assert [each.result() for each in others] == [turns] * 4
    assert {row["source"] for row in rows(shared)} == {"platform"}
    assert len(rows(shared)) == len(ids)


def test_a_deadlock_costs_nothing(shared: Store) -> None:
    ids = sorted(["r1", "r2"], key=lambda each: platform_key("p", each))
    write_listed(shared, [entry(each) for each in ids])
    first, last = (platform_key("p", each) for each in ids)
    with shared.begin() as connection:
        # Who waits first finds the deadlock, and is who gives way.
        connection.execute(text("SET LOCAL deadlock_timeout = '60s'"))
        connection.execute(update(run).where(run.c.key == last).values(title="mine"))
        changed = [entry(each, raw={"n": 1}, agent="b") for each in ids]
        pulling = Other(lambda: write_listed(shared, changed))
        until_waiting(shared)
        connection.execute(update(run).where(run.c.key == first).values(title="mine"))
    assert pulling.result() == ["updated", "updated"]
    assert {row["agent"] for row in rows(shared)} == {"b"}


def test_what_fails_again_and_again_is_raised(shared: Store) -> None:
    attempts: list[Connection] = []

    def work(connection: Connection) -> None:
        attempts.append(connection)
        raising = "DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40P01'; END $$"
        connection.execute(text(raising))

    with pytest.raises(OperationalError, match="again"):
        in_transaction(shared, work)
    assert len(attempts) == 3

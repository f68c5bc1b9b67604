"""Runs that go on while their store is left, lost, or somebody takes their process for gone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import SQLAlchemyError

import agentnb
from agentnb.event.types import Event, RunFinished, RunStarted, TextDelta, ToolCallStarted
from agentnb.platforms.base import RunRequest
from agentnb.store import recorder
from agentnb.store.interruption import end_process
from agentnb.store.processes import process_id
from agentnb.store.recorder import flush, use
from agentnb.store.store import Store, store
from tests.history.recorded import LONG, keys, processes, recorded
from tests.played import Batches, PlayedPlatform, player, until


def brief(prompt: str) -> str:
    return f"answer to {prompt}"


class Slow:
    """Runs that have said something and called a tool, and wait."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.runs: list[agentnb.Run] = []

    async def script(self, request: RunRequest) -> Batches:
        import asyncio

        call = ToolCallStarted(call_id="c", name="look")
        events: list[Event] = [RunStarted(run_id="r"), TextDelta("before "), call]
        yield events
        await asyncio.to_thread(self.gate.wait, LONG)
        yield [TextDelta("after"), RunFinished()]

    def start(self) -> agentnb.Run:
        run = player(PlayedPlatform(self.script)).start("q")
        self.runs.append(run)
        until(lambda: run.text)
        assert flush(LONG)
        return run


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    # Runs of other tests that go on are not this one's.
    fresh = recorder._Recorder()  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(recorder, "_recorder", fresh)
    made = Slow()
    yield made
    # Nothing of it reaches the store of another test.
    made.gate.set()
    for run in made.runs:
        run.wait(LONG)
    flush(LONG)


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "second.sqlite"
    use(None)


def status(opened: Store, run: agentnb.Run) -> tuple[str, list[str]]:
    found = recorded(opened, run.local_id)
    return found.run["status"], [call["status"] for call in found.calls]


class TestAProcessThatWasTakenForGone:
    def interrupt(self, opened: Store) -> None:
        with opened.begin() as connection:
            end_process(connection)

    def test_its_runs_come_back(
        self, history_store: Store, slow: Slow, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By themselves, though nothing new comes."""
        monkeypatch.setattr(recorder, "HEARTBEAT", 0.1)
        run = slow.start()
        self.interrupt(history_store)
        until(lambda: status(history_store, run) == ("running", ["running"]))
        assert recorded(history_store, run.local_id).run["error"] is None
        (mine,) = [row for row in processes(history_store) if row["id"] == process_id()]
        assert mine["ended_at"] is None

    def test_one_that_ends_before_it_is_noticed(self, history_store: Store, slow: Slow) -> None:
        run = slow.start()
        self.interrupt(history_store)
        assert status(history_store, run) == ("interrupted", ["abandoned"])
        slow.gate.set()
        run.wait(LONG)
        found = recorded(history_store, run)
        assert found.run["status"] == "completed"
        assert found.run["error"] is None
        assert found.events == list(run.events)


class TestAnotherStore:
    def test_what_has_arrived_is_written_to_the_one_that_is_left(
        self, history_store: Store, history_url: str, second: Path, slow: Slow
    ) -> None:
        done = agentnb.agent(brief).run("q")
        use(second)
        assert flush(LONG)
        assert keys(store(required=True)) == set()
        use(history_url)
        assert keys(store(required=True)) == {done.local_id}

    def test_what_goes_on_ends_there_and_is_whole_here(
        self, history_store: Store, history_url: str, second: Path, slow: Slow
    ) -> None:
        run = slow.start()
        use(second)
        # By itself, though nothing new comes.
        until(lambda: run.local_id in keys(store(required=True)))
        assert status(store(required=True), run) == ("running", ["running"])
        slow.gate.set()
        run.wait(LONG)
        found = recorded(store(required=True), run)
        assert found.run["status"] == "completed"
        assert found.events == list(run.events)
        # Somebody else's look at the one that was left.
        use(history_url)
        left = store(required=True)
        assert status(left, run) == ("interrupted", ["abandoned"])
        assert recorded(left, run.local_id).content["text"] == "before "
        assert [row["ended_at"] is None for row in processes(left)] == [False]

    def test_one_that_was_not_opened_is_not(self, tmp_path: Path, second: Path, slow: Slow) -> None:
        first, third = tmp_path / "first.sqlite", tmp_path / "third.sqlite"
        use(first)
        agentnb.agent(brief).run("q")
        use(second)
        use(third)
        assert first.exists()
        assert not second.exists()
        assert not third.exists()

    @pytest.mark.filterwarnings("error::ResourceWarning")
    def test_connections_in_use_are_closed_when_they_are_given_back(
        self, history_store: Store, second: Path, slow: Slow
    ) -> None:
        with history_store.begin() as connection:
            used = connection.connection.dbapi_connection
            assert used is not None
            use(second)
            connection.exec_driver_sql("SELECT 1")
        if history_store.dialect == "postgresql":
            assert used.closed  # pyright: ignore[reportAttributeAccessIssue]
            return
        with pytest.raises(Exception, match="closed database"):
            used.execute("SELECT 1")  # pyright: ignore[reportAttributeAccessIssue]


class TestAFileThatIsLost:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Iterator[Path]:
        file = tmp_path / "folder" / "history.sqlite"
        use(file)
        yield file
        use(None)

    def delete(self, path: Path) -> None:
        for file in path.parent.iterdir():
            file.unlink()

    def test_a_new_one_is_made(self, path: Path, slow: Slow) -> None:
        before = agentnb.agent(brief).run("before")
        run = slow.start()
        assert keys(store(required=True)) == {before.local_id, run.local_id}
        self.delete(path)
        after = agentnb.agent(brief).run("after")
        assert flush(LONG)
        assert path.exists()
        assert keys(store(required=True)) == {run.local_id, after.local_id}
        slow.gate.set()
        run.wait(LONG)
        assert recorded(store(required=True), run).events == list(run.events)

    def test_it_is_noticed_though_nothing_comes(
        self, path: Path, slow: Slow, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(recorder, "HEARTBEAT", 0.1)
        run = slow.start()
        self.delete(path)
        path.parent.rmdir()
        until(path.exists)

        def there() -> bool:
            try:
                return run.local_id in keys(store(required=True))
            except SQLAlchemyError:
                # The one that was lost, if this looks just before it is noticed.
                return False

        until(there)

    def test_another_one_in_its_place(self, path: Path, tmp_path: Path, slow: Slow) -> None:
        agent = agentnb.agent(brief)
        agent.run("before")
        assert flush(LONG)
        lost = store(required=True)
        path.rename(tmp_path / "moved.sqlite")
        other = agent.run("other")
        assert flush(LONG)
        assert store(required=True) is not lost
        assert keys(store(required=True)) == {other.local_id}

"""The open store: transactions, who may read it, threads, forks, and which one it is."""

from __future__ import annotations

import gc
import stat
import threading
import warnings
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import func, make_url, select
from sqlalchemy.exc import DBAPIError

from agentnb.errors import HistoryError
from agentnb.history import use as public_use
from agentnb.redaction.secrets import mask
from agentnb.store import statements
from agentnb.store.recorder import use
from agentnb.store.schema import content, metadata, process, run
from agentnb.store.store import Store, is_off, store
from tests.children import python
from tests.history.rows import a_process, a_run, add


def test_it_is_opened_once(history_store: Store) -> None:
    assert store() is history_store
    assert store(required=True) is history_store
    assert history_store.dialect in repr(history_store)


def test_what_is_written_is_there(history_store: Store) -> None:
    add(history_store, process, a_process())
    add(history_store, run, a_run("1"))
    with history_store.connect() as connection:
        assert connection.execute(select(run.c.key, run.c.status)).all() == [("1", "completed")]


def test_a_row_is_inserted_or_updated(history_store: Store) -> None:
    statement = history_store.insert(process).values(a_process())
    statement = statement.on_conflict_do_update(
        index_elements=[process.c.id], set_={"seen_at": statement.excluded.seen_at + 1}
    )
    for _ in range(2):
        with history_store.begin() as connection:
            connection.execute(statement)
    with history_store.connect() as connection:
        assert connection.execute(select(process.c.seen_at)).all() == [(2,)]


def test_what_fails_half_way_leaves_nothing(history_store: Store) -> None:
    def work() -> None:
        with history_store.begin() as connection:
            connection.execute(process.insert().values(a_process()))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()
    with history_store.connect() as connection:
        assert connection.execute(select(process)).all() == []


def test_reading_cannot_write(history_store: Store) -> None:
    with (
        history_store.connect() as connection,
        pytest.raises(DBAPIError, match=r"read-?only"),
    ):
        connection.execute(process.insert().values(a_process()))
    # The same connection, from the pool, writes afterwards.
    add(history_store, process, a_process())


def test_a_run_s_rows_go_with_it(history_store: Store) -> None:
    add(history_store, process, a_process())
    add(history_store, run, a_run("1"))
    add(history_store, content, {"run": "1", "prompt": "?"})
    with history_store.begin() as connection:
        connection.execute(run.delete())
    with history_store.connect() as connection:
        assert connection.execute(select(content)).all() == []
    with pytest.raises(DBAPIError):
        add(history_store, content, {"run": "of no run"})


def test_a_reader_sees_one_state_and_waits_for_nobody(history_store: Store) -> None:
    add(history_store, process, a_process())
    count = select(func.count()).select_from(run)
    with history_store.connect() as reader:
        assert reader.execute(count).scalar() == 0
        with history_store.begin() as writer:
            writer.execute(run.insert().values(a_run("1")))
            # While the writer holds its lock, and after it is done.
            assert reader.execute(count).scalar() == 0
            with history_store.connect() as another:
                assert another.execute(count).scalar() == 0
        assert reader.execute(count).scalar() == 0
    with history_store.connect() as reader:
        assert reader.execute(count).scalar() == 1


def test_threads_read_and_write_at_once(history_store: Store) -> None:
    add(history_store, process, a_process())
    failures: list[BaseException] = []

    def work(name: int) -> None:
        try:
            for number in range(20):
                with history_store.begin() as connection:
                    # Reads before it writes: deferred, this would fail at the lock.
                    connection.execute(select(func.count()).select_from(run))
                    connection.execute(run.insert().values(a_run(f"{name}-{number}")))
                with history_store.connect() as connection:
                    connection.execute(select(func.count()).select_from(run))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    with history_store.connect() as connection:
        assert connection.execute(select(func.count()).select_from(run)).scalar() == 120


def test_statements_that_refuse_a_transaction(history_store: Store) -> None:
    with history_store.autocommit() as connection:
        connection.exec_driver_sql("VACUUM")
        connection.execute(process.insert().values(a_process()))
    with history_store.connect() as connection:
        assert connection.execute(select(func.count()).select_from(process)).scalar() == 1


def test_a_child_goes_on_by_itself(history_url: str) -> None:
    done = python(
        """
        import os, sys
        from sqlalchemy import func, select
        from agentnb.store.schema import process
        from agentnb.store.recorder import use
        from agentnb.store.store import store
        from tests.history.rows import a_process, add

        use(sys.argv[1])
        mine = store(required=True)
        add(mine, process, a_process("parent"))
        with mine.connect() as connection:
            connection.execute(select(process)).all()
            child = os.fork()
            if not child:
                theirs = store(required=True)
                assert theirs is not mine
                add(theirs, process, a_process("child"))
                sys.exit(0)
            assert os.waitpid(child, 0)[1] == 0
            # The child's end took nothing away from the parent's connections.
            connection.execute(select(process)).all()
        add(mine, process, a_process("parent again"))
        with mine.connect() as connection:
            print(connection.execute(select(func.count()).select_from(process)).scalar())
        """.replace("sys.argv[1]", repr(history_url)),
    )
    assert (done.stdout, done.stderr) == ("3\n", "")


def test_only_the_user_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "history.sqlite"
    public_use(path)
    try:
        opened = store(required=True)
        with opened.begin():
            files = sorted(path.parent.iterdir())
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in files}
        assert modes == dict.fromkeys(
            ["history.sqlite", "history.sqlite-shm", "history.sqlite-wal"], 0o600
        )
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert opened.path == path
    finally:
        use(None)


def test_how_sqlite_is_set(tmp_path: Path) -> None:
    use(tmp_path / "history.sqlite")
    try:
        with store(required=True).connect() as connection:
            names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
        assert found == ["wal", 1, 1, 30_000]
    finally:
        use(None)


def test_no_log_on_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "history.sqlite"
    listing = tmp_path / "mountinfo"
    mounted = str(tmp_path.resolve()).replace(" ", "\\040")
    listing.write_text(f"30 27 0:30 / {mounted} rw - nfs4 server:/home rw\n", encoding="utf-8")

    def modes() -> list[object]:
        use(path)
        with store(required=True).connect() as connection:
            names = ("journal_mode", "synchronous")
            return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    try:
        assert modes() == ["wal", 1]
        add(store(required=True), process, a_process())
        # The same file, once it is seen by way of the network.
        monkeypatch.setattr("agentnb.store.network_drives._MOUNTINFO", listing)
        monkeypatch.setattr("sys.platform", "linux")
        assert modes() == ["delete", 2]
        add(store(required=True), run, a_run("1"))
        assert sorted(file.name for file in tmp_path.iterdir()) == ["history.sqlite", "mountinfo"]
    finally:
        use(None)


def test_another_store_from_now_on(tmp_path: Path) -> None:
    use(tmp_path / "one.sqlite")
    try:
        add(store(required=True), process, a_process())
        use(str(tmp_path / "two.sqlite"))
        with store(required=True).connect() as connection:
            assert connection.execute(select(process)).all() == []
        use("off")
        assert store() is None
        assert is_off()
        with pytest.raises(HistoryError, match="History is off"):
            store(required=True)
        use(tmp_path / "one.sqlite")
        assert not is_off()
        with store(required=True).connect() as connection:
            assert len(connection.execute(select(process)).all()) == 1
    finally:
        use(None)


def test_what_is_no_place_changes_nothing(history_store: Store) -> None:
    with pytest.raises(HistoryError, match="mysql is none of its databases"):
        use("mysql://user:secret@host/database")
    assert store() is history_store


def test_a_full_store_is_opened_without_alembic(tmp_path: Path) -> None:
    code = f"""
        import sys
        from agentnb.store.recorder import use
        from agentnb.store.store import store
        use({str(tmp_path / "history.sqlite")!r})
        store(required=True)
        print("alembic" in sys.modules)
    """
    assert [python(code).stdout for _ in range(2)] == ["True\n", "False\n"]


def test_a_prompt_is_not_in_an_error(history_store: Store) -> None:
    with pytest.raises(DBAPIError) as raised:
        add(history_store, content, {"run": "of no run", "prompt": "what nobody should read"})
    if history_store.dialect == "sqlite":
        assert "nobody" not in str(raised.value)
    assert "[SQL parameters hidden" in str(raised.value)


def test_its_tables(history_store: Store) -> None:
    with history_store.connect() as connection:
        for table in metadata.sorted_tables:
            assert connection.execute(select(table)).all() == []


@pytest.mark.slow
@pytest.mark.parametrize("history_url", ["postgresql"], indirect=True)
def test_a_password_that_is_a_word_stays_in_what_is_kept(history_url: str) -> None:
    """It is masked where the address is shown, and not where somebody writes of databases."""
    address = make_url(history_url).set(password="databases")
    try:
        use(address.render_as_string(hide_password=False))
        opened = store(required=True)
        assert "databases" not in opened.url
        assert mask("Compare databases.") == "Compare databases."
    finally:
        use(None)


@pytest.mark.slow
@pytest.mark.parametrize("history_url", ["postgresql"], indirect=True)
def test_a_server_that_is_lost_while_rows_are_read_leaves_nothing_open(
    history_store: Store, history_url: str
) -> None:
    add(history_store, process, *(a_process(str(n)) for n in range(5_000)))
    address = history_url.replace("postgresql+psycopg", "postgresql")
    ended = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )

    def read() -> None:
        with statements.reading(history_store) as connection:
            for _ in statements.pages(connection, process.select(), size=10):
                with psycopg.connect(address, autocommit=True) as server:
                    server.execute(ended)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(HistoryError):
            read()
        gc.collect()
    assert [str(each.message) for each in caught] == []

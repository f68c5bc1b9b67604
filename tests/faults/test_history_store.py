"""Stores that cannot be used: one clear warning, and they are left as they are."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import tempfile
import traceback
import warnings
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from textwrap import dedent

import pytest

from agentnb.errors import HistoryError, HistoryWarning
from agentnb.store.location import place
from agentnb.store.opening import open_engine
from agentnb.store.recorder import use
from agentnb.store.schema import process
from agentnb.store.store import Store, store
from tests.children import python, spawn
from tests.history import postgresql
from tests.history.rows import a_process, add

LOCK = """
    import sqlite3, sys
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("SELECT * FROM sqlite_master").fetchall()
    print("locked")
    sys.stdin.readline()
"""
# What a kernel does when it opens its store: go on, and say why nothing is recorded.
ASK = """
    import warnings
    from agentnb.store.recorder import use
    from agentnb.store.store import store
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            print(store())
    for each in caught:
        print(each.category.__name__, each.message)
"""
# As anybody but root, for whom permissions mean nothing; all is imported before.
NOBODY = """
    import os, warnings
    import alembic.command, sqlalchemy.dialects.sqlite
    import agentnb.store.opening, agentnb.store.store
    if os.geteuid() == 0:
        os.setegid(65534)
        os.seteuid(65534)
"""


@pytest.fixture(autouse=True)
def no_store() -> Iterator[None]:
    yield
    use(None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with a row in it."""
    path = tmp_path / "history.sqlite"
    use(path)
    add(store(required=True), process, a_process())
    use(None)
    return path


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that others may pass, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="agentnb-home-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def files(folder: Path) -> dict[str, bytes]:
    # Beside a file in WAL mode, what its readers share is made anew by each first one.
    return {
        file.name: file.read_bytes()
        for file in sorted(folder.iterdir())
        if not file.name.endswith(("-shm", "-wal"))
    }


def refused(url: str | Path) -> str:
    """What is said of the store at ``url``: once as a warning, and always where it is needed."""
    use(url)
    with pytest.warns(HistoryWarning) as caught:
        assert store() is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store() is None
    assert len(caught) == 1
    with pytest.raises(HistoryError) as raised:
        store(required=True)
    assert raised.value.hint is not None
    said = str(caught[0].message)
    assert said == f"{raised.value} Runs go on unrecorded."
    assert "\n" not in said
    return said


@contextmanager
def locked(path: Path) -> Generator[None]:
    holder = spawn(LOCK.replace("sys.argv[1]", repr(str(path))))
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        yield
    finally:
        holder.kill()
        holder.communicate()


def test_locked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentnb.store.opening._BUSY_AT_OPENING", 0.2)
    before = files(path.parent)
    with locked(path):
        said = refused(path)
    assert said.startswith(f"The store of runs {path} is locked by another process.")
    assert files(path.parent) == before
    # As soon as it is free, whoever needs it has it.
    with store(required=True).connect() as connection:
        assert len(connection.execute(process.select()).all()) == 1


def test_a_locked_store_is_tried_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentnb.store.opening._BUSY_AT_OPENING", 0.2)
    monkeypatch.setattr("agentnb.store.store._RETRY_SECONDS", 0.0)
    use(path)
    with locked(path):
        with pytest.warns(HistoryWarning, match="is locked"):
            assert store() is None
        # Tried, and not warned of again, which would be an error here.
        assert store() is None
    assert store() is not None


def test_a_home_that_is_read_only(home: Path) -> None:
    with made_read_only(home):
        done = python(NOBODY + ASK, environment=surroundings(home, home / "a" / "h.sqlite"))
    *nones, said = done.stdout.splitlines()
    assert nones == ["None"] * 3
    assert said.startswith(
        f"HistoryWarning The store of runs {home / 'a' / 'h.sqlite'} cannot be made: Permission"
    )
    assert said.endswith("AGENTNB_HISTORY, or 'off'. Runs go on unrecorded.")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_file_that_is_read_only(path: Path, home: Path, journal: str) -> None:
    path = path.rename(home / path.name)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(f"PRAGMA journal_mode={journal}").fetchone() == (journal,)
    before = files(path.parent)
    path.chmod(0o444)
    with made_read_only(home):
        done = python(NOBODY + ASK, environment=surroundings(home, path))
    *nones, said = done.stdout.splitlines()
    assert nones == ["None"] * 3
    assert said.startswith(f"HistoryWarning The store of runs {path} cannot be ")
    assert "another place in AGENTNB_HISTORY" in said
    assert files(path.parent) == before


def surroundings(home: Path, path: Path) -> dict[str, str]:
    return {"AGENTNB_HISTORY": str(path), "XDG_CONFIG_HOME": str(home)}


@contextmanager
def made_read_only(folder: Path) -> Generator[None]:
    folder.chmod(0o555)
    try:
        yield
    finally:
        folder.chmod(0o755)


def test_no_room_on_the_disk(tmp_path: Path) -> None:
    """Where files may not grow any more, writing fails as it does on a full disk."""
    path = tmp_path / "history.sqlite"
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
    done = python(
        f"import agentnb.store.opening, alembic.command\n{limit}" + dedent(ASK),
        "-B",
        environment={"AGENTNB_HISTORY": str(path)},
    )
    *nones, said = done.stdout.splitlines()
    assert nones == ["None"] * 3
    assert said.startswith(f"HistoryWarning The store of runs {path} ")
    assert "the disk" in said
    # What was begun is undone: with room again, it goes on.
    use(path)
    assert isinstance(store(required=True), Store)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount")
def test_a_full_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "none", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("root may not mount here, either")
    try:
        said = refused(disk / "history.sqlite")
        use(None)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert "has no room: the disk is full." in said
    assert "Make room" in said


def test_no_database_at_all(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    path.write_bytes(b"my diary, which is not a database" * 200)
    before = files(tmp_path)
    assert f"{path} is not an SQLite database, or is damaged." in refused(path)
    assert files(tmp_path) == before


@pytest.mark.parametrize("page", [0, 1])
def test_a_damaged_file(path: Path, page: int) -> None:
    data = bytearray(path.read_bytes())
    # The file's own header is whole.
    data[100 + 4096 * page : 4096 * (page + 1)] = b"\xff" * 3996
    path.write_bytes(data)
    before = files(path.parent)
    said = refused(path)
    assert "is damaged. It was left as it is: move it away" in said
    assert str(path) in said
    assert files(path.parent) == before


@pytest.mark.parametrize(
    "version", ["x'ff'", "CAST(x'ff41' AS TEXT)", "7", "''", "'00004'", "'²³45'"]
)
def test_a_schema_that_no_version_can_have(path: Path, version: str) -> None:
    """A damaged page is not always seen by SQLite: whatever stands there may come as the row."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE alembic_version SET version_num = {version}")
        connection.commit()
    before = files(path.parent)
    said = refused(path)
    assert "is damaged. It was left as it is: move it away" in said
    assert str(path) in said
    assert files(path.parent) == before


def test_somebody_else_s_database(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE diary (text)")
    before = files(tmp_path)
    assert f"{path} is a database of something else than runs." in refused(path)
    assert files(tmp_path) == before


def test_a_newer_schema(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = files(path.parent)
    said = refused(path)
    assert f"{path} was made by a newer agentnb: its schema is 9999" in said
    assert "Upgrade with pip install -U jupyter-agentnb" in said
    assert files(path.parent) == before


def test_a_newer_schema_in_the_team_s_store(history_store: Store, history_url: str) -> None:
    with history_store.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    assert "was made by a newer agentnb" in refused(history_url)


def test_no_folder_but_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be made: Not a directory" in refused(tmp_path / "file" / "history.sqlite")
    assert "cannot be opened" in refused(tmp_path)


def test_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql+psycopg://ann:the-secret-word@127.0.0.1:1/runs"
    said = refused(url)
    assert "postgresql+psycopg://ann@127.0.0.1:1/runs cannot be used: connection failed" in said
    assert "the-secret-word" not in said
    monkeypatch.setenv("AGENTNB_HISTORY", f"{url}?password=the-secret-word&connect_timeout=x")
    said = refused_by_environment()
    assert "the-secret-word" not in said


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:the-secret-word@127.0.0.1:1/runs",
        "postgresql://ann@127.0.0.1:1/runs?password=the-secret-word",
    ],
)
def test_no_traceback_shows_the_password(url: str) -> None:
    where = place(url)
    with pytest.raises(HistoryError) as raised:
        open_engine(where)
    shown = ""
    error: BaseException | None = raised.value
    while error is not None:
        # As IPython's verbose mode does, with the variables of every frame.
        found = traceback.TracebackException.from_exception(error, capture_locals=True)
        shown += "".join(found.format(chain=False))
        error = error.__cause__ or error.__context__
    assert "in connect\n" in shown
    # This test's own frame has it.
    assert "the-secret-word" not in shown.replace(repr(url), "")


def refused_by_environment() -> str:
    use(None)
    with pytest.warns(HistoryWarning) as caught:
        assert store() is None
    return str(caught[0].message)


@pytest.mark.parametrize("rest", ["ann:the-secret-word@host:port/x", "ann:the-secret-word@[::1/x"])
def test_an_address_that_cannot_be_read(rest: str) -> None:
    said = refused(f"postgresql://{rest}")
    assert "the address cannot be read" in said
    assert "the-secret-word" not in said


@pytest.mark.slow
def test_a_database_that_is_not_there(postgresql_server: postgresql.Server) -> None:
    said = refused(postgresql_server.url("nowhere"))
    assert 'database "nowhere" does not exist' in said


@pytest.mark.slow
def test_a_database_that_one_may_not_write(postgresql_server: postgresql.Server) -> None:
    with postgresql_server.database() as url:
        postgresql_server.execute("CREATE ROLE reader LOGIN")
        try:
            said = refused(url.replace(f"//{postgresql.USER}@", "//reader@"))
            use(None)
        finally:
            postgresql_server.execute("DROP ROLE reader")
    assert "permission denied for schema public" in said


def test_without_the_driver() -> None:
    done = python(
        "import sys\nsys.modules['psycopg'] = None\n" + dedent(ASK),
        environment={"AGENTNB_HISTORY": "postgresql://ann@127.0.0.1:1/runs"},
    )
    assert done.stdout.splitlines() == [
        *["None"] * 3,
        "HistoryWarning A store in PostgreSQL needs the package psycopg. pip install"
        " 'jupyter-agentnb[postgresql]' Runs go on unrecorded.",
    ]


def test_a_configuration_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTNB_HISTORY_CONTENT", "maybe")
    assert refused_by_environment().startswith("AGENTNB_HISTORY_CONTENT is neither 0 nor 1.")

"""A store of its own for each test, on both databases."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentnb.store.recorder import use
from agentnb.store.store import Store, store
from tests.history import postgresql


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[postgresql.Server]:
    """A PostgreSQL server; a test that needs it is skipped only where none was to be set up."""
    programs = postgresql.programs()
    if programs is None:
        pytest.skip("no PostgreSQL server on this machine; `make test` installs it, or says how")
    with postgresql.running(programs) as server:
        yield server


def opened(url: str) -> None:
    """Bring an empty store to the newest schema."""
    use(url)
    try:
        store(required=True)
    finally:
        use(None)


@pytest.fixture(scope="session")
def new_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without runs, to be copied: a copy is made sooner than a schema."""
    file = tmp_path_factory.mktemp("store") / "new.sqlite"
    opened(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def new_database(postgresql_server: postgresql.Server) -> Iterator[str]:
    """The name of a database that is a store without runs, to be copied."""
    with postgresql_server.database() as url:
        opened(url)
        yield url.rpartition("/")[2]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def history_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, once for SQLite and once for PostgreSQL.

    For a test that takes `history_store`, too, the store is made in it already.
    """
    is_store = "history_store" in request.fixturenames
    if request.param == "sqlite":
        file = tmp_path / "history.sqlite"
        if is_store:
            shutil.copyfile(request.getfixturevalue("new_file"), file)
        yield f"sqlite:///{file}"
        return
    server: postgresql.Server = request.getfixturevalue("postgresql_server")
    template = request.getfixturevalue("new_database") if is_store else None
    with server.database(template=template) as url:
        yield url


@pytest.fixture
def history_store(history_url: str) -> Iterator[Store]:
    """An empty store, which `store` gives during the test."""
    use(history_url)
    try:
        yield store(required=True)
    finally:
        use(None)

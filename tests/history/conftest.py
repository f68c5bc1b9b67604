"""A store of its own for each test, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentnb.history.store import Store, store, use
from tests.history import postgresql


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[postgresql.Server]:
    """A PostgreSQL server; a test that needs it is skipped only where none was to be set up."""
    programs = postgresql.programs()
    if programs is None:
        pytest.skip("no PostgreSQL server on this machine; `make test` installs it, or says how")
    with postgresql.running(programs) as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def history_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty store, once for SQLite and once for PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'history.sqlite'}"
        return
    server: postgresql.Server = request.getfixturevalue("postgresql_server")
    with server.database() as url:
        yield url


@pytest.fixture
def history_store(history_url: str) -> Iterator[Store]:
    """An empty store, which `store` gives during the test."""
    use(history_url)
    try:
        yield store(required=True)
    finally:
        use(None)

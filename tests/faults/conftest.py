"""Scripted servers, clients for them that are closed after the test, and stores."""

from __future__ import annotations

import pytest

from agentnb.run import reconnect
from agentnb.run.reconnect import Backoff
from tests.history.conftest import (
    history_store,
    history_url,
    new_database,
    new_file,
    postgresql_server,
)
from tests.http.conftest import connect, pytest_generate_tests, serve

__all__ = [
    "connect",
    "history_store",
    "history_url",
    "new_database",
    "new_file",
    "postgresql_server",
    "pytest_generate_tests",
    "quickly",
    "serve",
]


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs wait shortly before they take a stream up again: how long has tests of its own."""

    def pause(attempt: int, *, jitter: object) -> float:
        return 0.02

    backoff = Backoff(delay=pause, after_progress=0.02, first_poll=0.02)
    monkeypatch.setattr(reconnect, "DEFAULT_BACKOFF", backoff)

"""Scripted servers, and clients for them that are closed after the test."""

from __future__ import annotations

import pytest

from agentnb import reconnecting
from tests.http.conftest import connect, serve

__all__ = ["connect", "quickly", "serve"]


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs wait shortly before they take a stream up again: how long has tests of its own."""
    monkeypatch.setattr(reconnecting, "_FIRST_PAUSE", 0.02)
    monkeypatch.setattr(reconnecting, "_LONGEST_PAUSE", 0.1)
    monkeypatch.setattr(reconnecting, "_FIRST_QUESTION", 0.02)

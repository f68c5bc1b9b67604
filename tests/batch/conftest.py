"""Every map of the tests has nothing configured, and one sandbox for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import agentnb
from agentnb.config import config
from agentnb.sandbox import Sandbox


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No file and no session choices; what an interrupted map leaves is the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    fresh = config(reload=True)
    fresh.aliases.clear()
    monkeypatch.setattr(fresh, "default_agent", None)
    monkeypatch.setattr(fresh, "default_platform", None)


@pytest.fixture(scope="package")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(pace=0) as running:
        yield running


@pytest.fixture
def echo(sandbox: Sandbox) -> agentnb.Agent:
    """Repeats what it is asked, on a real server."""
    return agentnb.agent(
        "operativus:echo", base_url=sandbox.base_url("operativus"), api_key=sandbox.api_key
    )

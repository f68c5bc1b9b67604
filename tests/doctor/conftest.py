"""The doctor, in surroundings that each test arranges."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentnb import _loop
from agentnb.config import config
from agentnb.config import resolution as config_session
from agentnb.doctor import Finding
from agentnb.doctor.platforms import check_platform
from agentnb.run.clients import close_clients
from agentnb.sandbox import Sandbox

#: A key that must be found nowhere.
CANARY = "sk-canary-3f9b2c7d51"

Look = Callable[[str], dict[str, Finding]]


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty project as the working folder, and a configuration that is read anew."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setattr(config_session, "_current", None)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    yield project
    _loop.wait(close_clients())


@pytest.fixture
def look() -> Look:
    """Look at one platform; the findings by what they are about."""

    def look_at(name: str) -> dict[str, Finding]:
        found = list(check_platform(name=name, current=config(reload=True)))
        # Before the server ends, which would leave its side of a connection half closed.
        _loop.wait(close_clients())
        return {f.check.removeprefix(f"{name}: "): f for f in found}

    return look_at


@pytest.fixture(scope="package")
def sandbox() -> Iterator[Sandbox]:
    """At the pace of a language model, so that an answer can be held back."""
    with Sandbox() as running:
        yield running

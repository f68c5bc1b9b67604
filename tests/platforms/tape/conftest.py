"""A sandbox to record, and nothing of a recording left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import agentnb
from agentnb.config import config
from agentnb.sandbox import Sandbox


@pytest.fixture(scope="package")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(pace=0) as running:
        yield running


@pytest.fixture
def seekr(sandbox: Sandbox) -> agentnb.Agent:
    return agentnb.agent("seekr:echo", base_url=sandbox.base_url("seekr"), api_key=sandbox.api_key)


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nothing is configured, and nothing goes on being recorded or played."""
    monkeypatch.chdir(tmp_path)
    fresh = config(reload=True)
    monkeypatch.setattr(fresh, "aliases", {})
    monkeypatch.setattr(fresh, "default_agent", None)
    monkeypatch.setattr(fresh, "default_platform", None)
    yield
    agentnb.record(None)
    agentnb.playback(None)

"""Every test of agents starts without configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentnb.config import config


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No file and no session choices: what is configured is what a test configures."""
    monkeypatch.chdir(tmp_path)
    fresh = config(reload=True)
    fresh.aliases.clear()
    monkeypatch.setattr(fresh, "default_agent", None)
    monkeypatch.setattr(fresh, "default_platform", None)

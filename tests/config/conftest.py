"""Nothing is configured but what a test configures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agentnb.config import Config, config, resolution, user_config_path
from agentnb.redaction import secrets

Write = Callable[[str], Path]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, no user's file and no configuration read yet."""
    folder = tmp_path / "project" / "notebooks"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PYTHON_KEYRING_BACKEND", raising=False)
    monkeypatch.setattr(resolution, "_current", None)
    # Keys registered here are not redacted in the tests that follow.
    monkeypatch.setattr(secrets, "_known", secrets._known)  # pyright: ignore[reportPrivateUsage]
    return folder


@pytest.fixture
def project_file(project: Path) -> Write:
    """Writes ``agentnb.toml`` above the working folder."""
    return lambda text: _write(project.parent / "agentnb.toml", text)


@pytest.fixture
def user_file() -> Write:
    """Writes the user's own file."""
    return lambda text: _write(user_config_path(), text)


@pytest.fixture
def fresh() -> Callable[[], Config]:
    """Reads the configuration again."""
    return lambda: config(reload=True)


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path

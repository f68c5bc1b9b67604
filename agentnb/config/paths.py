"""Locations of configuration files: the user's file and the folders of a project."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final

__all__ = ["PROJECT_FILE", "project_folders", "user_config_path"]

PROJECT_FILE: Final = "agentnb.toml"

_ROOT_MARKERS: Final = (".git", PROJECT_FILE, "pyproject.toml")


def user_config_path() -> Path:
    """Return the path of the user's ``config.toml``, whether or not it exists."""
    import platformdirs

    return platformdirs.user_config_path("agentnb", appauthor=False) / "config.toml"


def project_folders(start: Path | None = None) -> Sequence[Path]:
    """Return the folders from ``start`` (default: the working folder) up to the project's root.

    The root is the first folder with ``.git``, ``agentnb.toml`` or ``pyproject.toml``; outside of a
    project it is the working folder.  The search stops below a folder that every user may write to,
    such as ``/tmp``, and below one whose owner is neither that of the working folder, nor the user,
    nor root.
    """
    try:
        folder = (start or Path.cwd()).resolve()
        owners = {folder.stat().st_uid, 0}
    except OSError:  # the working folder was deleted
        return ()
    if hasattr(os, "geteuid"):
        owners.add(os.geteuid())
    safe = list(takewhile(lambda path: _is_safe(path, owners), (folder, *folder.parents)))
    root = next((n for n, path in enumerate(safe) if _is_root(path)), 0)
    return safe[: root + 1]


def _is_safe(folder: Path, owners: set[int]) -> bool:
    try:
        status = folder.stat()
    except OSError:
        return False
    # The sticky bit marks a shared folder; a file system without permissions reports all writable.
    is_shared = status.st_mode & stat.S_IWOTH and status.st_mode & stat.S_ISVTX
    return status.st_uid in owners and not is_shared


def _is_root(folder: Path) -> bool:
    return any((folder / marker).exists() for marker in _ROOT_MARKERS)

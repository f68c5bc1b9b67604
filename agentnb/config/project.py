"""The folders of a project: where its ``agentnb.toml`` and its ``.env`` are looked for."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final

__all__ = ["PROJECT_FILE", "project_folders"]

PROJECT_FILE: Final = "agentnb.toml"

# What the root of a project holds; above it a file is somebody else's.
_ROOT_MARKS: Final = (".git", PROJECT_FILE, "pyproject.toml")


def project_folders(start: Path | None = None) -> Sequence[Path]:
    """Return the folders from the working folder (or ``start``) up to the root of the project.

    The root is the first one with ``.git``, ``agentnb.toml`` or ``pyproject.toml``; outside of a
    project it is the working folder itself.  A folder into which everybody may put files, as
    ``/tmp``, counts for nothing, and neither does one that belongs to somebody else than the
    working folder, the user or the system.
    """
    try:
        folder = (start or Path.cwd()).resolve()
        owners = {folder.stat().st_uid, *_trusted()}
    except OSError:  # the working folder was deleted
        return ()
    ours = list(takewhile(lambda up: _is_safe(up, owners), (folder, *folder.parents)))
    root = next((at for at, up in enumerate(ours) if _is_root(up)), 0)
    return ours[: root + 1]


def _trusted() -> set[int]:
    """Return whose folders may stand above the working folder, besides those of its owner."""
    return {0, os.geteuid()} if hasattr(os, "geteuid") else {0}


def _is_safe(folder: Path, owners: set[int]) -> bool:
    try:
        about = folder.stat()
    except OSError:
        return False
    # The sticky bit is what marks such a folder; where a system knows no rights, all may write.
    is_anybody_s = about.st_mode & stat.S_IWOTH and about.st_mode & stat.S_ISVTX
    return about.st_uid in owners and not is_anybody_s


def _is_root(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in _ROOT_MARKS)

"""A checkpoint for a map that had none and was interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from agentnb.batch.checkpoint import save
from agentnb.batch.rows import RowResult
from agentnb.errors import AgentnbError
from agentnb.history import where

__all__ = ["keep_for_later"]

# Each may hold thousands of answers; who goes on does so soon.
_KEPT: Final = 20


def keep_for_later(settings: bytes, results: Sequence[RowResult]) -> Path | None:
    """Write ``results`` to a checkpoint of their own in the user's data folder; return its path.

    The oldest go where there are more than 20.  None where nothing is to be kept: there is nothing,
    the history is off or holds no content, or it cannot be written.
    """
    try:
        if not results or where.place().is_off or not where.keeps_content():
            return None
        folder = where.default_path().parent / "maps"
        path = folder / f"{datetime.now(UTC):%Y-%m-%d_%H%M%S_%f}.sqlite"
        save(path, settings, results)
        for old in sorted(folder.glob("*.sqlite"))[:-_KEPT]:
            old.unlink(missing_ok=True)
    except (AgentnbError, OSError):
        return None
    return path

"""How the store's tables came to be, step by step; run by Alembic when an older store is opened."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["HEAD", "REVISIONS", "is_revision", "load", "upgrade"]

#: The steps in `versions`, oldest first.  Named here so that a store that has them all is opened
#: without Alembic, whose import takes longer than everything else.
REVISIONS: Final = ("0001", "0002", "0003", "0004")
HEAD: Final = REVISIONS[-1]


def is_revision(text: str) -> bool:
    """Tell whether ``text`` can be the name of a step, be it of a version to come."""
    return len(text) == len(HEAD) and text.isascii() and text.isdecimal()


def load() -> None:
    """Import Alembic, which `upgrade` needs: on a busy machine that takes seconds."""
    for name in ("alembic.command", "alembic.config"):
        import_module(name)


def upgrade(connection: Connection, revision: str = HEAD) -> None:
    """Bring the store behind ``connection`` up to ``revision``, inside its open transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    # Alembic would take a per cent sign in the path for its own.
    folder = str(Path(__file__).parent).replace("%", "%%")
    config.set_main_option("script_location", folder)
    config.attributes["connection"] = connection
    command.upgrade(config, revision)

"""Migrations of the store's schema, run by Alembic when an older store is opened."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["HEAD", "REVISIONS", "is_revision", "load", "upgrade"]

#: The revisions in `versions`, oldest first.  Named here so that an up-to-date store is opened
#: without Alembic, whose import takes longer than everything else.
REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005")
HEAD: Final = REVISIONS[-1]
#: Folder of the scripts of Alembic.
FOLDER: Final = Path(__file__).parent


def is_revision(text: str) -> bool:
    """Return whether ``text`` can be a revision, be it of a later version."""
    return len(text) == len(HEAD) and text.isascii() and text.isdecimal()


def load() -> None:
    """Import Alembic for `upgrade`; on a busy machine that takes seconds."""
    for name in ("alembic.command", "alembic.config"):
        import_module(name)


def upgrade(connection: Connection, revision: str | None = None) -> None:
    """Migrate in the open transaction of ``connection`` to ``revision``, by default the newest."""
    from alembic import command
    from alembic.config import Config

    from agentnb.store.schema import recreate_runs_view

    config = Config()
    # Alembic interpolates percent signs.
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision or HEAD)
    if revision in (None, HEAD):
        # It follows the columns of the record, which may be more than those of the last migration.
        recreate_runs_view(connection)

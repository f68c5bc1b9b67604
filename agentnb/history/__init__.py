"""What was run: this process's runs, the store that keeps all runs, and tables made of both.

Only the runs of this process are at hand at once; the store and what reads it are imported when
they are first used.  ``path`` is where the runs are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentnb._support.imports import imported
from agentnb.store.recent import last_run, recent_runs, remember, replace

if TYPE_CHECKING:
    from pathlib import Path

    from agentnb.store.prices import set_prices
    from agentnb.store.recorder import flush
    from agentnb.store.retention import prune, vacuum
    from agentnb.store.store import use
    from agentnb.store.stored_run import load
    from agentnb.store.transfer import export_history, import_history
    from agentnb.tables.run_list import RunList
    from agentnb.tables.sql import query
    from agentnb.tables.tables import events, runs, sessions, tool_calls

#: Where runs are kept: a path of SQLite, an address of PostgreSQL without its password, None where
#: history is off.  Looked up anew each time; see `use`.
path: Path | str | None

__all__ = [
    "RunList",
    "events",
    "export_history",
    "flush",
    "import_history",
    "last_run",
    "load",
    "path",
    "prune",
    "query",
    "recent_runs",
    "remember",
    "replace",
    "runs",
    "sessions",
    "set_prices",
    "tool_calls",
    "use",
    "vacuum",
]

# What has the name of its own module (`store`, `usage`, `sync`) is missing here: once imported, the
# module would stand in its place.
_WHERE = {
    "RunList": "agentnb.tables.run_list",
    "events": "agentnb.tables.tables",
    "export_history": "agentnb.store.transfer",
    "flush": "agentnb.store.recorder",
    "import_history": "agentnb.store.transfer",
    "load": "agentnb.store.stored_run",
    "prune": "agentnb.store.retention",
    "query": "agentnb.tables.sql",
    "runs": "agentnb.tables.tables",
    "sessions": "agentnb.tables.tables",
    "set_prices": "agentnb.store.prices",
    "tool_calls": "agentnb.tables.tables",
    "use": "agentnb.store.store",
    "vacuum": "agentnb.store.retention",
}


def __getattr__(name: str) -> Any:
    if name == "path":
        from agentnb.store.location import shown
        from agentnb.store.store import current_place

        return shown(current_place())
    if name not in _WHERE:
        raise AttributeError(f"module 'agentnb.history' has no attribute {name!r}")
    return getattr(imported(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

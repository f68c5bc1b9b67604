"""The history: runs of this process, the store of all runs, and tables of them.

The store and the tables are imported at their first use.  ``path`` is the location of the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentnb._support.fork import imported
from agentnb.store.recent import last_run, recent_runs, remember, replace

if TYPE_CHECKING:
    from pathlib import Path

    from agentnb.store.prices import set_prices
    from agentnb.store.recorder import flush, use
    from agentnb.store.retention import prune, vacuum
    from agentnb.store.stored_run import load
    from agentnb.store.transfer import export_history, import_history
    from agentnb.tables.events import events
    from agentnb.tables.run_list import RunList
    from agentnb.tables.runs import runs, sessions, tool_calls
    from agentnb.tables.sql import query

#: Location of the store: a path of SQLite, an address of PostgreSQL without its password, or None
#: where history is off.  Looked up at each access; see `use`.
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

# Name -> module.  Names of modules (`store`, `usage`, `sync`) are missing: an imported module would
# replace the attribute.
_MODULES = {
    "RunList": "agentnb.tables.run_list",
    "events": "agentnb.tables.events",
    "export_history": "agentnb.store.transfer",
    "flush": "agentnb.store.recorder",
    "import_history": "agentnb.store.transfer",
    "load": "agentnb.store.stored_run",
    "prune": "agentnb.store.retention",
    "query": "agentnb.tables.sql",
    "runs": "agentnb.tables.runs",
    "sessions": "agentnb.tables.runs",
    "set_prices": "agentnb.store.prices",
    "tool_calls": "agentnb.tables.runs",
    "use": "agentnb.store.recorder",
    "vacuum": "agentnb.store.retention",
}


def __getattr__(name: str) -> Any:
    if name == "path":
        from agentnb.store.location import shown
        from agentnb.store.store import current_location

        return shown(current_location())
    if name not in _MODULES:
        raise AttributeError(f"module 'agentnb.history' has no attribute {name!r}")
    return getattr(imported(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

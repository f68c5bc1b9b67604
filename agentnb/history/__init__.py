"""What was run: this process's runs, the store that keeps all runs, and tables made of both.

Only the runs of this process are at hand at once; the store and what reads it are imported when
they are first used.  ``path`` is where the runs are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentnb._importing import imported
from agentnb.history.recent import last_run, recent_runs, remember, replace

if TYPE_CHECKING:
    from pathlib import Path

    from agentnb.history.lists import RunList
    from agentnb.history.prices import set_prices
    from agentnb.history.recorder import flush
    from agentnb.history.retention import prune, vacuum
    from agentnb.history.sql import query
    from agentnb.history.store import use
    from agentnb.history.stored import load
    from agentnb.history.tables import events, runs, sessions, tool_calls
    from agentnb.history.transfer import export_history, import_history

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
    "RunList": "lists",
    "events": "tables",
    "export_history": "transfer",
    "flush": "recorder",
    "import_history": "transfer",
    "load": "stored",
    "prune": "retention",
    "query": "sql",
    "runs": "tables",
    "sessions": "tables",
    "set_prices": "prices",
    "tool_calls": "tables",
    "use": "store",
    "vacuum": "retention",
}


def __getattr__(name: str) -> Any:
    if name == "path":
        from agentnb.history.store import current_place
        from agentnb.history.where import shown

        return shown(current_place())
    if name not in _WHERE:
        raise AttributeError(f"module 'agentnb.history' has no attribute {name!r}")
    return getattr(imported(f"agentnb.history.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

"""What was run: this process's runs, and tables made of them."""

from agentnb.history.recent import last_run, recent_runs, remember, replace
from agentnb.history.tables import runs

__all__ = ["last_run", "recent_runs", "remember", "replace", "runs"]

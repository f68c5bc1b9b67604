"""`monitor`: a live table of runs, wherever they go on."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from agentnb.errors import ConfigError
from agentnb.monitoring import Watch, WatchedRun
from agentnb.notebook.tables import Table, table
from agentnb.render.view import STATUS_MARKS, seconds
from agentnb.run.run import Run
from agentnb.store.recent import recent_runs
from agentnb.widgets.monitor import MonitorWidget, monitored_rows

if TYPE_CHECKING:
    from agentnb.agents import Agent

__all__ = ["Monitor", "monitor"]

_COLUMNS: Final = ("run", "agent", "status", "time", "tokens", "progress")
# How long one look at platforms may take, in seconds.
_LOOK: Final = 20.0
_NONE: Final = "–"


class Monitor:
    """Runs that are watched.

    As a cell's value it is a live table where somebody looks on: a row a run, with its state, its
    time and a button that stops it; elsewhere a table of how they stand.
    """

    def __init__(self, watch: Watch, *, interval: float) -> None:
        self._watch = watch
        self._interval = interval

    def rows(self) -> list[WatchedRun]:
        """Return every run as it is now."""
        return self._watch.rows()

    @property
    def done(self) -> bool:
        """Whether all have ended, or `stop` was called: nobody is asked any more."""
        return self._watch.done

    @property
    def requests(self) -> int:
        """How many times a platform was asked."""
        return self._watch.requests

    def stop(self) -> None:
        """Watch no more; the runs go on."""
        self._watch.stop()

    def __repr__(self) -> str:
        return repr(self._table())

    def _repr_html_(self) -> str:
        # For hosts that are not IPython's.
        return self._table().bundle()["text/html"]

    def _table(self) -> Table:
        rows = [
            {
                "run": row["run_id"],
                "agent": f"{row['platform']}:{row['agent']}" if row["agent"] else row["platform"],
                "status": f"{STATUS_MARKS[row['status']]} {row['status']}",
                "time": _NONE if row["elapsed"] is None else seconds(row["elapsed"]),
                "tokens": _NONE if row["tokens"] is None else f"{row['tokens']:,}",
                "progress": row["error"] or row["detail"],
            }
            for row in monitored_rows(self._watch)
        ]
        problem = self._watch.problem
        return table(rows, _COLUMNS, empty="No runs.", notes=[problem] if problem else [])

    def _ipython_display_(self) -> None:
        from IPython.display import (
            display,  # pyright: ignore[reportUnknownVariableType]  # untyped in IPython
        )

        from agentnb.notebook.display import choose_mode, current_shell

        mode = choose_mode(current_shell())
        if mode == "widget":
            self._watch.start()
            display(
                MonitorWidget(
                    self._watch, interval=self._interval, bundle=lambda: self._table().bundle()
                )
            )
            return
        _look_once(self._watch)
        # Nobody would see it go on.
        self.stop()
        if mode == "text":
            print(repr(self))  # noqa: T201
        else:
            display(self._table().bundle(), raw=True)


def monitor(
    runs: Any = None,
    *,
    agent: str | Agent | None = None,
    interval: float = 3.0,
    max_interval: float = 30.0,
) -> Monitor:
    """Return a live table of runs, to be shown as a cell's value.

    ``runs`` are runs, lists of them, a table as `agentnb.runs` gives it, an `Agent` or its name for
    its newest runs, runs as platforms list them, or run ids, which are ``agent``'s, or of runs that
    are known here or in the history; by default what goes on in this process.  Runs of this
    process tell by themselves how they go on.  Platforms are asked every ``interval`` seconds,
    for up to 100 runs in one request where they can tell of many, and less often, at last every
    ``max_interval`` seconds, while nothing changes.  It stops by itself once all have ended.

    Where nobody looks on (a notebook that runs unattended, a terminal), it looks once.

    Raises:
        RequestError: it is not known whose run an id is, or something names no run.
        ConfigError: a name, an address or a key is missing or wrong.
    """
    watch = Watch(_named(runs, agent), agent=agent, interval=interval, max_interval=max_interval)
    if "IPython" in sys.modules:
        # What happens before it is shown is followed, too.
        watch.start()
    return Monitor(watch, interval=interval)


def _named(runs: Any, agent: str | Agent | None) -> Any:
    """Return ``runs``; a lone ``platform:agent`` or alias as the agent that it names."""
    if runs is None:
        return [run for run in recent_runs() if isinstance(run, Run) and not run.done]
    if isinstance(runs, str) and agent is None and _names_agent(runs):
        from agentnb.agents import agent as agent_of

        return agent_of(runs)
    return runs


def _names_agent(word: str) -> bool:
    """Tell whether a word names an agent rather than a run."""
    from agentnb import sandbox
    from agentnb.config import EMBEDDED, config
    from agentnb.platforms import registry
    from agentnb.run.agent_catalog import known_agents

    current = config()
    if ":" in word or word in current.all_aliases():
        return True
    try:
        platform = current.infer_platform(registry.names())
    except ConfigError:
        # Several platforms, none of which is the default.
        return False
    at_hand = sandbox.agent_names() if platform == EMBEDDED else []
    return word in at_hand or f"{platform}:{word}" in known_agents()


def _look_once(watch: Watch) -> None:
    """Wait until every platform was asked once."""
    platforms = {row.platform for row in watch.rows() if not row.final}
    told = threading.Semaphore(0)
    before = watch.requests
    unsubscribe = watch.subscribe(lambda: told.release())
    try:
        watch.start()
        end = time.monotonic() + _LOOK
        while not watch.done and time.monotonic() < end:
            local = all(not isinstance(found, WatchedRun) for found in watch.results())
            if watch.listed and (local or watch.requests - before >= len(platforms)):
                break
            told.acquire(timeout=0.1)
    finally:
        unsubscribe()

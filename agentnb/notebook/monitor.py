"""`monitor`: a live table of runs, local or remote."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from agentnb.monitoring import Watch, WatchedRun
from agentnb.notebook.tables import Table, table
from agentnb.render.view import STATUS_MARKS, seconds
from agentnb.run.run import Run
from agentnb.store.recent import recent_runs
from agentnb.widgets.monitor import MonitorWidget, monitored_rows

if TYPE_CHECKING:
    from agentnb.agents import Agent

# Longest time for one request to every platform, in seconds.
_POLL_TIMEOUT: Final = 20.0
_NONE: Final = "–"


class Monitor:
    """Runs that are watched.

    As a cell's value it is a live table with a row, and a button to stop it, for each run; in an
    unattended notebook a static table.
    """

    def __init__(self, watch: Watch, *, interval: float) -> None:
        self._watch = watch
        self._interval = interval

    def rows(self) -> list[WatchedRun]:
        """Return the state of every run."""
        return self._watch.rows()

    @property
    def done(self) -> bool:
        """Whether all have ended, or `stop` was called."""
        return self._watch.done

    @property
    def requests(self) -> int:
        """Number of requests to platforms."""
        return self._watch.requests

    def stop(self) -> None:
        """Watch no more; the runs go on."""
        self._watch.stop()

    def __repr__(self) -> str:
        return repr(self._table())

    def _repr_html_(self) -> str:
        # For hosts other than IPython.
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
        return table(rows, empty="No runs.", notes=[problem] if problem else [])

    def _ipython_display_(self) -> None:
        from agentnb.notebook.display import choose_mode, current_shell, display, show_bundle

        mode = choose_mode(current_shell())
        if mode == "widget":
            self._watch.start()
            widget = MonitorWidget(
                self._watch, interval=self._interval, bundle=lambda: self._table().bundle()
            )
            display(widget)
            return
        _poll_once(self._watch)
        self.stop()
        show_bundle(self._table().bundle(), mode)


def monitor(
    runs: Any = None,
    *,
    agent: str | Agent | None = None,
    interval: float = 3.0,
    max_interval: float = 30.0,
) -> Monitor:
    """Return a live table of runs, to be displayed as a cell's value.

    ``runs`` are runs, lists of them, a table as of `agentnb.runs`, an `Agent` or its name for its
    newest runs, runs as platforms list them, or run ids, of ``agent`` or known here or in the
    history; by default the active runs of this process.  Platforms are polled every ``interval``
    seconds, with up to 100 runs per request where they support it, and down to every
    ``max_interval`` seconds while nothing changes, until all runs have ended.

    In an unattended notebook and in a terminal, platforms are polled once.

    Raises:
        RequestError: an id is unknown, or an item is not a run.
        ConfigError: a name, an address or a key is missing or wrong.
    """
    watch = Watch(_targets(runs, agent), agent=agent, interval=interval, max_interval=max_interval)
    if "IPython" in sys.modules:
        # Events before it is displayed count, too.
        watch.start()
    return Monitor(watch, interval=interval)


def _targets(runs: Any, agent: str | Agent | None) -> Any:
    """Return ``runs``, with the name of an agent resolved, and the active runs for None."""
    if runs is None:
        return [run for run in recent_runs() if isinstance(run, Run) and not run.done]
    if isinstance(runs, str) and agent is None:
        from agentnb.agents import agent as agent_of
        from agentnb.notebook.history import is_agent_name

        if is_agent_name(runs):
            return agent_of(runs)
    return runs


def _poll_once(watch: Watch) -> None:
    platforms = {row.platform for row in watch.rows() if not row.final}
    changes = threading.Semaphore(0)
    before = watch.requests
    unsubscribe = watch.subscribe(lambda: changes.release())
    try:
        watch.start()
        end = time.monotonic() + _POLL_TIMEOUT
        while not watch.done and time.monotonic() < end:
            local = all(not isinstance(found, WatchedRun) for found in watch.results())
            if watch.listed and (local or watch.requests - before >= len(platforms)):
                break
            changes.acquire(timeout=0.1)
    finally:
        unsubscribe()

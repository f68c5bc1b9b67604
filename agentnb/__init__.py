"""Remote AI agents in a notebook.

    %load_ext agentnb

    %%agent finance_agent
    What is the current NVDA stock price, and why?

or, from code::

    run = agentnb.agent("finance_agent").run("What is the current NVDA stock price?")

Importing this package is fast: its modules are imported when a name is first used.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from agentnb._support import __version__
from agentnb._support.at_exit import keep_interrupted_status
from agentnb._support.embedded import set_added_agents, set_connector
from agentnb._support.fork import imported
from agentnb.batch.progress import set_display

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from pydantic import SecretStr

    from agentnb import charts, errors, evaluation, history, sandbox, sse
    from agentnb._http.retry import Retries
    from agentnb._http.timeout import Deadlines
    from agentnb._support.embedded import AddedAgents
    from agentnb.agents import Agent, agent, attach
    from agentnb.batch.mapping import last_map
    from agentnb.batch.progress import Display
    from agentnb.cassettes.playback import playback
    from agentnb.cassettes.recorder import record
    from agentnb.comparison import Comparison
    from agentnb.errors import (
        AgentnbError,
        BatchError,
        ConfigError,
        HistoryError,
        PlatformError,
        PlaybackError,
        RequestError,
        RunError,
        TransportError,
        UnsupportedError,
    )
    from agentnb.evaluation import Evaluation, evaluate
    from agentnb.history import last_run
    from agentnb.monitoring.wait import wait
    from agentnb.notebook import allow_nested_loops
    from agentnb.notebook.chat import Chat, chat
    from agentnb.notebook.compare import compare
    from agentnb.notebook.display import show
    from agentnb.notebook.monitor import monitor
    from agentnb.platforms.base import Media
    from agentnb.run.replay import replay
    from agentnb.run.run import Run
    from agentnb.run.tools import tool
    from agentnb.store.prices import set_prices
    from agentnb.synchronization.sync import sync, sync_async
    from agentnb.tables.events import events
    from agentnb.tables.runs import runs, sessions, tool_calls
    from agentnb.tables.usage import usage

__all__ = [
    "Agent",
    "AgentnbError",
    "BatchError",
    "Chat",
    "Comparison",
    "ConfigError",
    "Deadlines",
    "Evaluation",
    "HistoryError",
    "Media",
    "PlatformError",
    "PlaybackError",
    "RequestError",
    "Retries",
    "Run",
    "RunError",
    "TransportError",
    "UnsupportedError",
    "__version__",
    "agent",
    "allow_nested_loops",
    "attach",
    "charts",
    "chat",
    "compare",
    "errors",
    "evaluate",
    "evaluation",
    "events",
    "history",
    "last_map",
    "last_run",
    "load_ipython_extension",
    "monitor",
    "playback",
    "record",
    "replay",
    "runs",
    "sandbox",
    "sessions",
    "set_prices",
    "show",
    "sse",
    "sync",
    "sync_async",
    "tool",
    "tool_calls",
    "unload_ipython_extension",
    "usage",
    "wait",
]

# Modules of the public names, imported at the first use; `agentnb.errors` for all others.
_MODULES = {
    "Agent": "agentnb.agents",
    "Chat": "agentnb.notebook.chat",
    "Comparison": "agentnb.comparison",
    "Deadlines": "agentnb._http.timeout",
    "Evaluation": "agentnb.evaluation",
    "Media": "agentnb.platforms.base",
    "Retries": "agentnb._http.retry",
    "Run": "agentnb.run.run",
    "agent": "agentnb.agents",
    "allow_nested_loops": "agentnb.notebook",
    "attach": "agentnb.agents",
    "chat": "agentnb.notebook.chat",
    "compare": "agentnb.notebook.compare",
    "evaluate": "agentnb.evaluation",
    "events": "agentnb.tables.events",
    "last_map": "agentnb.batch.mapping",
    "last_run": "agentnb.history",
    "monitor": "agentnb.notebook.monitor",
    "playback": "agentnb.cassettes.playback",
    "record": "agentnb.cassettes.recorder",
    "replay": "agentnb.run.replay",
    "runs": "agentnb.tables.runs",
    "sessions": "agentnb.tables.runs",
    "set_prices": "agentnb.store.prices",
    "show": "agentnb.notebook.display",
    "sync": "agentnb.synchronization.sync",
    "sync_async": "agentnb.synchronization.sync",
    "tool": "agentnb.run.tools",
    "tool_calls": "agentnb.tables.runs",
    "usage": "agentnb.tables.usage",
    "wait": "agentnb.monitoring.wait",
}
_SUBMODULES = ("charts", "errors", "evaluation", "history", "sandbox", "sse")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'agentnb' has no attribute {name!r}")
    if name in _SUBMODULES:
        return imported(f"agentnb.{name}")
    value = getattr(imported(_MODULES.get(name, "agentnb.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add ``%%agent`` and ``%agent`` to a notebook; called by ``%load_ext agentnb``."""
    from agentnb.notebook import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Remove the magics that `load_ipython_extension` added."""
    from agentnb.notebook import unload

    unload(shell)


def _connect_sandbox(platform: str) -> tuple[str, SecretStr]:
    from agentnb.sandbox import start

    running = start()
    return running.base_url(platform), running.api_key


def _sandbox_agents() -> AddedAgents:
    from agentnb.sandbox.registry import shared

    return shared


def _create_map_display(name: str) -> Display | None:
    if "IPython" not in sys.modules:
        return None
    from agentnb.notebook.progress import progress_display

    return progress_display(name)


keep_interrupted_status()
set_connector(_connect_sandbox)
set_added_agents(_sandbox_agents)
set_display(_create_map_display)

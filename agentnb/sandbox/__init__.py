"""The embedded default: a local server that speaks every platform's API.

Agents behind it are Python functions::

    @agentnb.sandbox.agent("parrot")
    async def parrot(prompt, context):
        yield f"You said: {prompt}"

A synchronous function runs in a thread of its own; an asynchronous one runs on the server's event
loop and must not block it.  ``finance_agent`` and ``echo`` are built in.

`start` returns the one sandbox of this process, started on first use; ``python -m agentnb.sandbox``
runs one on its own.  It listens on 127.0.0.1 only and wants its key.  Importing this module is
cheap: the server is imported when it starts.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from agentnb.sandbox.registry import shared

if TYPE_CHECKING:
    from pydantic import SecretStr

    from agentnb.platforms.local import FunctionContext
    from agentnb.sandbox.server import Sandbox

__all__ = ["FunctionContext", "Sandbox", "agent", "agent_names", "start"]

_BUILTIN = ("finance_agent", "echo")

agent = shared.agent
"""The decorator that adds an agent to every sandbox of this process, now or later."""


def agent_names() -> list[str]:
    """Return the names of the agents that the sandboxes of this process have; starts nothing."""
    return list(dict.fromkeys([*_BUILTIN, *(entry.name for entry in shared.list())]))


_lock = threading.Lock()
_default: Sandbox | None = None


def start(port: int = 0, *, api_key: SecretStr | None = None, pace: float = 1.0) -> Sandbox:
    """Return this process's sandbox, started when it is not running yet; any thread may call.

    ``port`` 0 takes a free one.  One that is running already keeps its key and pace.

    Raises:
        ConfigError: the port is taken, or the sandbox runs on another one already.
    """
    global _default
    from agentnb.errors import ConfigError
    from agentnb.sandbox.server import Sandbox

    with _lock:
        if _default is not None and _default.is_running:
            if port not in (0, _default.port):
                raise ConfigError(
                    f"The sandbox runs on port {_default.port} already.",
                    hint="Its stop() ends it; Sandbox(port=...) is a second one.",
                )
            return _default
        _default = Sandbox(port=port, api_key=api_key, pace=pace).start()
        return _default


def _after_fork() -> None:
    global _lock, _default
    _lock = threading.Lock()
    _default = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def __getattr__(name: str) -> Any:
    if name == "Sandbox":
        from agentnb.sandbox.server import Sandbox

        return Sandbox
    if name == "FunctionContext":
        from agentnb.platforms.local import FunctionContext

        return FunctionContext
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

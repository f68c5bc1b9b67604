"""The embedded default: a local server that speaks every platform's API.

Its agents are Python functions::

    @agentnb.sandbox.agent("parrot")
    async def parrot(prompt, context):
        yield f"You said: {prompt}"

A synchronous function runs in its own thread; an asynchronous one runs on the server's event loop
and must not block it.  ``finance_agent`` and ``echo`` are built in.

`start` returns this process's sandbox, started on first use; ``python -m agentnb.sandbox`` runs one
alone.  It listens on 127.0.0.1 only and requires its key.  Importing this module is cheap: the
server is imported when it starts.

OperativusAI's real server
--------------------------
OperativusAI's published server differs from its API page.  ``Sandbox(operativus="real")``,
``start(operativus="real")`` and ``python -m agentnb.sandbox --operativus real`` behave the same:
START has no run id, a tool call is one sentence without an end, CONTENT_DONE and STOP follow an
ERROR, too, followups come as FOLLOWUP_SUGGESTION, lists are flat pages, a row may still be RUNNING
just after STOP, and times are local, without an offset.  Their zone is ``time_zone``, or
``--time-zone``: "+05:30" by default.

Fault injection
---------------
The sandbox injects the faults of a script on real connections, so that a notebook can be tested
against a platform that fails::

    with agentnb.sandbox.faults("status 503 times=1; drop after=2000 times=2"):
        agent.run("What drives NVDA?")

A script is a list of faults separated by ``;``, each a name and settings.  A fault before the
response head starts no run, except ``stall`` and ``slow-head``.

==========================  ======================================================================
``status 429``              an error response; ``retry_after=1`` is its Retry-After, verbatim
``drop``                    the connection ends before any response; ``how=reset`` (default) or
                            ``close``
``drop after=300``          it ends after 300 bytes of the body, or ``events=3``; ``how=short``:
                            before the promised Content-Length
``end events=3``            the body ends properly, before the run does; or ``after=300``
``stall seconds=5``         silence before the head, or ``after=300`` or ``events=3``; without
                            ``seconds`` for as long as the client waits
``slow-head seconds=3``     the head byte by byte
``drip seconds=1``          only comments from there on: ``after=300``, ``events=3``, or at once
``type text/html``          the events under another content type
``malformed events=3``      the event after 3 has half of its data
``error events=3``          the run fails there, in the platform's form; ``message``, ``code``,
                            ``retry_after``
``compress gzip``           or ``deflate``, flushed with each event, whatever the client accepts
``duplicate events=3``      the event after 3 comes twice; every one without a number
``reorder events=3``        the event after 3 comes after the next; every other without a number
``live``                    SeekrFlow's ``attach`` skips the earlier events
``record``                  OperativusAI's ``events`` are the record of the run, without its text
==========================  ======================================================================

``times=2`` limits a fault to the first two connections of a run that it applies to.  ``on=``
selects these: ``start`` requests, ``join`` requests, both (``runs``, the default), all ``other``
requests, or ``any``.  Bytes are those of the body as sent; comments do not count as events, and
faults at events happen to streams only.

A run whose stream a fault has broken continues for 30 seconds, so that it can be joined; one whose
client disconnects ends after `Sandbox.keep` seconds.

A script comes from the first of these:

- the request's header ``X-Sandbox-Fault``;
- the agent's parameters, in a cell or in code: SeekrFlow and RunTools
  ``--param metadata='{"fault":"drop after=300"}'``, run-agent.ai
  ``--param parameters='{"fault":"drop after=300"}'``, OperativusAI and plain ``sandbox:`` agents
  ``--param model="fault: drop after=300"``;
- `faults` for this process's sandbox, `Sandbox.faults` for another, ``--fault`` on the command
  line.

A script that cannot be parsed gets an error response that says why.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from agentnb._support.fork import after_fork_in_child, imported
from agentnb.sandbox.registry import shared

if TYPE_CHECKING:
    from pydantic import SecretStr

    from agentnb.platforms.local import FunctionContext
    from agentnb.sandbox.server import FaultsContext, OperativusMode, Sandbox

__all__ = ["FunctionContext", "Sandbox", "agent", "agent_names", "faults", "start"]

_BUILTIN = ("finance_agent", "echo")

agent = shared.agent
"""The decorator that adds an agent to every sandbox of this process, now or later."""


def agent_names() -> list[str]:
    """Return the names of the agents of this process's sandboxes, without starting one."""
    return list(dict.fromkeys([*_BUILTIN, *(entry.name for entry in shared.list())]))


_lock = threading.Lock()
_default: Sandbox | None = None


def start(
    port: int = 0,
    *,
    api_key: SecretStr | None = None,
    pace: float = 1.0,
    operativus: OperativusMode | None = None,
    time_zone: str | None = None,
) -> Sandbox:
    """Return this process's sandbox, started if necessary.  Thread-safe.

    ``port`` 0 takes a free one.  A running sandbox keeps its key, pace and zone.  ``operativus``
    and ``time_zone`` are as for `Sandbox`.

    Raises:
        ConfigError: the port is taken, or the sandbox runs on another one or in another mode.
    """
    global _default
    imported("agentnb.sandbox.server")
    from agentnb.errors import ConfigError
    from agentnb.sandbox.server import DEFAULT_ZONE, Sandbox

    with _lock:
        if _default is not None and _default.is_running:
            if port not in (0, _default.port):
                raise ConfigError(
                    f"The sandbox runs on port {_default.port} already.",
                    hint="Its stop() ends it; Sandbox(port=...) is a second one.",
                )
            if operativus not in (None, _default.operativus):
                raise ConfigError(
                    f"The sandbox runs with operativus={_default.operativus!r} already.",
                    hint=f"Its stop() ends it; Sandbox(operativus={operativus!r}) is a second one.",
                )
            return _default
        _default = Sandbox(
            port=port,
            api_key=api_key,
            pace=pace,
            operativus=operativus or "page",
            time_zone=time_zone or DEFAULT_ZONE,
        ).start()
        return _default


def faults(script: str | None) -> FaultsContext:
    """Inject the faults of ``script`` in this process's sandbox; see `Sandbox.faults`."""
    return start().faults(script)


def _after_fork() -> None:
    global _lock, _default
    _lock = threading.Lock()
    _default = None


after_fork_in_child(_after_fork)


def __getattr__(name: str) -> Any:
    if name == "Sandbox":
        return imported("agentnb.sandbox.server").Sandbox
    if name == "FunctionContext":
        return imported("agentnb.platforms.local").FunctionContext
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

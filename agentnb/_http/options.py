"""Options for the requests of a call, held in a context variable."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Final, Literal, cast, get_args

from agentnb._http.retry import Retries
from agentnb._http.timeout import Deadlines
from agentnb._support import install_hint
from agentnb.errors import AgentnbError, ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryDelay:
    """The delay before a request is retried.

    ``attempt`` counts the retries from 1, ``of`` is the largest number of them, and ``seconds`` the
    length of the delay.
    """

    attempt: int
    of: int
    seconds: float
    error: AgentnbError


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions:
    """Options that override a client's own settings for every request made within `applied`.

    The ``total`` of these ``deadlines`` counts from `applied` on, over all requests; that of a
    client counts for each request.  ``by_timeout`` says that it was set as ``timeout``, which is
    then what an error advises to raise.  ``on_retry`` is called before each delay and
    ``on_request`` before each request, retries included; both on the event loop, so they must not
    block.  ``sleep`` makes the delays.

    Applied options replace the outer ones as a whole.  Tasks inherit them: use `side_request` for
    requests that a run makes beside its stream, `detached` for work that is independent of it, and
    new options for requests after its time is up.
    ``RequestOptions(retries=Retries(requests=0))`` allow one attempt.
    """

    deadlines: Deadlines | None = None
    retries: Retries | None = None
    by_timeout: bool = False
    on_retry: Callable[[RetryDelay], None] | None = None
    on_request: Callable[[], None] | None = None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    @contextmanager
    def applied(self, *, since: float | None = None) -> Generator[None, None, None]:
        """Apply these options to the requests of this context and of the tasks that it starts.

        ``since`` is when ``total`` began to count, by `time.monotonic`; None: now.
        """
        token = _current.set((self, time.monotonic() if since is None else since))
        try:
            yield
        finally:
            _current.reset(token)


_DEFAULT: Final = RequestOptions()
_current: ContextVar[tuple[RequestOptions, float] | None] = ContextVar(
    "agentnb_request_options", default=None
)


def current_options() -> RequestOptions:
    """Return the options of this context."""
    current = _current.get()
    return _DEFAULT if current is None else current[0]


@contextmanager
def detached() -> Generator[None, None, None]:
    """Run the block, and the tasks that it starts, without the options of the call around it."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


def detached_context() -> Context:
    """Return a copy of this context without options, for a task that outlives the call."""
    with detached():
        return copy_context()


@contextmanager
def side_request() -> Generator[None, None, None]:
    """Apply options for requests that a run makes beside its stream.

    Each request is made at most twice, without callbacks and without the ``total`` of the run,
    which does not wait for it.  Tasks that are started within inherit them.
    """
    deadlines = current_options().deadlines
    if deadlines is not None:
        deadlines = replace(deadlines, total=None)
    with RequestOptions(deadlines=deadlines, retries=Retries(requests=1)).applied():
        yield


def remaining_time(deadlines: Deadlines) -> float | None:
    """Return how many seconds of ``total`` remain for a request made now, None for no limit."""
    current = _current.get()
    if deadlines.total is None or current is None or current[0].deadlines is not deadlines:
        return deadlines.total
    return deadlines.total - (time.monotonic() - current[1])


# Both the body and the parsed data are in memory.
MAX_JSON_BYTES: Final = 64 * 2**20

TransportName = Literal["httpx", "aiohttp"]
TRANSPORT_VARIABLE: Final = "AGENTNB_TRANSPORT"
INSTALL_AIOHTTP: Final = install_hint("fast")


def chosen_transport(configured: TransportName | None = None) -> TransportName:
    """Return the transport that the environment names, else ``configured``, else httpx.

    Raises:
        ConfigError: the environment names an unknown one.
    """
    name = os.environ.get(TRANSPORT_VARIABLE, "").strip().lower()
    if not name:
        return configured or "httpx"
    if name not in get_args(TransportName):
        raise ConfigError(
            f"{TRANSPORT_VARIABLE} names an unknown transport.",
            hint=f"Known are: {', '.join(get_args(TransportName))}.",
        )
    return cast("TransportName", name)


def load_transport() -> None:
    """Import everything a request needs, so that the event loop does not block on the import."""
    import_module("agentnb._http.transport")
    # anyio imports these on first access; httpcore accesses them when it connects.
    anyio = import_module("anyio")
    for name in ("connect_tcp", "fail_after"):
        getattr(anyio, name, None)
    import_module("anyio.streams.tls")

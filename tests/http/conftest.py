"""Scripted servers, and clients for them that are closed after the test.

Tests of modules that say ``TRANSPORTS = BOTH`` run with each, but for those marked ``httpx_only``.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final, get_args

import pytest

from agentnb._http import HttpClient
from agentnb._http.options import TransportName
from agentnb._http.retry import Retries
from tests.faults.rawserver import Connection, RawServer, Script, serving

__all__ = [
    "BOTH",
    "Connection",
    "MakeClient",
    "RawServer",
    "Script",
    "Serve",
    "connect",
    "pytest_generate_tests",
    "serve",
]

BOTH: Final = get_args(TransportName)

Serve = Callable[..., Awaitable[RawServer]]
MakeClient = Callable[..., HttpClient]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    module: object = metafunc.definition.getparent(pytest.Module)
    names: tuple[str, ...] = getattr(getattr(module, "obj", None), "TRANSPORTS", ())
    httpx_only = metafunc.definition.get_closest_marker("httpx_only") is not None
    if names and not httpx_only and "connect" in metafunc.fixturenames:
        metafunc.parametrize("connect", names, indirect=True)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start a `RawServer` for a script: ``server = await serve(script)``."""
    async with AsyncExitStack() as stack:

        async def start(script: Script, *, tls: ssl.SSLContext | None = None) -> RawServer:
            return await stack.enter_async_context(serving(script, tls=tls))

        yield start


@pytest.fixture
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[MakeClient]:
    """Make an `HttpClient` that sends once, by default, and is closed after the test."""
    transport: TransportName = getattr(request, "param", "httpx")
    async with AsyncExitStack() as stack:

        def make(url: str, **options: Any) -> HttpClient:
            options = {"retries": Retries(requests=0), "transport": transport, **options}
            client = HttpClient(url, name="tested", **options)
            stack.push_async_callback(client.aclose)
            return client

        yield make

"""Scripted servers, and clients for them that are closed after the test."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from agentnb._http import HttpClient
from agentnb.retries import Retries
from tests.faults.rawserver import Connection, RawServer, Script, serving

__all__ = ["Connection", "MakeClient", "RawServer", "Script", "Serve", "connect", "serve"]

Serve = Callable[..., Awaitable[RawServer]]
MakeClient = Callable[..., HttpClient]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start a `RawServer` for a script: ``server = await serve(script)``."""
    async with AsyncExitStack() as stack:

        async def start(script: Script, *, tls: ssl.SSLContext | None = None) -> RawServer:
            return await stack.enter_async_context(serving(script, tls=tls))

        yield start


@pytest.fixture
async def connect() -> AsyncIterator[MakeClient]:
    """Make an `HttpClient` that sends once, by default, and is closed after the test."""
    async with AsyncExitStack() as stack:

        def make(url: str, **options: Any) -> HttpClient:
            options = {"retries": Retries(requests=0), **options}
            client = HttpClient(url, name="tested", **options)
            stack.push_async_callback(client.aclose)
            return client

        yield make

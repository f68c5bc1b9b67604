"""The HTTP library: httpx alone or with aiohttp under it, imported with the first request."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Final, Literal, cast, get_args

from agentnb._support.installing import install_hint
from agentnb.errors import ConfigError

__all__ = [
    "INSTALL_AIOHTTP",
    "TRANSPORT_VARIABLE",
    "TransportName",
    "chosen_transport",
    "load_transport",
]

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

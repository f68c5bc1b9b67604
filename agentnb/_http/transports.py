"""Which library carries the requests: httpx by itself, or aiohttp under it."""

from __future__ import annotations

import os
from typing import Final, Literal, cast, get_args

from agentnb._support.installing import install_hint
from agentnb.errors import ConfigError

__all__ = ["INSTALL_AIOHTTP", "TRANSPORT_VARIABLE", "TransportName", "chosen_transport"]

TransportName = Literal["httpx", "aiohttp"]
TRANSPORT_VARIABLE: Final = "AGENTNB_TRANSPORT"
INSTALL_AIOHTTP: Final = install_hint("fast")


def chosen_transport(configured: TransportName | None = None) -> TransportName:
    """Return the transport that the environment names, else ``configured``, else httpx.

    Raises:
        ConfigError: the environment names none that there is.
    """
    named = os.environ.get(TRANSPORT_VARIABLE, "").strip().lower()
    if not named:
        return configured or "httpx"
    if named not in get_args(TransportName):
        raise ConfigError(
            f"{TRANSPORT_VARIABLE} names no transport that there is.",
            hint=f"Known are: {', '.join(get_args(TransportName))}.",
        )
    return cast("TransportName", named)

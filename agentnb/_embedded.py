"""How the embedded server is reached.

The server lives above the layers that connect to it, and is started only when something asks for
it; the package's root says here how.  This module imports nothing, so that importing agentnb stays
cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import SecretStr

__all__ = ["connect", "is_embedded", "set_connector"]

Connector = Callable[[str], "tuple[str, SecretStr]"]
_connector: Connector | None = None
# Where the server is, or was.
_addresses: set[str] = set()


def set_connector(connector: Connector) -> None:
    """Say how the server is reached: platform type -> its base address and its key."""
    global _connector
    _connector = connector


def connect(platform: str) -> tuple[str, SecretStr]:
    """Return the server's base address for ``platform`` and its key; start it when needed."""
    if _connector is None:
        raise RuntimeError("The embedded server is set up by importing agentnb.")
    address, key = _connector(platform)
    _addresses.add(address)
    return address, key


def is_embedded(address: str | None) -> bool:
    """Tell whether ``address`` is one that `connect` gave."""
    return address in _addresses

"""How the embedded server is reached, and the agents that were added to it.

The server lives above the layers that connect to it, and is started only when something asks for
it; the package's root says here how.  This module imports nothing, so that importing agentnb stays
cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Protocol

    from pydantic import SecretStr

    class AddedAgents(Protocol):
        """The agents that were added to the servers of this process."""

        def find(self, name: str) -> Any:
            """Return the one of this name, None where there is none."""
            ...

        def add(self, agent: Any) -> None:
            """Add one that `find` gave, here or in another process."""
            ...


__all__ = ["added_agents", "connect", "is_embedded", "set_added_agents", "set_connector"]

Connector = Callable[[str], "tuple[str, SecretStr]"]
_connector: Connector | None = None
_added: Callable[[], AddedAgents] | None = None
# Where the server is, or was.
_addresses: set[str] = set()


def set_connector(connector: Connector) -> None:
    """Say how the server is reached: platform type -> its base address and its key."""
    global _connector
    _connector = connector


def set_added_agents(added: Callable[[], AddedAgents]) -> None:
    """Say where the agents are that were added to the server."""
    global _added
    _added = added


def added_agents() -> AddedAgents:
    """Return the agents that were added to the server, which need not run for that."""
    if _added is None:
        raise RuntimeError("The embedded server is set up by importing agentnb.")
    return _added()


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

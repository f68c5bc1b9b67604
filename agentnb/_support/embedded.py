"""Access to the embedded server and the agents added to it.

The server is in a layer above those that connect to it and starts on demand; the package's root
registers it here.  This module imports nothing, so that importing agentnb stays fast.
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
            """Return the agent of this name, or None."""
            ...

        def add(self, agent: Any) -> None:
            """Add an agent that `find` returned, in this or another process."""
            ...


Connector = Callable[[str], "tuple[str, SecretStr]"]
_connector: Connector | None = None
_added: Callable[[], AddedAgents] | None = None
# Present and former addresses of the server.
_addresses: set[str] = set()


def set_connector(connector: Connector) -> None:
    """Register the connector: platform type -> base address and key."""
    global _connector
    _connector = connector


def set_added_agents(added: Callable[[], AddedAgents]) -> None:
    """Register the function that returns the agents added to the server."""
    global _added
    _added = added


def added_agents() -> AddedAgents:
    """Return the agents added to the server, whether it runs or not."""
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
    """Return whether `connect` returned ``address``."""
    return address in _addresses

"""Ports for the servers of tests, which no stranger asks for.

Those that the system gives are given again as soon as they are free, and a Jupyter server goes on
asking for the ports of kernels that have ended, several times a second: a test that counts its
guests would count those, too.  These ports are below the ones that systems give.
"""

from __future__ import annotations

import random
import socket
from typing import Final

__all__ = ["bound"]

_PORTS: Final = range(10_000, 32_000)
_TRIES: Final = 100


def bound() -> socket.socket:
    """Return a socket that has a port of 127.0.0.1 for itself, and does not listen yet."""
    # Not by the seed of a test: several processes look for ports at the same time.
    for port in random.SystemRandom().sample(_PORTS, _TRIES):
        found = socket.socket()
        try:
            found.bind(("127.0.0.1", port))
        except OSError:
            found.close()
        else:
            return found
    raise OSError(f"None of {_TRIES} ports was free.")

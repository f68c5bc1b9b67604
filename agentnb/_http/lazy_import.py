"""Importing httpx, which is done late: with the first request."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

__all__ = ["load_httpx", "load_transport"]

_COMMAND_LINE: Final = "httpx._main"
# What httpcore asks anyio for, which imports it when it is first asked for.
_CONNECTING: Final = ("connect_tcp", "fail_after")


def load_httpx() -> None:
    """Import httpx without its command line.

    Where click and rich are installed, that and what it needs take longer to import than all the
    rest, and the first request would wait for it.  httpx does without where it cannot be imported.
    """
    if "httpx" in sys.modules:
        return
    # The import system's own way of saying that there is no such module.
    sys.modules[_COMMAND_LINE] = None  # pyright: ignore[reportArgumentType]
    try:
        import httpx  # noqa: F401  # pyright: ignore[reportUnusedImport]
    finally:
        # Another thread may have done the same at the same time.
        sys.modules.pop(_COMMAND_LINE, None)


def load_transport() -> None:
    """Import what a request needs, its connection included.

    Otherwise it is done on the event loop, where all other runs wait for it.
    """
    load_httpx()
    import_module("agentnb._http.transport")
    anyio = import_module("anyio")
    for name in _CONNECTING:
        getattr(anyio, name, None)
    import_module("anyio.streams.tls")

"""The connection itself, which ASGI does not show: ending it badly, and writing it slowly."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

from agentnb._support.fork import close_after_fork

__all__ = ["Wire", "with_wire"]

# On, and for no second: closing sends RST, and what was not yet sent is not.
_ABRUPTLY: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
_LOOK: Final = 0.005


class Wire:
    """A connection's transport, as the server writes to it.

    What is written while it is `held` waits, so that it can be sent another way.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.lost = asyncio.Event()
        self._held: list[bytes] | None = None
        # The server's own writes: no detour where nothing is held.
        self.write = transport.write

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

    @property
    def is_ending(self) -> bool:
        """Whether nothing that is written now would arrive."""
        return self.transport.is_closing()

    @contextmanager
    def held(self) -> Generator[list[bytes], None, None]:
        """Collect what is written, instead of sending it."""
        pieces: list[bytes] = []
        self.write = pieces.append
        try:
            yield pieces
        finally:
            self.write = self.transport.write

    async def reset(self) -> None:
        """End the connection by RST, once what was written has left; wait until it is over."""
        # Only the server itself is told when a transport's buffer is empty.
        while self.transport.get_write_buffer_size() and not self.lost.is_set():  # noqa: ASYNC110
            await asyncio.sleep(_LOOK)
        connection = self.transport.get_extra_info("socket")
        if not self.transport.is_closing():
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABRUPTLY)
        self.transport.abort()
        await self.lost.wait()

    async def hang_up(self) -> None:
        """End the connection by FIN after what was written; wait until it is over."""
        self.transport.close()
        await self.lost.wait()

    async def pause(self, seconds: float | None) -> None:
        """Wait ``seconds`` (None: for ever), or until the client has gone."""
        try:
            async with asyncio.timeout(seconds):
                await self.lost.wait()
        except TimeoutError:
            pass


def with_wire(protocol: type[asyncio.Protocol]) -> type[asyncio.Protocol]:
    """Return a server's ``protocol`` whose requests carry their `Wire` as ``state["wire"]``."""

    class Wired(protocol):
        app_state: dict[str, Any]
        wire: Wire

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            close_after_fork(transport)
            self.wire = Wire(transport)
            self.app_state = {**self.app_state, "wire": self.wire}
            super().connection_made(self.wire)  # pyright: ignore[reportArgumentType]

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self.wire.lost.set()

    return Wired

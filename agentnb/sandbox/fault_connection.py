"""Control of a connection below ASGI: reset, close, and slow writes."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, Final

from agentnb._support.fork import close_after_fork

# Lingering for zero seconds: closing sends RST and discards what is buffered.
_LINGER_ZERO: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
_POLL: Final = 0.005


class Connection:
    """A connection's transport, as the server writes to it; writes are collected while `held`."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.lost = asyncio.Event()
        self._held: list[bytes] | None = None
        self.write = transport.write

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

    @property
    def is_ending(self) -> bool:
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
        """Send RST once the write buffer is empty; wait until the connection is closed."""
        # Only the server's protocol is notified of an empty buffer.
        while self.transport.get_write_buffer_size() and not self.lost.is_set():  # noqa: ASYNC110
            await asyncio.sleep(_POLL)
        connection = self.transport.get_extra_info("socket")
        if not self.transport.is_closing():
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self.transport.abort()
        await self.lost.wait()

    async def hang_up(self) -> None:
        """Send FIN after the written data; wait until the connection is closed."""
        self.transport.close()
        await self.lost.wait()

    async def pause(self, seconds: float | None) -> None:
        """Wait ``seconds`` (None: for ever), or until the client disconnects."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.lost.wait()


def with_connection(protocol: type[asyncio.Protocol]) -> type[asyncio.Protocol]:
    """Return a server's ``protocol`` whose requests carry their `Connection` in ``state``."""

    class ControlledProtocol(protocol):
        app_state: dict[str, Any]
        connection: Connection

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            close_after_fork(transport)
            self.connection = Connection(transport)
            self.app_state = {**self.app_state, "connection": self.connection}
            super().connection_made(self.connection)  # pyright: ignore[reportArgumentType]

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self.connection.lost.set()

    return ControlledProtocol

"""Incremental decompression of response bodies, in bounded pieces.

A few hundred bytes can expand to hundreds of megabytes, so no input is decompressed in one step, as
httpx's own decoders do.  Only encodings that support this are accepted: gzip and deflate, br with
Brotli 1.2 or later, and zstd with zstandard.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any, Final, Protocol

# A body may expand to MIN_OUTPUT_LIMIT bytes, a larger one to MAX_RATIO times its compressed size.
# Text does not reach that: a thousand copies of one line do.
MIN_OUTPUT_LIMIT: Final = 4 * 2**20
MAX_RATIO: Final = 100

_OUTPUT_BYTES: Final = 64 * 2**10
# The ratio is checked after each slice of input: within a whole read it would be checked too late.
_SLICE: Final = 2**10
# Four bytes of zstd can expand to 128 KiB; this many at a time expand to 2 MiB.
_ZSTD_SLICE: Final = 64
# Compressed bytes kept to recover the output before damaged data.
_REPLAY_BYTES: Final = 256 * 2**10
# The largest window that RFC 9659 lets a server use.
_ZSTD_WINDOW: Final = 8 * 2**20
_GZIP_MAGIC: Final = b"\x1f\x8b"


class DecompressionBombError(Exception):
    """The output exceeds the limit for its input."""


class _Codec(Protocol):
    """Decoder of one encoding; ``is_complete`` is whether the end of the data was reached."""

    is_complete: bool

    def decode(self, data: bytes) -> Iterator[bytes]: ...


class Decompressor:
    """Decompressor of one body."""

    __slots__ = ("_codec", "_encoding", "_received", "_replay", "_size")

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._codec = _codecs()[encoding]()
        self._received = self._size = 0
        # The input before the current slice; None once it is too much to keep.
        self._replay: bytearray | None = bytearray()

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing if the body ends here."""
        return self._codec.is_complete or not self._received

    def decompress(self, data: bytes) -> Iterator[bytes]:
        """Yield the output for ``data`` in small pieces; for damaged data, all before the damage.

        Raises:
            DecompressionBombError: the output is too large.
            ValueError: the data is damaged.
        """
        for start in range(0, len(data), _SLICE):
            part = data[start : start + _SLICE]
            self._received += len(part)
            reason = None
            try:
                for piece in self._codec.decode(part):
                    self._size += len(piece)
                    if self._size > max(MIN_OUTPUT_LIMIT, MAX_RATIO * self._received):
                        raise DecompressionBombError
                    yield piece
            except DecompressionBombError:
                raise
            except Exception as error:
                # Each library has its own class; only the text is kept, as some hold the data.
                reason = str(error)
            if reason is not None:
                yield from self._before_damage(part)
                raise ValueError(reason)
            if self._replay is not None:
                self._replay += part
                if len(self._replay) > _REPLAY_BYTES:
                    self._replay = None

    def _before_damage(self, damaged: bytes) -> Iterator[bytes]:
        """Yield the output of the damaged slice before its damage that was not yielded yet.

        The libraries drop it when they fail, unless they are fed single bytes.
        """
        if self._replay is None:
            return
        codec, known = _codecs()[self._encoding](), self._size
        data = bytes(self._replay)
        parts = [data[start : start + _SLICE] for start in range(0, len(data), _SLICE)]
        parts += [damaged[at : at + 1] for at in range(len(damaged))]
        with suppress(Exception):
            for part in parts:
                for piece in codec.decode(part):
                    if fresh := piece[known:]:
                        yield fresh
                    known = max(0, known - len(piece))


def accepted_encodings() -> str:
    """Return the value of ``Accept-Encoding``."""
    return ", ".join(name for name in _codecs() if not name.startswith("x-"))


def parse_content_encoding(header: str) -> str | None:
    """Return the encoding that ``Content-Encoding`` names, None for none.

    Raises:
        ValueError: it is not an accepted one, or there are several.
    """
    names = [name for part in header.split(",") if (name := part.strip().lower())]
    names = [name for name in names if name != "identity"]
    if not names:
        return None
    if len(names) > 1 or names[0] not in _codecs():
        raise ValueError(header)
    return names[0]


class _Gzip:
    def __init__(self) -> None:
        self.is_complete = False
        self._inflate = zlib.decompressobj(31)
        self._trailer: bytes = b""

    def decode(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self.is_complete:
                data, self._trailer = self._trailer + data, b""
                if data[:2] != _GZIP_MAGIC[: len(data)]:
                    return  # ignore trailing garbage
                if len(data) < 2:
                    self._trailer = data
                    return
                # A further member follows.
                self._inflate = zlib.decompressobj(31)
            yield from _inflate(self._inflate, data)
            self.is_complete = self._inflate.eof
            data = self._inflate.unused_data


class _Deflate:
    """Deflate with or without zlib's header: servers send both."""

    def __init__(self) -> None:
        self.is_complete = False
        self._start = b""
        self._inflate: Any = None

    def decode(self, data: bytes) -> Iterator[bytes]:
        if self._inflate is None:
            data = self._start = self._start + data
            if len(data) < 2:
                return
            has_header = data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0
            self._inflate = zlib.decompressobj(15 if has_header else -15)
        if not self.is_complete:
            yield from _inflate(self._inflate, data)
            self.is_complete = self._inflate.eof


def _inflate(inflate: Any, data: bytes) -> Iterator[bytes]:
    while not inflate.eof:
        piece = inflate.decompress(data, _OUTPUT_BYTES)
        data = inflate.unconsumed_tail
        if piece:
            yield piece
        # After a full piece there may be more output that needs no further input.
        if not data and len(piece) < _OUTPUT_BYTES:
            return


class _Brotli:
    def __init__(self) -> None:
        self.is_complete = False
        self._inflate = import_module("brotli").Decompressor()

    def decode(self, data: bytes) -> Iterator[bytes]:
        while not self.is_complete:
            piece = self._inflate.process(data, output_buffer_limit=_OUTPUT_BYTES)
            self.is_complete = self._inflate.is_finished()
            data = b""
            if piece:
                yield piece
            # It may accept more input while it still holds output back.
            elif self._inflate.can_accept_more_data():
                return


class _Zstandard:
    def __init__(self) -> None:
        self._new: Callable[[], Any] = (
            import_module("zstandard").ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj
        )
        self._inflate = self._new()
        self.is_complete = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_SLICE):
            rest = data[start : start + _ZSTD_SLICE]
            while rest:
                if self.is_complete:
                    self._inflate = self._new()
                if piece := self._inflate.decompress(rest):
                    yield piece
                self.is_complete = self._inflate.eof
                rest = self._inflate.unused_data if self.is_complete else b""


@cache
def _codecs() -> dict[str, Callable[[], _Codec]]:
    codecs: dict[str, Callable[[], _Codec]] = {"gzip": _Gzip, "deflate": _Deflate, "x-gzip": _Gzip}
    # Versions that cannot limit their output fail here.
    with suppress(Exception):
        import_module("brotli").Decompressor().process(b"", output_buffer_limit=1)
        codecs["br"] = _Brotli
    with suppress(Exception):
        _Zstandard()
        codecs["zstd"] = _Zstandard
    return codecs

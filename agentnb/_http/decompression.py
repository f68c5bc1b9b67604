"""Compressed answers, unpacked as they were flushed and a small piece at a time.

A few hundred bytes can stand for hundreds of megabytes, so nothing here unpacks all that it is
given at once, as httpx's own decoders do.  Only what can be unpacked like that is asked for: gzip
and deflate, br where Brotli 1.2 or later is installed, and zstd where zstandard is.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any, Final, Protocol

__all__ = [
    "FREE_BYTES",
    "MOST_TIMES",
    "OverflowingError",
    "Unpacker",
    "accepted_encodings",
    "encoding_of",
]

# So many bytes may come out of any body, and of a larger one so many times what went in.  Text
# does not reach that: a thousand copies of one line do.
FREE_BYTES: Final = 4 * 2**20
MOST_TIMES: Final = 100

_PIECE: Final = 64 * 2**10
# What goes in counts in slices: all of a read would make too much of what comes out seem little.
_SLICE: Final = 2**10
# Four bytes of zstd can say 128 KiB; so many at a time come to 2 MiB.
_ZSTD_SLICE: Final = 64
# So much of the compressed bytes is kept, to find what came before damage.
_KEPT: Final = 256 * 2**10
# What RFC 9659 allows a server to expect.
_ZSTD_WINDOW: Final = 8 * 2**20
_GZIP_MAGIC: Final = b"\x1f\x8b"


class OverflowingError(Exception):
    """More comes out than can be meant."""


class _Decoder(Protocol):
    """``whole`` says that the end of what was packed has come."""

    whole: bool

    def decode(self, data: bytes) -> Iterator[bytes]: ...


class Unpacker:
    """Unpacks one body."""

    __slots__ = ("_came", "_decoder", "_encoding", "_kept", "_out")

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._decoder = _decoders()[encoding]()
        self._came = self._out = 0
        # All that came before the current slice; None where that is too much to keep.
        self._kept: bytearray | None = bytearray()

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing, where the body ends here."""
        return self._decoder.whole or not self._came

    def unpack(self, data: bytes) -> Iterator[bytes]:
        """Yield what ``data`` comes to, in small pieces; where it is damaged, all up to there.

        Raises:
            OverflowingError: it is far too much.
            ValueError: it is not packed like that.
        """
        reason = None
        for start in range(0, len(data), _SLICE):
            some = data[start : start + _SLICE]
            self._came += len(some)
            try:
                for piece in self._decoder.decode(some):
                    self._out += len(piece)
                    if self._out > max(FREE_BYTES, MOST_TIMES * self._came):
                        raise OverflowingError
                    yield piece
            except OverflowingError:
                raise
            except Exception as error:
                # Each library has a class of its own for it, and some hold what came.
                reason = str(error)
            if reason is not None:
                yield from self._before_damage(some)
                raise ValueError(reason)
            if self._kept is not None:
                self._kept += some
                if len(self._kept) > _KEPT:
                    self._kept = None

    def _before_damage(self, damaged: bytes) -> Iterator[bytes]:
        """Yield what the damaged slice comes to before its damage, and was not yielded.

        The libraries keep it to themselves where they fail, unless they are given single bytes.
        """
        if self._kept is None:
            return
        decoder, known = _decoders()[self._encoding](), self._out
        kept = bytes(self._kept)
        slices = [kept[start : start + _SLICE] for start in range(0, len(kept), _SLICE)]
        slices += [damaged[at : at + 1] for at in range(len(damaged))]
        with suppress(Exception):
            for some in slices:
                for piece in decoder.decode(some):
                    if fresh := piece[known:]:
                        yield fresh
                    known = max(0, known - len(piece))


def accepted_encodings() -> str:
    """Return what goes into ``Accept-Encoding``."""
    return ", ".join(name for name in _decoders() if not name.startswith("x-"))


def encoding_of(header: str) -> str | None:
    """Return the encoding that ``Content-Encoding`` names, None for none.

    Raises:
        ValueError: it is none that was asked for, or several.
    """
    names = [name for part in header.split(",") if (name := part.strip().lower())]
    names = [name for name in names if name != "identity"]
    if not names:
        return None
    if len(names) > 1 or names[0] not in _decoders():
        raise ValueError(header)
    return names[0]


class _Gzip:
    def __init__(self) -> None:
        self.whole = False
        self._inflate = zlib.decompressobj(31)
        self._after: bytes = b""

    def decode(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self.whole:
                data, self._after = self._after + data, b""
                if data[:2] != _GZIP_MAGIC[: len(data)]:
                    return  # what stands behind the end is nobody's
                if len(data) < 2:
                    self._after = data
                    return
                # Several packed bodies may follow each other.
                self._inflate = zlib.decompressobj(31)
            yield from _inflated(self._inflate, data)
            self.whole = self._inflate.eof
            data = self._inflate.unused_data


class _Deflate:
    """What is called deflate comes in zlib's frame, or bare."""

    def __init__(self) -> None:
        self.whole = False
        self._start = b""
        self._inflate: Any = None

    def decode(self, data: bytes) -> Iterator[bytes]:
        if self._inflate is None:
            data = self._start = self._start + data
            if len(data) < 2:
                return
            framed = data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0
            self._inflate = zlib.decompressobj(15 if framed else -15)
        if not self.whole:
            yield from _inflated(self._inflate, data)
            self.whole = self._inflate.eof


def _inflated(inflate: Any, data: bytes) -> Iterator[bytes]:
    while not inflate.eof:
        piece = inflate.decompress(data, _PIECE)
        data = inflate.unconsumed_tail
        if piece:
            yield piece
        # A piece that is full may have left something behind that needs no further input.
        if not data and len(piece) < _PIECE:
            return


class _Brotli:
    def __init__(self) -> None:
        self.whole = False
        self._inflate = import_module("brotli").Decompressor()

    def decode(self, data: bytes) -> Iterator[bytes]:
        while not self.whole:
            piece = self._inflate.process(data, output_buffer_limit=_PIECE)
            self.whole = self._inflate.is_finished()
            data = b""
            if piece:
                yield piece
            # It may accept more while it still holds something back.
            elif self._inflate.can_accept_more_data():
                return


class _Zstandard:
    def __init__(self) -> None:
        library = import_module("zstandard")
        self._begin: Callable[[], Any] = library.ZstdDecompressor(
            max_window_size=_ZSTD_WINDOW
        ).decompressobj
        self._inflate = self._begin()
        self.whole = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_SLICE):
            rest = data[start : start + _ZSTD_SLICE]
            while rest:
                if self.whole:
                    self._inflate = self._begin()
                if piece := self._inflate.decompress(rest):
                    yield piece
                self.whole = self._inflate.eof
                rest = self._inflate.unused_data if self.whole else b""


_found: dict[str, Callable[[], _Decoder]] = {}


def _decoders() -> dict[str, Callable[[], _Decoder]]:
    if not _found:
        _found.update({"gzip": _Gzip, "deflate": _Deflate, "x-gzip": _Gzip})
        if _can_limit_brotli():
            _found["br"] = _Brotli
        if _has_zstandard():
            _found["zstd"] = _Zstandard
    return _found


def _can_limit_brotli() -> bool:
    try:
        import_module("brotli").Decompressor().process(b"", output_buffer_limit=1)
    except Exception:
        return False
    return True


def _has_zstandard() -> bool:
    try:
        import_module("zstandard").ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
    except Exception:
        return False
    return True

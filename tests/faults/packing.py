"""Text packed in every way in which an answer may come, as far as libraries are installed."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from agentnb._http.decompression import accepted_encodings

__all__ = ["PACKERS", "Packer", "pack"]

# What takes a piece of text, and returns it packed and flushed; None ends.
Packer = Callable[[bytes | None], bytes]


def zlib_packer(wbits: int) -> Packer:
    packing = zlib.compressobj(wbits=wbits)

    def pack(text: bytes | None) -> bytes:
        if text is None:
            return packing.flush()
        return packing.compress(text) + packing.flush(zlib.Z_SYNC_FLUSH)

    return pack


def brotli_packer() -> Packer:
    packing: Any = import_module("brotli").Compressor(quality=4)

    def pack(text: bytes | None) -> bytes:
        return packing.finish() if text is None else packing.process(text) + packing.flush()

    return pack


def zstd_packer() -> Packer:
    zstandard: Any = import_module("zstandard")
    packing = zstandard.ZstdCompressor().compressobj()

    def pack(text: bytes | None) -> bytes:
        if text is None:
            return packing.flush()
        return packing.compress(text) + packing.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    return pack


# By a name of its own where one encoding comes in several forms.
PACKERS: Final[dict[str, tuple[str, Callable[[], Packer]]]] = {
    name: (encoding, packer)
    for name, encoding, packer in (
        ("gzip", "gzip", lambda: zlib_packer(31)),
        ("deflate", "deflate", lambda: zlib_packer(15)),
        ("bare-deflate", "deflate", lambda: zlib_packer(-15)),
        ("br", "br", brotli_packer),
        ("zstd", "zstd", zstd_packer),
    )
    if encoding in accepted_encodings().split(", ")
}


def pack(kind: str, *pieces: bytes) -> tuple[str, bytes]:
    encoding, packer = PACKERS[kind]
    packing = packer()
    return encoding, b"".join([*map(packing, pieces), packing(None)])

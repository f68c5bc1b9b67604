"""The keys of rows that more than one writer must find by themselves."""

from __future__ import annotations

import hashlib

__all__ = ["platform_key"]


def platform_key(platform: str, run_id: str) -> str:
    """Return the key of a run that is known only from its platform: 32 hexadecimal digits.

    The same for the same run in every process, so that two that pull it write one row.
    """
    # A JSON escape can put lone surrogates into an id.
    told = f"{platform}\0{run_id}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(told, digest_size=16).hexdigest()

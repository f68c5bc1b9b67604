"""Attachments as users give them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from agentnb.errors import RequestError
from agentnb.platforms.base import Media

__all__ = ["MediaLike", "as_media"]

MediaLike = Media | str | Path | bytes


def as_media(item: MediaLike) -> Media:
    """Return the attachment that ``item`` is: a path, an address, bytes, or `Media` itself.

    Raises:
        RequestError: it is none of these, or a path with no file.
    """
    match item:
        case Media():
            return item
        case bytes():
            return Media(data=item)
        case Path():
            return Media(path=item)
        case str() if item.lower().startswith(("http://", "https://", "data:")):
            return Media(url=item)
        case str():
            with suppress(OSError, ValueError):  # too long for a path, or with a NUL inside
                if (path := Path(item).expanduser()).is_file():
                    return Media(path=path)
            shown = item if len(item) <= 80 else f"{item[:80]}…"
            raise RequestError(
                f"The attachment '{shown}' is neither a file nor an address.",
                hint="Content itself is given as bytes, or as Media(data=..., mime_type=...).",
            )
        case other:  # pyright: ignore[reportUnnecessaryComparison]  # not everybody checks types
            raise RequestError(f"A {type(other).__name__} is no attachment.")

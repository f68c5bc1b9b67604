"""Attachments as users give them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from agentnb.errors import RequestError
from agentnb.platforms.base import Media, Platform

__all__ = ["MediaLike", "as_media", "check_words", "media_refusal"]

MediaLike = Media | str | Path | bytes


def as_media(item: MediaLike) -> Media:
    """Return the attachment that ``item`` is: a path, an address, bytes, or `Media` itself.

    Raises:
        RequestError: it is none of these, or a path with no file, or its content is not here.
    """
    match item:
        case Media(data=None, path=None, url=None):
            name = f"The attachment '{item.name}'" if item.name else "An attachment"
            raise RequestError(
                f"{name} has no content here.", hint="The history keeps only names; attach it anew."
            )
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


def media_refusal(platform: Platform) -> str | None:
    """Return why ``platform`` takes no attachments, in one line; None where it takes some."""
    if platform.capabilities.media is not None:
        return None
    return f"{platform.name} does not take attachments."


def check_words(prompt: str, media: Sequence[MediaLike], platform: Platform) -> None:
    """Refuse a question without words, but for attachments that may come alone.

    Raises:
        RequestError: words are missing.
    """
    if prompt.strip():
        return
    if not media:
        raise RequestError("The question is empty.")
    support = platform.capabilities.media
    if support is not None and not support.alone:
        raise RequestError(
            f"{platform.name} does not take attachments without a question.",
            hint="Write what they are for.",
        )

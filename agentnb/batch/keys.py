"""By what a checkpoint knows a row: digests, from which nothing can be read."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from agentnb.batch.recipe import Recipe
from agentnb.platforms.base import Media
from agentnb.platforms.media import MediaLike, as_media

__all__ = ["RowKeys", "settings_digest"]

_BYTES: Final = 16
# They change how a row is asked, and not what.
_BESIDE: Final = frozenset({"deadlines", "retries", "stream", "timeout"})


def settings_digest(recipe: Recipe, options: Mapping[str, Any]) -> bytes:
    """Return the digest of all that a row's answer depends on beside the row itself.

    That is the agent with its address and its defaults, and the ``options`` of the map; a Python
    function is known by its name and its source.
    """
    params = {**recipe.params, **options}
    told = {
        "agent": recipe.name,
        "base_url": recipe.base_url,
        "options": recipe.options,
        "settings": {name: value for name, value in params.items() if name not in _BESIDE},
        "function": None if recipe.function is None else _source(recipe.function),
    }
    return _digest(json.dumps(told, sort_keys=True, default=repr).encode())


class RowKeys:
    """Tells rows apart: equal ones by which of them it is, in the order of the input."""

    def __init__(self) -> None:
        self._seen: dict[bytes, int] = {}

    def key(self, prompt: str, media: tuple[MediaLike, ...]) -> bytes:
        """Return the key of the next row.

        Raises:
            RequestError: an attachment is none.
            OSError: a file cannot be read.
        """
        # A lone surrogate is no reason to fail here.
        parts = [prompt.encode(errors="surrogatepass")]
        for item in media:
            parts += _parts(as_media(item))
        digest = _digest(b"".join(len(part).to_bytes(8) + part for part in parts))
        count = self._seen.get(digest, 0)
        self._seen[digest] = count + 1
        return _digest(digest + count.to_bytes(8)) if count else digest


def _parts(media: Media) -> list[bytes]:
    told = [media.mime_type, media.name, media.url]
    content = media.data
    if media.path is not None:
        told.append(media.path.name)
        content = media.path.read_bytes()
    return [json.dumps(told).encode(), hashlib.blake2b(content or b"").digest()]


def _source(function: Callable[..., Any]) -> str:
    name = f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', '')}"
    with suppress(OSError, TypeError):
        name += f"\n{inspect.getsource(function)}"
    return name


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_BYTES).digest()

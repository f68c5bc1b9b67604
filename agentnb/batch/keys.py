"""Digests that identify rows and settings in a checkpoint; nothing can be read from them."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from agentnb.batch.rows import Recipe
from agentnb.platforms.base import Media
from agentnb.platforms.media import MediaLike, as_media

_DIGEST_BYTES: Final = 16
# Options that do not change the answer.
_IGNORED: Final = frozenset({"deadlines", "retries", "stream", "timeout"})


def settings_digest(recipe: Recipe, options: Mapping[str, Any]) -> bytes:
    """Return a digest of the agent, its address and defaults, and the ``options`` of the map.

    A Python function is identified by its name and source.
    """
    params = {**recipe.params, **options}
    settings = {
        "agent": recipe.name,
        "base_url": recipe.base_url,
        "options": recipe.options,
        "settings": {name: value for name, value in params.items() if name not in _IGNORED},
        "function": None if recipe.function is None else _source(recipe.function),
    }
    return _digest(json.dumps(settings, sort_keys=True, default=repr).encode())


class RowKeys:
    """Keys of the rows of one map; equal rows are numbered in the order of the input."""

    def __init__(self) -> None:
        self._counts: Counter[bytes] = Counter()

    def key(self, prompt: str, media: tuple[MediaLike, ...]) -> bytes:
        """Return the key of the next row.

        Raises:
            RequestError: an attachment is invalid.
            OSError: a file cannot be read.
        """
        # A lone surrogate must not fail here.
        parts = [prompt.encode(errors="surrogatepass")]
        for item in media:
            parts += _media_parts(as_media(item))
        digest = _digest(b"".join(len(part).to_bytes(8) + part for part in parts))
        count = self._counts[digest]
        self._counts[digest] += 1
        return _digest(digest + count.to_bytes(8)) if count else digest


def _media_parts(media: Media) -> list[bytes]:
    names = [media.mime_type, media.name, media.url]
    content = media.data
    if media.path is not None:
        names.append(media.path.name)
        content = media.path.read_bytes()
    return [json.dumps(names).encode(), hashlib.blake2b(content or b"").digest()]


def _source(function: Callable[..., Any]) -> str:
    name = f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', '')}"
    with suppress(OSError, TypeError):
        name += f"\n{inspect.getsource(function)}"
    return name


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()

"""Convert the attachments that users give."""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

from agentnb.config.names import quoted
from agentnb.errors import RequestError
from agentnb.platforms.base import Media, Platform
from agentnb.platforms.names import attachment_name, is_media_type
from agentnb.redaction.secrets import mask

MediaLike = Media | str | Path | bytes | Mapping[str, Any]
"""One attachment as users give it: a path, an address, bytes, `Media`, or a mapping such as
``{"type": "image/png", "data": "<base64 or an address>"}``."""

_ADDRESSES: Final = ("http://", "https://", "data:")
_TYPE_KEYS: Final = ("type", "mime_type", "mimeType", "media_type", "mediaType")
_SOURCE_KEYS: Final = ("data", "url", "path")


def media_items(
    media: MediaLike | Iterable[MediaLike] | None,
) -> tuple[MediaLike, ...]:
    """Return one attachment, several or None as a tuple."""
    if media is None:
        return ()
    if isinstance(media, Media | str | Path | bytes | Mapping):
        return (cast("MediaLike", media),)
    if not isinstance(media, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        return (media,)
    return tuple(media)


def as_media(item: MediaLike) -> Media:
    """Return ``item`` as an attachment, with an `attachment_name`.

    Raises:
        RequestError: it is no `MediaLike`, a path without a file, or has no content.
    """
    media = _as_media(item)
    name = cast("object", media.name) or None
    if not isinstance(name, str | None):
        raise RequestError(f"An attachment's name is text, not {type(name).__name__}.")
    if media.mime_type and not is_media_type(media.mime_type):
        raise RequestError(
            f"An attachment is of no MIME type {quoted(mask(str(media.mime_type)))}.",
            hint="One is 'image/png'.",
        )
    given = name or (media.path.name if media.path is not None else None)
    clean = given and attachment_name(given)
    # A name equal to that of the path stays implicit.
    return media if clean in (given, name) else replace(media, name=clean)


def _as_media(item: MediaLike) -> Media:
    match item:
        case Media(data=None, path=None, url=None):
            name = f"The attachment {quoted(str(item.name))}" if item.name else "An attachment"
            raise RequestError(
                f"{name} has no content here.", hint="The history keeps only names; attach it anew."
            )
        case Media():
            return item
        case bytes():
            return Media(data=item)
        case Mapping():
            return _from_mapping(item)
        case Path():
            return Media(path=item)
        case str() if item.lower().startswith(_ADDRESSES):
            return Media(url=item)
        case str():
            with suppress(OSError, ValueError):  # too long for a path, or with a NUL inside
                if (path := Path(item).expanduser()).is_file():
                    return Media(path=path)
            raise RequestError(
                f"The attachment {quoted(mask(item))} is neither a file nor an address.",
                hint="Content itself is given as bytes, or as Media(data=..., mime_type=...).",
            )
        case other:  # pyright: ignore[reportUnnecessaryComparison]  # callers may not check types
            raise RequestError(f"A {type(other).__name__} is no attachment.")


def _from_mapping(item: Mapping[str, Any]) -> Media:
    """Return the attachment that a mapping describes.

    ``data`` is bytes, base64 or an address; ``url`` or ``path`` may stand in its place.  The MIME
    type is ``type`` (also ``mime_type`` or ``mimeType``) and may be missing where the
    content or the name implies it.

    Raises:
        RequestError: a key is unknown or given twice, there is not exactly one source, or a value
            is of the wrong type.
    """
    unknown = [str(key) for key in item if key not in (*_TYPE_KEYS, *_SOURCE_KEYS, "name")]
    if unknown:
        raise RequestError(
            f"An attachment has no {quoted(mask(', '.join(sorted(unknown))))}.",
            hint="Its keys are type, data (or url, or path) and name.",
        )
    sources = [key for key in _SOURCE_KEYS if item.get(key) is not None]
    types = [key for key in _TYPE_KEYS if item.get(key) is not None]
    if len(sources) != 1 or len(types) > 1:
        raise RequestError(
            "An attachment has exactly one of data, url and path, and one type at most."
        )
    texts = {key: item[key] for key in (*types, "name") if item.get(key) is not None}
    for key, text in texts.items():
        if not isinstance(text, str) or not text.strip():
            raise RequestError(f"An attachment's {key} is text, such as 'image/png'.")
    source = item[sources[0]]
    if sources == ["data"] and isinstance(source, str):
        if not source.lower().startswith(_ADDRESSES):
            source = _decoded(source)
    elif sources == ["path"] and isinstance(source, str | Path):
        source = Path(source)
    elif sources == ["url"] and isinstance(source, str):
        if not source.lower().startswith(_ADDRESSES):
            raise RequestError(
                "An attachment's url begins with https://, http:// or data:.",
                hint="For a file, give its path.",
            )
    elif sources == ["data"] and isinstance(source, bytes | bytearray | memoryview):
        source = bytes(cast("bytes", source))
    else:
        raise RequestError(f"An attachment's {sources[0]} is no {type(source).__name__}.")
    found = as_media(source)
    mime_type = texts[types[0]].strip() if types else None
    return Media(
        mime_type=mime_type,
        data=found.data,
        path=found.path,
        url=found.url,
        name=texts.get("name"),
    )


def _decoded(text: str) -> bytes:
    """Decode base64 text, in either alphabet, wrapped or not.

    Raises:
        RequestError: it is no base64.
    """
    packed = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except ValueError as error:
        raise RequestError(
            f"An attachment's data is neither base64 nor an address: {error}.",
            hint="Give bytes, base64 text, or an address; a file goes under 'path'.",
        ) from None


def media_refusal(platform: Platform) -> str | None:
    """Return why ``platform`` takes no attachments, in one line; None where it does."""
    if platform.capabilities.media is not None:
        return None
    return f"{platform.name} does not take attachments."


def check_prompt(prompt: str, media: Iterable[MediaLike], platform: Platform) -> None:
    """Refuse an empty prompt, unless its attachments may come alone.

    Raises:
        RequestError: the prompt is missing.
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


def read_media(item: Media, *, platform: str, max_bytes: int) -> tuple[str, str]:
    """Return the MIME type of an attachment, and its address or its content as a ``data:`` URL.

    Reads a file, so call it in a thread.

    Raises:
        RequestError: it cannot be read, is larger than ``max_bytes``, or its type is unknown.
    """
    source = item.name or (item.path.name if item.path else None) or item.url or ""
    kind = item.mime_type or mimetypes.guess_type(source)[0]
    if item.url is not None:
        return kind or "application/octet-stream", item.url
    try:
        data = item.path.read_bytes() if item.path is not None else item.data or b""
    except OSError as error:
        raise RequestError(f"{quoted(str(item.path))} cannot be read: {error.strerror}.") from error
    if len(data) > max_bytes:
        raise RequestError(f"{platform}: an attachment is larger than {max_bytes:,} bytes.")
    if kind is None:
        raise RequestError(
            f"{platform}: the type of an attachment is unknown.",
            hint="Give it: {'type': 'image/png', 'data': ...}.",
        )
    return kind, f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"

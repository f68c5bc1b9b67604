"""Build the body that starts a run, with attachments in base64 or by address."""

from __future__ import annotations

import asyncio
import base64
import binascii
import mimetypes
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_to_bytes, urlsplit

from agentnb.config.names import quoted
from agentnb.errors import RequestError, UnsupportedError
from agentnb.platforms._params import check_params
from agentnb.platforms._validation import check_history
from agentnb.platforms._wire import to_wire
from agentnb.platforms.base import Media, RunRequest
from agentnb.platforms.operativus.wire import (
    MediaInput,
    OperativusOptions,
    OperativusParams,
    RunOptions,
    RunRequestBody,
)
from agentnb.redaction.secrets import mask

__all__ = ["build_body", "is_fresh", "media_inputs"]

# First bytes of the formats that models take, for content without a name.
_SIGNATURES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
)
_TYPE_HINT: Final = "Give its mime_type, as in 'image/png'."


async def build_body(
    request: RunRequest, *, platform: str, defaults: OperativusOptions
) -> dict[str, Any]:
    """Return the JSON body of a run; the request's parameters override ``defaults``.

    It always has a ``sessionId``: if the server does not send the run's id, the run is found by its
    session.

    Raises:
        RequestError: a parameter or an attachment is invalid.
        UnsupportedError: the request has a JSON schema, or earlier messages for its session.
    """
    check_history(request, platform=platform, supported=False)
    if request.output_schema is not None:
        raise UnsupportedError(f"{platform} takes no JSON schema for the answer.")
    params = check_params(OperativusParams, request.params, platform=platform)
    if None not in (request.session_id, params.session_id) and (
        request.session_id != params.session_id
    ):
        raise RequestError(f"{platform}: the session is given twice, and differently.")
    followups = params.generate_followups
    body = RunRequestBody(
        message=request.prompt,
        sessionId=request.session_id or params.session_id or str(uuid.uuid4()),
        userId=params.user_id or defaults.user_id,
        orgId=params.org_id or defaults.org_id,
        generateFollowups=(request.followups or None) if followups is None else followups,
        media=(
            *await media_inputs(request.media, max_bytes=defaults.max_media_bytes),
            *params.media,
        )
        or None,
        options=_options(params, platform),
    )
    return to_wire(body)


def is_fresh(request: RunRequest) -> bool:
    """Return whether the run starts a session."""
    return not any((request.session_id, *map(request.params.get, ("session_id", "sessionId"))))


def _options(params: OperativusParams, platform: str) -> RunOptions | None:
    nested = params.options or RunOptions()
    names = RunOptions.model_fields
    top = {name: value for name in names if (value := getattr(params, name)) is not None}
    for name in top:
        if getattr(nested, name) is not None:
            raise RequestError(f"{platform}: {name} is given twice, beside and in options.")
    merged = nested.model_copy(update=top)
    return merged if merged.model_fields_set else None


# --- attachments ------------------------------------------------------------------------------


async def media_inputs(items: Sequence[Media], *, max_bytes: int) -> tuple[MediaInput, ...]:
    """Return the wire form of ``items``; files are read off the event loop.

    Raises:
        RequestError: an item has not exactly one source, a file cannot be read, an address is
            invalid, all together are larger than ``max_bytes``, or a MIME type is unknown.
    """
    inputs: list[MediaInput] = []
    left = max_bytes
    for item in items:
        sources = [source for source in (item.data, item.path, item.url) if source is not None]
        if len(sources) != 1:
            raise RequestError("An attachment has exactly one of data, path and url.")
        if item.url is not None and not item.url.lower().startswith("data:"):
            inputs.append(MediaInput(type=_remote_type(item, item.url), data=item.url))
            continue
        mime_type, content = await _content(item, left)
        left -= len(content)
        if left < 0:
            raise RequestError(
                f"The attachments are larger than {max_bytes:,} bytes together.",
                hint="Give an address instead, or raise the option max_media_bytes.",
            )
        name = item.name or (item.path.name if item.path is not None else None)
        mime_type = item.mime_type or mime_type or _guess(name) or _sniff(content)
        if mime_type is None:
            raise RequestError(
                f"The type of the attachment {_printable(name) if name else 'of bytes'} is"
                " unknown.",
                hint=_TYPE_HINT,
            )
        data = base64.b64encode(content).decode("ascii")
        inputs.append(MediaInput(type=mime_type, data=data))
    return tuple(inputs)


async def _content(item: Media, left: int) -> tuple[str | None, bytes]:
    """Return the content of ``item``, and the MIME type that its data: address names."""
    if item.url is not None:
        return _from_data_url(item.url)
    if item.path is not None:
        return None, await asyncio.to_thread(_read, item.path, left)
    return None, item.data or b""


def _read(path: Path, left: int) -> bytes:
    path = path.expanduser()
    try:
        # Reading a device or a pipe may never end.
        if not path.is_file():
            reason = "is a folder" if path.is_dir() else "does not exist"
            raise RequestError(f"The attachment {_printable(path)} {reason}.")
        with path.open("rb") as file:
            # One byte too many is enough to refuse a file, however large it is.
            return file.read(left + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise RequestError(
            f"The attachment {_printable(path)} cannot be read: {reason}."
        ) from error


def _remote_type(item: Media, url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme.lower() not in ("http", "https") or not parts.netloc:
        raise RequestError(
            "An attachment's address begins with https://, http:// or data:.",
            hint="For a file, give its path.",
        )
    mime_type = item.mime_type or _guess(item.name) or _guess(parts.path)
    if mime_type is None:
        raise RequestError(
            "The type of an attachment is unknown from its address.",
            hint=_TYPE_HINT,
        )
    return mime_type


def _from_data_url(url: str) -> tuple[str | None, bytes]:
    head, comma, body = url[len("data:") :].partition(",")
    if not comma:
        raise RequestError("An attachment's data: address has no data.")
    mime_type, *flags = head.split(";")
    content = unquote_to_bytes(body)
    if "base64" in (flag.strip().lower() for flag in flags):
        try:
            content = base64.b64decode(content, validate=True)
        except binascii.Error as error:
            raise RequestError(f"An attachment's data: address is no base64: {error}.") from error
    return mime_type.strip() or None, content


def _guess(name: str | None) -> str | None:
    return mimetypes.guess_type(name)[0] if name else None


def _sniff(content: bytes) -> str | None:
    for signature, mime_type in _SIGNATURES:
        if content.startswith(signature):
            return mime_type
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        return "audio/wav"
    return None


def _printable(name: str | Path) -> str:
    return quoted(mask(str(name)))[1:-1]

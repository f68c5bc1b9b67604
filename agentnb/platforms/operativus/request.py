"""Build the body that starts a run, with attachments in base64 or by address."""

from __future__ import annotations

import asyncio
import base64
import binascii
import mimetypes
import re
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_to_bytes, urlsplit

from agentnb.config.names import quoted
from agentnb.errors import RequestError
from agentnb.platforms._params import check_params
from agentnb.platforms._wire import to_wire
from agentnb.platforms.base import Media, RunRequest
from agentnb.platforms.http_platform import nested_settings, session_of
from agentnb.platforms.operativus.wire import (
    MediaInput,
    OperativusOptions,
    OperativusParams,
    RunOptions,
    RunRequestBody,
)
from agentnb.redaction.secrets import mask

# First bytes of the formats that models take, for content without a name.
_SIGNATURES: Final = {
    rb"\x89PNG\r\n\x1a\n": "image/png",
    rb"\xff\xd8\xff": "image/jpeg",
    rb"GIF8": "image/gif",
    rb"%PDF-": "application/pdf",
    rb"ID3": "audio/mpeg",
    rb"OggS": "audio/ogg",
    rb"RIFF....WEBP": "image/webp",
    rb"RIFF....WAVE": "audio/wav",
}
_TYPE_HINT: Final = "Give its mime_type, as in 'image/png'."


async def build_body(
    request: RunRequest, *, platform: str, defaults: OperativusOptions
) -> dict[str, Any]:
    """Return the JSON body of a run; the request's parameters override ``defaults``.

    It always has a ``sessionId``: if the server does not send the run's id, the run is found by its
    session.

    Raises:
        RequestError: a parameter or an attachment is invalid.
    """
    params = check_params(OperativusParams, request.params, platform=platform)
    session_id = session_of(request, params.session_id, platform=platform)
    media = await media_inputs(request.media, max_bytes=defaults.max_media_bytes)
    followups = params.generate_followups
    body = RunRequestBody(
        message=request.prompt,
        session_id=session_id or str(uuid.uuid4()),
        user_id=params.user_id or defaults.user_id,
        org_id=params.org_id or defaults.org_id,
        generate_followups=(request.followups or None) if followups is None else followups,
        media=(*media, *(params.media or ())) or None,
        options=nested_settings(params, "options", RunOptions, platform=platform),
    )
    return to_wire(body)


def is_fresh(request: RunRequest) -> bool:
    """Return whether the run starts a session."""
    return not any((request.session_id, *map(request.params.get, ("session_id", "sessionId"))))


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
        if [item.data, item.path, item.url].count(None) != 2:
            raise RequestError("An attachment has exactly one of data, path and url.")
        mime_type, names, content = item.mime_type, [item.name], item.data or b""
        if item.url is not None and not item.url.lower().startswith("data:"):
            names.append(_path_in(item.url))
            data, subject = item.url, "an attachment is unknown from its address"
        else:
            if item.url is not None:
                data_type, content = _from_data_url(item.url)
                mime_type = mime_type or data_type
            elif item.path is not None:
                content = await asyncio.to_thread(_read, item.path, left)
                names.append(item.path.name)
            left -= len(content)
            if left < 0:
                raise RequestError(
                    f"The attachments are larger than {max_bytes:,} bytes together.",
                    hint="Give an address instead, or raise the option max_media_bytes.",
                )
            data = base64.b64encode(content).decode("ascii")
            name = next(filter(None, names), None)
            subject = f"the attachment {_printable(name) if name else 'of bytes'} is unknown"
        guesses = (mimetypes.guess_type(name)[0] for name in names if name)
        mime_type = mime_type or next(filter(None, guesses), None) or _sniff(content)
        if mime_type is None:
            raise RequestError(f"The type of {subject}.", hint=_TYPE_HINT)
        inputs.append(MediaInput(type=mime_type, data=data))
    return tuple(inputs)


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


def _path_in(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme.lower() not in ("http", "https") or not parts.netloc:
        raise RequestError(
            "An attachment's address begins with https://, http:// or data:.",
            hint="For a file, give its path.",
        )
    return parts.path


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


def _sniff(content: bytes) -> str | None:
    kinds = _SIGNATURES.items()
    return next((kind for start, kind in kinds if re.match(start, content, re.DOTALL)), None)


def _printable(name: str | Path) -> str:
    return quoted(mask(str(name)))[1:-1]

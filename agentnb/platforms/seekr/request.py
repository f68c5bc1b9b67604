"""From a `RunRequest` to what SeekrFlow is sent: the run's body and the message."""

from __future__ import annotations

import asyncio
import base64
import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agentnb.config.names import quoted
from agentnb.errors import RequestError
from agentnb.platforms._params import check_params
from agentnb.platforms._validation import check_history
from agentnb.platforms._wire import mend, to_wire
from agentnb.platforms.base import Media, RunRequest
from agentnb.platforms.seekr.wire import ModelSettings, Options, Params, RunBody
from agentnb.redaction.secrets import mask

__all__ = ["MAX_IMAGE_BYTES", "Plan", "make_plan", "message_content"]

MAX_IMAGE_BYTES: Final = 20 * 2**20
"""The largest image that is sent as data; a larger one goes by its address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run, checked and ready to be sent."""

    body: Mapping[str, Any]
    dialect: str
    team_id: str | None
    thread_meta_data: Mapping[str, Any]
    file_ids: Sequence[str]


def make_plan(request: RunRequest, options: Options, *, platform: str) -> Plan:
    """Return what is to be sent for ``request``.

    Raises:
        RequestError: an unknown parameter, one out of range, or one given twice.
        UnsupportedError: a thread is to begin with earlier messages.
    """
    check_history(request, platform=platform, supported=False)
    params = check_params(Params, request.params, platform=platform)
    body = RunBody(
        agent_id=request.agent or "default_agent",
        model_settings=_settings(params, platform),
        response_format=params.response_format,
        group=params.group,
        metadata=params.metadata,
    )
    wire = to_wire(body)
    if request.output_schema is not None:
        if params.response_format is not None:
            raise RequestError(
                f"{platform}: an output type and response_format are one thing; give it once."
            )
        wire["response_format"] = {"json_schema": dict(request.output_schema)}
    return Plan(
        body=wire,
        dialect=params.dialect or options.dialect,
        team_id=params.team_id,
        thread_meta_data=params.thread_meta_data or {},
        file_ids=params.file_ids or (),
    )


def _settings(params: Params, platform: str) -> ModelSettings | None:
    nested = params.model_settings.model_dump(exclude_none=True) if params.model_settings else {}
    flat = params.model_dump(include=set(ModelSettings.model_fields), exclude_none=True)
    if twice := sorted(nested.keys() & flat.keys()):
        raise RequestError(
            f"{platform}: {', '.join(twice)} stands both in model_settings and beside it; "
            "give it once."
        )
    merged = {**nested, **flat}
    return ModelSettings(**merged) if merged else None


async def message_content(
    prompt: str, media: Sequence[Media], file_ids: Sequence[str], *, platform: str
) -> str | list[dict[str, Any]]:
    """Return a message's content: the prompt, if any, with attachments as typed parts.

    Images go by their address or as a data URL, other files by the id that the platform gave them.

    Raises:
        RequestError: another kind of attachment, one that cannot be read, or one too large.
    """
    if not media and not file_ids:
        return mend(prompt)
    parts: list[dict[str, Any]] = []
    if prompt.strip():
        parts.append({"type": "input_text", "text": mend(prompt)})
    for item in media:
        address = await asyncio.to_thread(_image_address, item, platform)
        parts.append({"type": "input_image", "image_url": address, "detail": "auto"})
    parts += [{"type": "input_file", "file_id": mend(file_id)} for file_id in file_ids]
    return parts


def _image_address(media: Media, platform: str) -> str:
    source = media.name or media.url or (media.path.name if media.path else "")
    kind = media.mime_type or mimetypes.guess_type(source)[0]
    # An address without a known ending may well be an image; the platform will say.
    if not (kind or ("image/" if media.url else "")).startswith("image/"):
        raise RequestError(
            f"{platform} takes images only, not {_shown(source) or 'data'} "
            f"({_shown(kind or 'of unknown type')}).",
            hint="Other files go by the id that the platform gave them: file_ids=[...].",
        )
    if media.url is not None:
        return media.url
    try:
        data = media.data if media.path is None else media.path.read_bytes()
    except OSError as error:
        raise RequestError(
            f"{_shown(str(media.path))} cannot be read: {error.strerror}."
        ) from error
    if data is None:
        raise RequestError(f"{platform}: an attachment has neither data, path nor url.")
    if len(data) > MAX_IMAGE_BYTES:
        raise RequestError(
            f"{platform}: {_shown(source) or 'an image'} is larger than "
            f"{MAX_IMAGE_BYTES // 2**20} MiB."
        )
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _shown(text: str) -> str:
    return quoted(mask(text))[1:-1]

"""Convert a `RunRequest` into SeekrFlow's run body and message content."""

from __future__ import annotations

import asyncio
import base64
import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, cast

from pydantic import BaseModel, BeforeValidator, Field

from agentnb._support.text import well_formed
from agentnb.config.names import quoted
from agentnb.errors import RequestError
from agentnb.platforms._params import check_params
from agentnb.platforms._validation import check_history
from agentnb.platforms._wire import Number, Outbound, to_wire
from agentnb.platforms.base import Media, RunRequest
from agentnb.redaction.secrets import mask

MAX_IMAGE_BYTES: Final = 20 * 2**20
"""The largest image sent inline; larger ones need a URL."""

HeaderText = Annotated[str, Field(pattern=r"^[!-~]+$")]
Dialect = Literal["stream", "vercel"]


class ModelSettings(Outbound):
    """Sampling settings; the ranges are the API page's."""

    temperature: Annotated[float | None, Number, Field(ge=0, le=2)] = None
    top_p: Annotated[float | None, Number, Field(ge=0, le=1)] = None
    frequency_penalty: Annotated[float | None, Number, Field(ge=-2, le=2)] = None
    presence_penalty: Annotated[float | None, Number, Field(ge=-2, le=2)] = None
    max_tokens: Annotated[int | None, Number] = None


class ResponseFormat(Outbound):
    """JSON schema of the answer."""

    json_schema: dict[str, Any]


def _to_schema(value: Any) -> Any:
    if isinstance(value, type) and issubclass(value, BaseModel):
        return {"json_schema": value.model_json_schema()}
    return cast("Any", value)


class RunSettings(Outbound):
    """Settings shared by a run's body and its parameters."""

    model_settings: ModelSettings | None = None
    response_format: Annotated[ResponseFormat | None, BeforeValidator(_to_schema)] = None
    group: str | None = None
    metadata: dict[str, str] | None = None


class RunBody(RunSettings):
    """Body of a run: RunRequest of the API page.  Fields that are None are omitted."""

    agent_id: str = "default_agent"


class Params(RunSettings, ModelSettings):
    """Parameters accepted in `RunRequest.params`.

    Fields of ``model_settings`` may also be given directly (``temperature=0.2``).  The others shape
    the request: the stream's ``dialect``, ``team_id`` (header ``x-team-id``), ``thread_meta_data``
    of a newly created thread, and ``file_ids``, files on the platform to attach to the message.
    """

    dialect: Dialect | None = None
    team_id: Annotated[HeaderText | None, Field(alias="x-team-id")] = None
    thread_meta_data: dict[str, Any] | None = None
    file_ids: list[str] | None = None


class Options(Outbound):
    """Options accepted in ``PlatformSettings.options``.

    ``auth_scheme`` "" sends the raw key, as the vendor's client does; the API page's text says
    "Bearer".  ``team_id`` is the header ``x-team-id``.  ``page_size`` is the number of runs
    requested per page; a server may return fewer.
    """

    auth_scheme: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]*$")] = ""
    team_id: HeaderText | None = None
    dialect: Dialect = "stream"
    page_size: Annotated[int, Number, Field(ge=1)] = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRun:
    """A validated run, ready to be sent."""

    body: Mapping[str, Any]
    dialect: str
    team_id: str | None
    thread_meta_data: Mapping[str, Any]
    file_ids: Sequence[str]


def prepare_run(request: RunRequest, options: Options, *, platform: str) -> PreparedRun:
    """Validate ``request`` and build its run body.

    Raises:
        RequestError: a parameter is unknown, out of range, or given twice.
        UnsupportedError: the request has message history.
    """
    check_history(request, platform=platform, supported=False)
    params = check_params(Params, request.params, platform=platform)
    body = to_wire(
        RunBody(
            agent_id=request.agent or "default_agent",
            model_settings=_merge_settings(params, platform),
            response_format=params.response_format,
            group=params.group,
            metadata=params.metadata,
        )
    )
    if request.output_schema is not None:
        if params.response_format is not None:
            raise RequestError(
                f"{platform}: an output type and response_format are one thing; give it once."
            )
        body["response_format"] = {"json_schema": dict(request.output_schema)}
    return PreparedRun(
        body=body,
        dialect=params.dialect or options.dialect,
        team_id=params.team_id,
        thread_meta_data=params.thread_meta_data or {},
        file_ids=params.file_ids or (),
    )


def _merge_settings(params: Params, platform: str) -> ModelSettings | None:
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
    """Return the content of a message: the prompt, if any, with attachments as typed parts.

    Images are sent as a URL or inline as a data URL, other files by their id on the platform.

    Raises:
        RequestError: an attachment is no image, unreadable or too large.
    """
    if not media and not file_ids:
        return well_formed(prompt)
    parts: list[dict[str, Any]] = []
    if prompt.strip():
        parts.append({"type": "input_text", "text": well_formed(prompt)})
    for item in media:
        url = await asyncio.to_thread(_image_url, item, platform)
        parts.append({"type": "input_image", "image_url": url, "detail": "auto"})
    parts += [{"type": "input_file", "file_id": well_formed(file_id)} for file_id in file_ids]
    return parts


def _image_url(media: Media, platform: str) -> str:
    source = media.name or media.url or (media.path.name if media.path else "")
    kind = media.mime_type or mimetypes.guess_type(source)[0]
    # A URL without a known file extension may be an image; the platform decides.
    if not (kind or ("image/" if media.url else "")).startswith("image/"):
        raise RequestError(
            f"{platform} takes images only, not {_display(source) or 'data'} "
            f"({_display(kind or 'of unknown type')}).",
            hint="Other files go by the id that the platform gave them: file_ids=[...].",
        )
    if media.url is not None:
        return media.url
    try:
        data = media.data if media.path is None else media.path.read_bytes()
    except OSError as error:
        raise RequestError(
            f"{_display(str(media.path))} cannot be read: {error.strerror}."
        ) from error
    if data is None:
        raise RequestError(f"{platform}: an attachment has neither data, path nor url.")
    if len(data) > MAX_IMAGE_BYTES:
        raise RequestError(
            f"{platform}: {_display(source) or 'an image'} is larger than "
            f"{MAX_IMAGE_BYTES // 2**20} MiB."
        )
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _display(text: str) -> str:
    return quoted(mask(text))[1:-1]

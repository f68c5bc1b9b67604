"""Request models of OperativusAI's API."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, field_validator

from agentnb.platforms.base import Media
from agentnb.sandbox.dialects.base import ApiError

__all__ = [
    "EventsQuery",
    "OperativusRunBody",
    "OperativusRunsQuery",
    "Resolution",
    "media_of",
    "script_of",
]

_MODEL_PREFIX: Final = "fault:"


class MediaItem(BaseModel):
    type: Annotated[str, Field(min_length=1)]
    data: Annotated[str, Field(min_length=1)]


class OperativusOptions(BaseModel, extra="allow"):
    model: str | None = None
    temperature: float | None = None
    maxTokens: Annotated[int, Field(ge=1)] | None = None


class OperativusRunBody(BaseModel):
    """Body of a request that starts a run."""

    message: str
    sessionId: str | None = None
    userId: str | None = None
    orgId: str | None = None
    generateFollowups: bool = False
    media: list[MediaItem] = []
    options: OperativusOptions | None = None

    @field_validator("message")
    @classmethod
    def _not_blank(cls, message: str) -> str:
        if not message.strip():
            raise ValueError("must not be blank")
        return message


class OperativusRunsQuery(BaseModel):
    """Query of a list of runs."""

    sessionId: str | None = None
    agentId: str | None = None
    status: str | None = None
    page: Annotated[int, Field(ge=0)] = 0
    size: Annotated[int, Field(ge=1, le=1000)] = 20


class EventsQuery(BaseModel):
    """Query of the events of a run."""

    sinceId: Annotated[int, Field(ge=0)] | None = None


class Resolution(BaseModel):
    """Decision on an approval."""

    decision: Literal["APPROVED", "REJECTED"]


def script_of(body: OperativusRunBody) -> Any:
    """Return the request's script of faults, not validated yet; None where it has none."""
    options = body.options
    if options is None:
        return None
    given = (options.model_extra or {}).get("fault")
    if given is None and (options.model or "").startswith(_MODEL_PREFIX):
        return (options.model or "").removeprefix(_MODEL_PREFIX)
    return given


def media_of(items: Sequence[MediaItem]) -> list[Media]:
    """Return attachments as an agent gets them, or respond 400."""
    found: list[Media] = []
    for number, item in enumerate(items):
        if item.data.startswith(("http://", "https://")):
            found.append(Media(mime_type=item.type, url=item.data))
            continue
        encoded_data = item.data
        if encoded_data.startswith("data:"):
            encoded_data = encoded_data.partition(",")[2]
        try:
            data = base64.b64decode(encoded_data, validate=True)
        except (ValueError, binascii.Error):
            problem = {
                "loc": ["body", "media", number, "data"],
                "msg": "must be base64 or an address",
                "type": "value_error",
            }
            message = f"media.{number}.data: {problem['msg']}"
            raise ApiError(400, "invalid_request", message, [problem]) from None
        found.append(Media(mime_type=item.type, data=data))
    return found

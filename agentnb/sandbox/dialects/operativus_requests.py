"""Request models of OperativusAI's API."""

from __future__ import annotations

import base64
import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, field_validator

from agentnb.platforms.base import Media

_MODEL_PREFIX: Final = "fault:"


class MediaItem(BaseModel):
    """An attachment: an address, or data in base64."""

    type: Annotated[str, Field(min_length=1)]
    data: Annotated[str, Field(min_length=1)]

    @field_validator("data")
    @classmethod
    def _is_readable(cls, data: str) -> str:
        try:
            _decoded(data)
        except ValueError:
            raise ValueError("must be base64 or an address") from None
        return data

    def media(self) -> Media:
        """Return the attachment as an agent receives it."""
        data = _decoded(self.data)
        return Media(mime_type=self.type, data=data, url=self.data if data is None else None)


def _decoded(text: str) -> bytes | None:
    """Return the bytes of an attachment, None for an address."""
    if text.startswith(("http://", "https://")):
        return None
    return base64.b64decode(re.sub("^data:[^,]*,?", "", text), validate=True)


class OperativusOptions(BaseModel, extra="allow"):
    """Options of a run; others are passed to the agent."""

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

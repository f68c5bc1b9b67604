"""What a user may set of an Operativus server."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from pydantic import field_validator

from agentnb.platforms._bodies import parse_zone
from agentnb.platforms._wire import Number, Outbound
from agentnb.platforms.operativus.media import MAX_MEDIA_BYTES
from agentnb.platforms.operativus.times import ServerTimes

__all__ = ["Options"]


class Options(Outbound):
    """The platform's own settings."""

    user_id: str | None = None
    org_id: str | None = None
    max_media_bytes: Annotated[int, Number, Ge(0)] = MAX_MEDIA_BYTES
    max_event_bytes: Annotated[int, Number, Ge(1)] = 16 * 2**20
    time_zone: str | None = None

    @field_validator("time_zone")
    @classmethod
    def _is_zone(cls, text: str | None) -> str | None:
        if text is not None:
            parse_zone(text)
        return text

    @property
    def times(self) -> ServerTimes:
        """What reads the server's times."""
        return ServerTimes(None if self.time_zone is None else parse_zone(self.time_zone))

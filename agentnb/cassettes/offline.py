"""A platform without a server: its name and capabilities, for runs that are played back."""

from __future__ import annotations

from agentnb.errors import AgentnbError, UnsupportedError
from agentnb.event.types import Event
from agentnb.platforms.base import Capabilities, RunRequest
from agentnb.platforms.base_platform import BasePlatform


class OfflinePlatform(BasePlatform):
    """A `Platform` that refuses every call; subclasses override what they have a record of."""

    def __init__(self, name: str, capabilities: Capabilities | None = None) -> None:
        super().__init__(name)
        self._capabilities = capabilities or Capabilities()

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def invoke(self, request: RunRequest) -> list[Event]:
        raise self._refusal("start a run")

    async def cancel(
        self, run_id: str | None, *, agent: str | None = None, session_id: str | None = None
    ) -> None:
        """Do nothing: no run is in progress anywhere."""

    def _refusal(self, call: str) -> AgentnbError:
        return UnsupportedError(
            f"This is a recording: {self.name} cannot {call}.",
            hint="agentnb.agent() gives the agent itself.",
        )

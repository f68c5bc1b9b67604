"""A platform without a server: its name and capabilities, for runs that are played back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from agentnb.errors import AgentnbError, UnsupportedError
from agentnb.event.types import Event
from agentnb.platforms.base import AgentInfo, Capabilities, RemoteRun, RunRequest


class OfflinePlatform:
    """A `Platform` that refuses every call; subclasses override what they have a record of."""

    def __init__(self, name: str, capabilities: Capabilities | None = None) -> None:
        self.name = name
        self.capabilities = capabilities or Capabilities()

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        raise self._refusal("start a run")
        yield []

    async def invoke(self, request: RunRequest) -> list[Event]:
        raise self._refusal("start a run")

    async def attach(
        self, run_id: str, *, agent: str | None = None, session_id: str | None = None
    ) -> AsyncGenerator[list[Event], None]:
        raise self._refusal(f"attach to the run {run_id}")
        yield []

    async def decide(
        self,
        run_id: str,
        approval_id: str | None,
        *,
        approved: bool,
        agent: str | None = None,
        session_id: str | None = None,
    ) -> None:
        raise self._refusal("take a decision")

    async def cancel(
        self, run_id: str | None, *, agent: str | None = None, session_id: str | None = None
    ) -> None:
        """Do nothing: no run is in progress anywhere."""

    async def agents(self) -> list[AgentInfo]:
        raise self._refusal("list its agents")

    def runs(
        self,
        *,
        agent: str | None = None,
        session_id: str | None = None,
        status: str | None = None,
        limit: int | None = None,
        order: str = "desc",
        offset: int = 0,
    ) -> AsyncIterator[RemoteRun]:
        raise self._refusal("list its runs")

    async def status(
        self, run_ids: Sequence[str], *, agent: str | None = None, session_id: str | None = None
    ) -> dict[str, RemoteRun]:
        raise self._refusal("return the status of a run")

    async def aclose(self) -> None:
        """Do nothing: there are no connections."""

    def _refusal(self, call: str) -> AgentnbError:
        return UnsupportedError(
            f"This is a recording: {self.name} cannot {call}.",
            hint="agentnb.agent() gives the agent itself.",
        )

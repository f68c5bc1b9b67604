"""A platform that is not there: its name and what it could do, for runs that are played."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from agentnb.errors import AgentnbError, UnsupportedError
from agentnb.event.types import Event
from agentnb.platforms.base import AgentInfo, Capabilities, RemoteRun, RunRequest

__all__ = ["OfflinePlatform"]


class OfflinePlatform:
    """A `Platform` that refuses everything, and stops nothing anywhere.

    What plays recorded runs overrides what it has a record of.
    """

    def __init__(self, name: str, capabilities: Capabilities | None = None) -> None:
        self._name = name
        self._capabilities = capabilities or Capabilities()

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        raise self._refusal("be asked")
        yield []

    async def invoke(self, request: RunRequest) -> list[Event]:
        raise self._refusal("be asked")

    async def attach(
        self, run_id: str, *, agent: str | None = None, session_id: str | None = None
    ) -> AsyncGenerator[list[Event], None]:
        raise self._refusal(f"let anybody join the run {run_id}")
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
        """Do nothing: nothing runs anywhere."""

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
        raise self._refusal("tell how a run stands")

    async def aclose(self) -> None:
        """Do nothing: there are no connections."""

    def _refusal(self, what: str) -> AgentnbError:
        return UnsupportedError(
            f"This is a recording: {self.name} cannot {what}.",
            hint="agentnb.agent() gives the agent itself.",
        )

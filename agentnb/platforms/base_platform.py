"""`BasePlatform`, the base class of platforms, which refuses what they do not override."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import TypeVar

from agentnb.errors import AgentnbError, UnsupportedError
from agentnb.event.types import Event
from agentnb.platforms._validation import check_history
from agentnb.platforms.base import AgentInfo, Capabilities, RemoteRun, RunRequest

T = TypeVar("T")


class Recent(OrderedDict[str, T]):
    """The newest values by their keys, at most ``limit``."""

    def __init__(self, limit: int = 256) -> None:
        super().__init__()
        self._limit = limit

    def note(self, key: str, value: T) -> T:
        """Set the newest value and drop the oldest ones beyond the limit; return it."""
        self[key] = value
        self.move_to_end(key)
        while len(self) > self._limit:
            self.popitem(last=False)
        return value


class BasePlatform:
    """A `Platform` that refuses every call; subclasses override what their system has.

    At least that is `stream`; `invoke` then collects its events.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        """The features whose methods are overridden; a subclass adds the others."""

        def has(method: str) -> bool:
            return getattr(type(self), method) is not getattr(BasePlatform, method)

        return Capabilities(
            cancel=has("cancel"),
            attach=has("attach"),
            list_agents=has("agents"),
            list_runs=has("runs"),
            run_status=has("status"),
            approvals=has("decide"),
        )

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        raise self._refusal("start a run")
        yield []

    async def invoke(self, request: RunRequest) -> list[Event]:
        async with aclosing(self.stream(request)) as batches:
            return [event async for batch in batches for event in batch]

    def attach(
        self, run_id: str, *, agent: str | None = None, session_id: str | None = None
    ) -> AsyncGenerator[list[Event], None]:
        raise self._refusal(f"attach to the run {run_id}")

    async def decide(
        self,
        run_id: str,
        approval_id: str | None,
        *,
        approved: bool,
        agent: str | None = None,
        session_id: str | None = None,
    ) -> None:
        raise self._refusal("take a decision on an approval")

    async def cancel(
        self, run_id: str | None, *, agent: str | None = None, session_id: str | None = None
    ) -> None:
        raise self._refusal("cancel a run; closing its stream stops it")

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
        """Close every connection.  Safe to call twice."""

    def check_request(self, request: RunRequest) -> None:
        """Refuse a request for what `capabilities` exclude.

        Raises:
            RequestError: it has both a session and earlier messages.
            UnsupportedError: it has something else that the platform does not take.
        """
        abilities = self.capabilities
        check_history(request, platform=self.name, supported=abilities.history)
        refused = {
            "attachments": bool(request.media) and abilities.media is None,
            "JSON schema": request.output_schema is not None and not abilities.output_schema,
            "session": bool(request.session_id) and not abilities.sessions,
        }
        for what, is_refused in refused.items():
            if is_refused:
                raise UnsupportedError(f"{self.name} takes no {what}.")

    def _refusal(self, call: str) -> AgentnbError:
        return UnsupportedError(f"{self.name} cannot {call}.")

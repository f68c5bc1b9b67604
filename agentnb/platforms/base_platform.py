"""`BasePlatform`, the base class of platforms, which refuses what they do not override."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from typing import Any, Final, Protocol, TypeVar

from agentnb.errors import AgentnbError, UnsupportedError
from agentnb.event.types import Event
from agentnb.platforms._validation import check_history
from agentnb.platforms.base import AgentInfo, Capabilities, RemoteRun, RunRequest

T = TypeVar("T")

#: Maximum number of ids in one request.
LARGEST_BATCH: Final = 100


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
        payload: Any = None,
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
        # The history of a session that agentnb keeps is the whole conversation.
        if abilities.remembers or request.session_id is None:
            check_history(request, platform=self.name, supported=abilities.history)
        refused = {
            "attachments": bool(request.media) and abilities.media is None,
            "JSON schema": request.output_schema is not None and not abilities.output_schema,
            "session": bool(request.session_id) and not abilities.sessions,
            "tools of the client": bool(request.tools) and not abilities.client_tools,
        }
        for what, is_refused in refused.items():
            if is_refused:
                raise UnsupportedError(f"{self.name} takes no {what}.")

    def _refusal(self, call: str) -> AgentnbError:
        return UnsupportedError(f"{self.name} cannot {call}.")


class OfflinePlatform(BasePlatform):
    """A platform without a server, for runs that are played back; it refuses every call."""

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


class RunIds(Protocol):
    """A run's ids, as far as they are known."""

    @property
    def run_id(self) -> str: ...
    @property
    def agent(self) -> str | None: ...
    @property
    def session_id(self) -> str | None: ...


R = TypeVar("R", bound=RunIds)


def batches(runs: Iterable[R], abilities: Capabilities) -> list[list[R]]:
    """Return ``runs`` in groups whose status one call of `Platform.status` can return."""
    groups: dict[tuple[str | None, ...], list[R]] = {}
    for run in runs:
        match abilities.status_batch:
            case "all":
                key = ()
            case "agent":
                key = (run.agent,)
            # A run of an unknown session may not be found; it must not fail the others.
            case "session" if run.session_id is not None:
                key = (run.session_id,)
            case _:
                key = ("", run.run_id)
        groups.setdefault(key, []).append(run)
    return [
        found[n : n + LARGEST_BATCH]
        for found in groups.values()
        for n in range(0, len(found), LARGEST_BATCH)
    ]


def common(values: Iterable[str | None]) -> str | None:
    """Return the value that all have in common, None where they differ."""
    found = set(values)
    return found.pop() if len(found) == 1 else None

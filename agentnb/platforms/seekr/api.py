"""SeekrFlow's endpoints, one typed method each."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import AbstractAsyncContextManager
from copy import copy
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from agentnb._http import EventStream, HttpClient, quote_segment
from agentnb.errors import PlatformError
from agentnb.platforms._params import check_choice, check_count
from agentnb.platforms._wire import Inbound, explain
from agentnb.platforms.seekr.notice import DeprecationNotice
from agentnb.platforms.seekr.paging import PageSizes, walk_pages
from agentnb.platforms.seekr.wire import AgentEntry, Message, Run, RunAnswer, Thread

__all__ = ["SeekrApi"]

_log = logging.getLogger(__name__)

M = TypeVar("M", bound=Inbound)


class SeekrApi:
    """What the platform can be asked, apart from what agentnb makes of it.

    Every method raises `PlatformError` or `TransportError`.
    """

    def __init__(self, http: HttpClient, *, name: str) -> None:
        self.name = name
        self._http = http
        self._notice = DeprecationNotice(name)
        self._headers: Mapping[str, str] = {}
        self.run_pages = PageSizes()
        self.message_pages = PageSizes()

    def for_team(self, team_id: str | None) -> SeekrApi:
        """Return the same endpoints, asked on behalf of a team; None leaves the client's own."""
        if team_id is None:
            return self
        api = copy(self)
        api._headers = {"x-team-id": team_id}
        return api

    # --- threads ------------------------------------------------------------------------------

    async def create_thread(
        self,
        meta_data: Mapping[str, Any] | None = None,
    ) -> Thread:
        """Make a thread."""
        data = await self._call("POST", "/v1/threads", json={"meta_data": dict(meta_data or {})})
        return self._one(Thread, data)

    async def thread(self, thread_id: str) -> Thread:
        """Return a thread as it is now."""
        return self._one(Thread, await self._call("GET", _thread(thread_id)))

    async def post_message(self, thread_id: str, content: Any) -> Message:
        """Add the user's message, a string or a list of typed parts; it is what a run answers."""
        body = {"role": "user", "content": content}
        path = f"{_thread(thread_id)}/messages"
        answer = await self._call("POST", path, json=body)
        # The message is posted whatever the answer says of it, and a second one must not follow.
        # One may, where the connection fails before the answer: the client asks again, and only a
        # server that heeds the key that comes with it knows that for the same message.
        return self._one(Message, answer if isinstance(answer, dict) else {})

    async def list_messages(
        self,
        thread_id: str,
        *,
        limit: int = 20,
        order: str = "desc",
        offset: int = 0,
    ) -> list[Message]:
        """Return one page of a thread's messages.

        Raises:
            RequestError: ``limit`` or ``offset`` below 0, or ``order`` neither asc nor desc.
        """
        path = f"{_thread(thread_id)}/messages"
        page = self._page(limit, order, offset)
        return self._many(Message, await self._call("GET", path, params=page))

    def walk_messages(
        self, thread_id: str, *, size: int = 100, limit: int = 1000
    ) -> AsyncGenerator[list[Message], None]:
        """Yield a thread's messages page by page, newest first, as `walk_pages` does."""

        def fetch(limit: int, offset: int) -> Awaitable[list[Message]]:
            return self.list_messages(thread_id, limit=limit, offset=offset)

        return walk_pages(fetch, size=size, sizes=self.message_pages, limit=limit)

    # --- runs ---------------------------------------------------------------------------------

    def stream_run(
        self,
        thread_id: str,
        body: Mapping[str, Any],
        *,
        dialect: str = "stream",
    ) -> AbstractAsyncContextManager[EventStream]:
        """Start a run and stream it, in the dialect ``stream`` or ``vercel``."""
        path = f"{_thread(thread_id)}/runs/stream" + ("/vercel" if dialect == "vercel" else "")
        return self._http.stream("POST", path, json=dict(body), headers=self._headers)

    async def start_run(
        self,
        thread_id: str,
        body: Mapping[str, Any],
    ) -> RunAnswer:
        """Start a run and return at once."""
        path = f"{_thread(thread_id)}/runs"
        return self._one(RunAnswer, await self._call("POST", path, json=dict(body)))

    def attach_run(
        self, thread_id: str, run_id: str, *, last_event_id: str = ""
    ) -> AbstractAsyncContextManager[EventStream]:
        """Join a run's stream; ``last_event_id`` asks for what came after."""
        headers = {**self._headers, **({"last-event-id": last_event_id} if last_event_id else {})}
        return self._http.stream("GET", f"{_run(thread_id, run_id)}/attach", headers=headers)

    async def run(self, thread_id: str, run_id: str) -> Run:
        """Return a run as it is now."""
        return self._one(Run, await self._call("GET", _run(thread_id, run_id)))

    async def list_runs(
        self, thread_id: str, *, limit: int = 20, order: str = "desc", offset: int = 0
    ) -> list[Run]:
        """Return one page of a thread's runs.

        Raises:
            RequestError: ``limit`` or ``offset`` below 0, or ``order`` neither asc nor desc.
        """
        page = self._page(limit, order, offset)
        return self._many(Run, await self._call("GET", f"{_thread(thread_id)}/runs", params=page))

    def walk_runs(
        self,
        thread_id: str,
        *,
        size: int,
        order: str = "desc",
        offset: int = 0,
        limit: int | None = None,
    ) -> AsyncGenerator[list[Run], None]:
        """Yield a thread's runs page by page, ``size`` asked for at a time, as `walk_pages` does.

        Raises:
            RequestError: ``offset`` below 0, or ``order`` neither asc nor desc.
        """

        def fetch(limit: int, offset: int) -> Awaitable[list[Run]]:
            return self.list_runs(thread_id, limit=limit, order=order, offset=offset)

        return walk_pages(fetch, size=size, sizes=self.run_pages, offset=offset, limit=limit)

    async def cancel_run(self, thread_id: str, run_id: str, *, agent_id: str | None) -> None:
        """Cancel a run."""
        body = {} if agent_id is None else {"agent_id": agent_id}
        await self._call("POST", f"{_run(thread_id, run_id)}/cancel", json=body)

    # --- agents -------------------------------------------------------------------------------

    async def list_agents(self) -> list[AgentEntry]:
        """Return the team's agents."""
        return self._many(AgentEntry, await self._call("GET", "/v2/flow/agents/"))

    # --- how ----------------------------------------------------------------------------------

    def notice(self, headers: Mapping[str, str], path: str) -> None:
        """Warn, once, where an answer says that the endpoint will go away."""
        self._notice.look(headers, path)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
    ) -> Any:
        answer = await self._http.request(
            method, path, json=json, params=params, headers=self._headers
        )
        self.notice(answer.headers, path)
        return answer.data

    def _page(self, limit: int, order: str, offset: int) -> dict[str, Any]:
        return {
            "limit": check_count(limit, name="limit", platform=self.name),
            "order": check_choice(order, ("asc", "desc"), name="order", platform=self.name),
            "offset": check_count(offset, name="offset", platform=self.name),
        }

    def _one(self, model: type[M], data: Any) -> M:
        try:
            return model.model_validate(data)
        except ValidationError as error:
            raise PlatformError(
                f"{self.name} answered with something else than a {model.__name__.lower()}: "
                f"{explain(error)}."
            ) from None

    def _many(self, model: type[M], data: Any) -> list[M]:
        if isinstance(data, dict):
            data = cast("dict[str, Any]", data).get("data")
        if not isinstance(data, list):
            raise PlatformError(f"{self.name} answered with something else than a list.")
        found: list[M] = []
        for item in cast("list[Any]", data):
            try:
                found.append(model.model_validate(item))
            except ValidationError as error:
                _log.info("%s listed an entry that is none: %s", self.name, explain(error))
        return found


def _thread(thread_id: str) -> str:
    return f"/v1/threads/{quote_segment(thread_id)}"


def _run(thread_id: str, run_id: str) -> str:
    return f"{_thread(thread_id)}/runs/{quote_segment(run_id)}"

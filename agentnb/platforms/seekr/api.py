"""SeekrFlow's HTTP endpoints, one typed method each."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from copy import copy
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast

from pydantic import ValidationError

from agentnb._http import HttpClient, quote_segment
from agentnb.errors import InvalidRequestError, PlatformError
from agentnb.platforms._params import check_choice, check_count
from agentnb.platforms._wire import Inbound, explain, one_line
from agentnb.platforms.seekr.wire import AgentEntry, Message, Run, StartedRun, Thread

if TYPE_CHECKING:
    from agentnb._http.response import Response

_log = logging.getLogger(__name__)

# Page sizes to try if a server refuses a larger one; the last is the platform's default.
_FALLBACK_PAGE_SIZES: Final = (100, 20)
_DEPRECATION_LINK: Final = re.compile(r'<([^>]+)>[^,]*rel="?(?:deprecation|sunset)')


class _Listed(Protocol):
    @property
    def id(self) -> str | None: ...


M = TypeVar("M", bound=Inbound)
T = TypeVar("T", bound=_Listed)


class PlatformDeprecationWarning(FutureWarning):
    """A platform announced that an endpoint in use will stop working."""


class SeekrApi:
    """Typed HTTP endpoints.

    Every method raises `PlatformError` or `TransportError`.
    """

    def __init__(self, http: HttpClient, *, name: str) -> None:
        self.name = name
        self.run_pages = PageSizes()
        self._http = http
        # The warnings about deprecation, shared by the copies for teams.
        self._warned: list[str] = []
        self._headers: Mapping[str, str] = {}
        self._message_pages = PageSizes()

    def for_team(self, team_id: str | None) -> SeekrApi:
        """Return the same endpoints with the ``x-team-id`` header of a team, if any is given."""
        if team_id is None:
            return self
        api = copy(self)
        api._headers = {"x-team-id": team_id}
        return api

    # --- threads ------------------------------------------------------------------------------

    async def create_thread(self, meta_data: Mapping[str, Any] | None = None) -> Thread:
        """Create a thread."""
        data = await self._call("POST", "/v1/threads", json={"meta_data": dict(meta_data or {})})
        return self._parse(Thread, data)

    async def thread(self, thread_id: str) -> Thread:
        """Return the current state of a thread."""
        return self._parse(Thread, await self._call("GET", _thread(thread_id)))

    async def post_message(self, thread_id: str, content: Any) -> Message:
        """Add a user message, text or a list of typed parts, for the next run to answer."""
        body = {"role": "user", "content": content}
        data = await self._call("POST", f"{_thread(thread_id)}/messages", json=body)
        # The message is posted even if the response is odd, so a retry here would post it twice.
        # The client retries on connection errors; only a server that honours the idempotency key
        # recognizes those.
        return self._parse(Message, data if isinstance(data, dict) else {})

    async def list_messages(
        self, thread_id: str, *, limit: int = 20, order: str = "desc", offset: int = 0
    ) -> list[Message]:
        """Return one page of a thread's messages.

        Raises:
            RequestError: ``limit`` or ``offset`` below 0, or ``order`` neither asc nor desc.
        """
        path = f"{_thread(thread_id)}/messages"
        page = self._page(limit, order, offset)
        return self._parse_list(Message, await self._call("GET", path, params=page))

    def walk_messages(
        self, thread_id: str, *, size: int = 100, limit: int = 1000
    ) -> AsyncGenerator[list[Message], None]:
        """Yield a thread's messages page by page, newest first."""
        fetch = partial(self.list_messages, thread_id)
        return _walk_pages(fetch, size=size, sizes=self._message_pages, limit=limit)

    # --- runs ---------------------------------------------------------------------------------

    def stream_run(
        self, thread_id: str, body: Mapping[str, Any], *, dialect: str = "stream"
    ) -> AbstractAsyncContextManager[Response]:
        """Start a run and stream it in the dialect ``stream`` or ``vercel``."""
        path = f"{_thread(thread_id)}/runs/stream" + ("/vercel" if dialect == "vercel" else "")
        return self._http.stream("POST", path, json=dict(body), headers=self._headers)

    async def start_run(self, thread_id: str, body: Mapping[str, Any]) -> StartedRun:
        """Start a run in the background."""
        path = f"{_thread(thread_id)}/runs"
        return self._parse(StartedRun, await self._call("POST", path, json=dict(body)))

    def attach_run(
        self, thread_id: str, run_id: str, *, last_event_id: str = ""
    ) -> AbstractAsyncContextManager[Response]:
        """Attach to a run's stream; ``last_event_id`` requests the events after that one."""
        headers = {**self._headers, **({"last-event-id": last_event_id} if last_event_id else {})}
        return self._http.stream("GET", f"{_run(thread_id, run_id)}/attach", headers=headers)

    async def run(self, thread_id: str, run_id: str) -> Run:
        """Return the current state of a run."""
        return self._parse(Run, await self._call("GET", _run(thread_id, run_id)))

    async def list_runs(
        self, thread_id: str, *, limit: int = 20, order: str = "desc", offset: int = 0
    ) -> list[Run]:
        """Return one page of a thread's runs.

        Raises:
            RequestError: ``limit`` or ``offset`` below 0, or ``order`` neither asc nor desc.
        """
        path = f"{_thread(thread_id)}/runs"
        page = self._page(limit, order, offset)
        return self._parse_list(Run, await self._call("GET", path, params=page))

    def walk_runs(
        self,
        thread_id: str,
        *,
        size: int,
        order: str = "desc",
        offset: int = 0,
        limit: int | None = None,
    ) -> AsyncGenerator[list[Run], None]:
        """Yield a thread's runs in pages of ``size``, at most ``limit`` altogether.

        Raises:
            RequestError: ``offset`` below 0, or ``order`` neither asc nor desc.
        """
        fetch = partial(self.list_runs, thread_id, order=order)
        return _walk_pages(fetch, size=size, sizes=self.run_pages, offset=offset, limit=limit)

    async def cancel_run(self, thread_id: str, run_id: str, *, agent_id: str | None) -> None:
        """Cancel a run."""
        body = {} if agent_id is None else {"agent_id": agent_id}
        await self._call("POST", f"{_run(thread_id, run_id)}/cancel", json=body)

    # --- agents -------------------------------------------------------------------------------

    async def list_agents(self) -> list[AgentEntry]:
        """Return the team's agents."""
        return self._parse_list(AgentEntry, await self._call("GET", "/v2/flow/agents/"))

    # --- requests and responses ---------------------------------------------------------------

    def check_deprecation(self, headers: Mapping[str, str], path: str) -> None:
        """Warn, once per client, if response headers announce that ``path`` is deprecated.

        ``Deprecation`` (RFC 9745) is a date as ``@`` and epoch seconds, from older servers
        ``true``; ``Sunset`` (RFC 8594) is an HTTP date.
        """
        deprecation, sunset = headers.get("deprecation"), headers.get("sunset")
        if self._warned or not (deprecation or sunset) or (deprecation == "false" and not sunset):
            return
        message = f"{self.name} says that {path} is deprecated"
        if deprecation and (since := _date(deprecation)):
            message += f" since {since}"
        if sunset:
            message += f" and will stop working on {_date(sunset) or one_line(sunset)}"
        if link := _DEPRECATION_LINK.search(headers.get("link", "")):
            message += f" (see {one_line(link.group(1))})"
        self._warned.append(message)
        warnings.warn(f"{message}.", PlatformDeprecationWarning, stacklevel=2)

    async def _call(
        self, method: str, path: str, *, json: Any = None, params: Mapping[str, Any] | None = None
    ) -> Any:
        response = await self._http.request(
            method, path, json=json, params=params, headers=self._headers
        )
        self.check_deprecation(response.headers, path)
        return response.data

    def _page(self, limit: int, order: str, offset: int) -> dict[str, Any]:
        return {
            "limit": check_count(limit, name="limit", platform=self.name),
            "order": check_choice(order, ("asc", "desc"), name="order", platform=self.name),
            "offset": check_count(offset, name="offset", platform=self.name),
        }

    def _parse(self, model: type[M], data: Any) -> M:
        try:
            return model.model_validate(data)
        except ValidationError as error:
            raise PlatformError(
                f"{self.name} answered with something else than a {_noun(model)}: {explain(error)}."
            ) from None

    def _parse_list(self, model: type[M], data: Any) -> list[M]:
        if isinstance(data, dict):
            data = cast("dict[str, Any]", data).get("data")
        if not isinstance(data, list):
            raise PlatformError(f"{self.name} answered with something else than a list.")
        records: list[M] = []
        for item in cast("list[Any]", data):
            try:
                records.append(model.model_validate(item))
            except ValidationError as error:
                _log.info("%s listed an invalid %s: %s", self.name, _noun(model), explain(error))
        return records


def _noun(model: type[Inbound]) -> str:
    return model.__name__.lower()


def _thread(thread_id: str) -> str:
    return f"/v1/threads/{quote_segment(thread_id)}"


def _run(thread_id: str, run_id: str) -> str:
    return f"{_thread(thread_id)}/runs/{quote_segment(run_id)}"


# --- pages ------------------------------------------------------------------------------------


class PageSizes:
    """The page sizes that a server is known to support."""

    def __init__(self) -> None:
        # The largest size for which a full page was received.
        self._full = 0
        self._max: int | None = None

    def allowed(self, size: int) -> int:
        """Return ``size``, bounded by the largest size that the server accepts."""
        return size if self._max is None else min(size, self._max)

    def reject(self, size: int) -> bool:
        """Record that the server refused ``size``; return whether a smaller one can be tried."""
        self._max = next((smaller for smaller in _FALLBACK_PAGE_SIZES if smaller < size), None)
        return self._max is not None

    def is_last(self, count: int, limit: int) -> bool:
        """Return whether a page of ``count`` entries, requested with ``limit``, ends the list.

        Servers may cap pages silently.  A short page is the last only if the server has sent
        ``limit`` entries before; otherwise only an empty page is.
        """
        if count >= limit:
            self._full = max(self._full, limit)
            return False
        return count == 0 or limit <= self._full


async def _walk_pages(
    fetch: Callable[..., Awaitable[list[T]]],
    *,
    size: int,
    sizes: PageSizes,
    offset: int = 0,
    limit: int | None = None,
) -> AsyncGenerator[list[T], None]:
    """Yield the new entries of each page, in the server's order.

    ``fetch`` takes ``limit`` and ``offset``.  Stops at the end of the list, after ``limit``
    entries, and at a page without new ones, as from a server that ignores the offset.
    """
    seen: set[str] = set()
    remaining = limit
    while remaining is None or remaining > 0:
        count = sizes.allowed(size if remaining is None else min(size, remaining))
        try:
            page = await fetch(limit=count, offset=offset)
        except InvalidRequestError:
            if not sizes.reject(count):
                raise
            continue
        entries = {entry.id or repr(entry): entry for entry in page}
        new = [entry for key, entry in entries.items() if key not in seen]
        if not new:
            return
        seen.update(entries)
        yield new
        if sizes.is_last(len(page), count):
            return
        offset += len(page)
        remaining = None if remaining is None else remaining - len(new)


def _date(value: str) -> str | None:
    try:
        if value.startswith("@"):
            return datetime.fromtimestamp(int(value[1:]), UTC).date().isoformat()
        return parsedate_to_datetime(value).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return None

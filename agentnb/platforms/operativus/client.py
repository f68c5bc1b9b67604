"""Operativus: agents behind ``/api/agents``, answering over server-sent events.

The address is ``http://localhost:8080`` unless ``base_url`` or the environment variable
``OPERATIVUS_BASE_URL`` says otherwise; the key (``OPERATIVUS_API_KEY``) is sent as
``Authorization: Bearer``.

Options: ``user_id`` and ``org_id`` stand in every run that does not name its own;
``max_media_bytes`` bounds a request's attachments (20 MiB); ``max_event_bytes`` one event (16 MiB);
``time_zone`` (``Europe/Berlin``, ``+05:30``) is the zone of times that the server writes without
one.  Where it is not set, its offset from UTC is learned from runs that were started here; until
one was, such times are read as UTC.

Parameters of a run: ``session_id``, ``user_id``, ``org_id``, ``generate_followups``, ``media``
(``[{"type", "data"}]``, the data in base64 or an address), and ``model``, ``temperature``,
``max_tokens``, ``system_prompt``, at the top or in ``options``; in snake_case or as the API spells
them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

from agentnb._http import aside, quote_segment
from agentnb.errors import (
    NotFoundError,
    PlatformError,
    RequestError,
    TransportError,
)
from agentnb.event.types import Event, RunStarted
from agentnb.platforms._client import http_client, key_header
from agentnb.platforms._params import check_count, check_options
from agentnb.platforms.base import (
    AgentInfo,
    Capabilities,
    MediaSupport,
    PlatformSettings,
    RemoteRun,
    RunRequest,
)
from agentnb.platforms.operativus.approvals import Approvals
from agentnb.platforms.operativus.lookup import RunLookup
from agentnb.platforms.operativus.options import Options
from agentnb.platforms.operativus.request import build_body, is_fresh
from agentnb.platforms.operativus.responses import (
    PendingApproval,
    agent_info,
    as_object,
    first_text,
    not_understood,
    parse_error,
    read_page,
    read_status,
)
from agentnb.platforms.run_lists import check_window, window

# What reads answers is imported with the first one: nobody's question waits for it.
if TYPE_CHECKING:
    from agentnb.platforms.operativus.attach import Joining
    from agentnb.platforms.operativus.decoder import Decoder

__all__ = ["DEFAULT_BASE_URL", "OperativusPlatform"]

DEFAULT_BASE_URL: Final = "http://localhost:8080"


class OperativusPlatform:
    """One Operativus server.

    Raises:
        ConfigError: an option is unknown or wrong.
    """

    def __init__(self, settings: PlatformSettings) -> None:
        self._name = settings.platform
        self._options = check_options(Options, settings.options, platform=self._name)
        self._http = http_client(
            settings,
            base_url=DEFAULT_BASE_URL,
            headers=key_header(settings),
            parse_error=parse_error,
            max_event_bytes=self._options.max_event_bytes,
        )
        self._lookup = RunLookup(self._http, self._options.times)
        self._approvals = Approvals(self._http, self._lookup, name=self._name)

    @cached_property
    def _joining(self) -> Joining:
        from agentnb.platforms.operativus.attach import Joining

        return Joining(self._http, self._lookup, name=self._name)

    @property
    def name(self) -> str:
        """The name it was configured under."""
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        """All that the contract names but structured output."""
        return Capabilities(
            cancel=True,
            attach=True,
            list_agents=True,
            list_runs=True,
            run_status=True,
            status_batch="agent",
            # The bound is that of all together, so that it is one of each, too.
            # The API asks for a message, whatever comes with it.
            media=MediaSupport(max_bytes=self._options.max_media_bytes, max_count=20, alone=False),
            followups=True,
            approvals=True,
        )

    # --- runs -----------------------------------------------------------------------------------

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        """Start a run and yield its events.

        A server that does not tell the run's id is asked for it by the session, beside the stream;
        a second `RunStarted` brings it.  Where the stream ends or breaks off before it named the
        run, one brings the session, by which the run can be found.
        """
        body = await self._body(request)
        session_id: str = body["sessionId"]
        asked = self._lookup.ask(session_id, fresh=is_fresh(request))
        decoder: Decoder | None = None
        search: asyncio.Task[str | None] | None = None
        named = False
        path = _agent_path(request.agent, "runs/stream")
        try:
            async with (
                self._http.stream("POST", path, json=body) as answer,
                aclosing(answer.batches()) as batches,
            ):
                from agentnb.platforms.operativus.decoder import Decoder

                decoder = Decoder(session_id=session_id)
                asked.answered(answer.headers)
                async for frames in batches:
                    # Half a character that is held back at a broken end is not shown: the other
                    # half may come where the stream is taken up again.
                    events = decoder.decode_all(frames)
                    if decoder.run_id is None and search is None and _began(events):
                        # A wait of this task is none of the run's.
                        with aside():
                            search = asyncio.create_task(
                                self._lookup.search(session_id, request.agent, asked)
                            )
                    if decoder.run_id is None and search is not None:
                        if decoder.is_paused:
                            # Told after the pause, the id would look as if the run went on.
                            late = self._lookup.last(search, session_id, request.agent, asked)
                            events = _found(decoder, await late) + events
                        elif search.done():
                            events += _found(decoder, search.result())
                    if events:
                        named = named or _began(events)
                        yield events
            if not named:
                yield [RunStarted(session_id=session_id)]
            if decoder.run_id is None and search is not None and not decoder.is_paused:
                late = self._lookup.last(search, session_id, request.agent, asked)
                if found := _found(decoder, await late):
                    yield found
        except TransportError:
            if decoder is not None and not named:
                yield [RunStarted(session_id=session_id)]
            raise
        finally:
            if search is not None:
                search.cancel()
            if decoder is not None and decoder.run_id is not None:
                self._lookup.remember(session_id, decoder.run_id, asked)
                if decoder.has_ended:
                    self._lookup.ended(decoder.run_id)

    async def invoke(self, request: RunRequest) -> list[Event]:
        """Do a run without streaming.

        A run that pauses for a decision ends with `ApprovalRequested` and no terminal event.
        """
        body = await self._body(request)
        session_id: str = body["sessionId"]
        asked = self._lookup.ask(session_id, fresh=is_fresh(request))
        answer = await self._http.request("POST", _agent_path(request.agent, "runs"), json=body)
        asked.answered(answer.headers)
        from agentnb.platforms.operativus.whole_run import answer_events

        events = answer_events(answer.data, session_id=session_id)
        if events is None:
            raise not_understood(self._name, "something that is no run", answer)
        run_id = first_text(as_object(answer.data), "runId", "id")
        if run_id is not None:
            self._lookup.remember(session_id, run_id, asked)
        return events

    async def start_background(self, request: RunRequest) -> RemoteRun:
        """Start a run that nobody streams; ask `status` for it, or `attach` to it."""
        body = await self._body(request)
        asked = self._lookup.ask(body["sessionId"], fresh=is_fresh(request))
        path = _agent_path(request.agent, "runs/background")
        answer = await self._http.request("POST", path, json=body)
        asked.answered(answer.headers)
        data = as_object(answer.data)
        run_id = first_text(data, "runId", "id")
        if run_id is None:
            raise not_understood(self._name, "a run without an id", answer)
        self._lookup.remember(body["sessionId"], run_id, asked)
        return RemoteRun(
            id=run_id,
            status=read_status(data.get("status", "QUEUED")),
            agent=request.agent,
            session_id=first_text(data, "sessionId") or body["sessionId"],
            raw=data,
        )

    async def attach(
        self,
        run_id: str,
        *,
        agent: str | None = None,
        session_id: str | None = None,
        since_id: int = 0,
    ) -> AsyncGenerator[list[Event], None]:
        """Join a run; what was recorded after the event ``since_id`` comes first.

        The record tells what happened; the answer comes whole when the run has ended.
        """
        check_count(since_id, name="since_id", platform=self._name)
        batches = self._joining.join(run_id, agent=agent, session_id=session_id, since=since_id)
        async with aclosing(batches) as joined:
            async for events in joined:
                yield events

    def resume(
        self,
        request: RunRequest,
        *,
        run_id: str | None,
        session_id: str | None,
        delivered: Sequence[Event],
    ) -> AsyncGenerator[list[Event], None]:
        """Go on by the run's record, which tells what happened, and maybe not what was said.

        Where it does not, the rest of the answer comes when the run has ended.  An answer that
        does not go on from what was delivered is not shown after it: it is kept as a `RawEvent`,
        and the run ends as truncated.  A run whose id is not known is looked for by its session.

        Raises:
            RequestError: the run's id is not known, and cannot be found out.
        """
        return self._joining.go_on(
            run_id,
            agent=request.agent or None,
            session_id=session_id or request.session_id,
            delivered=delivered,
            fresh=is_fresh(request),
        )

    def forget(self, run_id: str) -> None:
        """Let go of how far the record of a run was read."""
        # None was, where nothing was joined.
        if "_joining" in vars(self):
            self._joining.forget(run_id)

    async def cancel(
        self, run_id: str | None, *, agent: str | None = None, session_id: str | None = None
    ) -> None:
        """Stop a run; without its id, the one that this client has asked for in the session.

        Raises:
            NotFoundError: no such run is found; others may have runs in the session, too.
        """
        if run_id is None:
            if session_id is None:
                raise RequestError(
                    f"{self._name}: to cancel a run, its id or its session is needed."
                )
            asked = self._lookup.asked(session_id)
            run_id = await self._lookup.find(session_id, agent, asked, going=True)
            if run_id is None:
                raise NotFoundError(f"{self._name} has no run of this client in this session.")
        segment = quote_segment(run_id)
        if agent is not None:
            try:
                await self._http.request("DELETE", _agent_path(agent, f"runs/{segment}"))
                return
            except PlatformError as error:
                if error.status not in (404, 405):
                    raise
        await self._http.request("POST", f"/api/v1/runs/{segment}/cancel")

    # --- lists ----------------------------------------------------------------------------------

    async def agents(self) -> list[AgentInfo]:
        """Return the agents that this key may run."""
        answer = await self._http.request("GET", "/api/agents")
        found = (agent_info(item) for item in read_page(answer.data).items)
        return [agent for agent in found if agent is not None]

    async def runs(
        self,
        *,
        agent: str | None = None,
        session_id: str | None = None,
        status: str | None = None,
        limit: int | None = None,
        order: str = "desc",
        offset: int = 0,
    ) -> AsyncGenerator[RemoteRun, None]:
        """Iterate over runs, newest first; with ``order="asc"`` all are fetched first.

        ``status`` is a word of agentnb's or of the platform's.
        """
        end = check_window(order=order, offset=offset, limit=limit, platform=self._name)
        if end == offset:
            return
        listed = self._lookup.listed(agent=agent, session_id=session_id, status=status)
        async with aclosing(window(listed, order=order, offset=offset, end=end)) as found:
            async for run in found:
                yield run

    async def status(
        self, run_ids: Sequence[str], *, agent: str | None = None, session_id: str | None = None
    ) -> dict[str, RemoteRun]:
        """Return the state of each run by id; more than 100 are asked for in several requests."""
        return await self._lookup.states(run_ids, agent)

    def learn_starts(self, starts: Mapping[str, datetime]) -> None:
        """Learn the zone of the server's times from when runs began, by their ids."""
        self._lookup.learn_starts(starts)

    # --- approvals ------------------------------------------------------------------------------

    async def pending_approvals(self) -> list[PendingApproval]:
        """Return the decisions that runs wait for."""
        return await self._approvals.pending()

    async def resolve_approval(
        self, approval_id: str, decision: Literal["APPROVED", "REJECTED"]
    ) -> None:
        """Decide one of `pending_approvals`; the run goes on, or ends.

        Raises:
            RequestError: the decision is neither of the two.
        """
        await self._approvals.resolve(approval_id, decision)

    async def decide(
        self,
        run_id: str,
        approval_id: str | None,
        *,
        approved: bool,
        agent: str | None = None,
        session_id: str | None = None,
    ) -> None:
        """Answer what a run waits for; where no approval is named, the only one of it is meant."""
        await self._approvals.decide(run_id, approval_id, approved=approved)

    async def aclose(self) -> None:
        """Close every connection; safe to call twice."""
        await self._http.aclose()

    # --------------------------------------------------------------------------------------------

    async def _body(self, request: RunRequest) -> dict[str, Any]:
        return await build_body(
            request,
            platform=self._name,
            user_id=self._options.user_id,
            org_id=self._options.org_id,
            max_media_bytes=self._options.max_media_bytes,
        )


def _began(events: list[Event]) -> bool:
    return any(isinstance(event, RunStarted) for event in events)


def _found(decoder: Decoder, run_id: str | None) -> list[Event]:
    if run_id is None:
        return []
    decoder.run_id = run_id
    return [RunStarted(run_id=run_id, session_id=decoder.session_id)]


def _agent_path(agent: str, rest: str) -> str:
    return f"/api/agents/{quote_segment(agent)}/{rest}"

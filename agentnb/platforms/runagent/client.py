"""run-agent.ai: agents that answer a query, in one piece or as a stream.

The base address is `DEFAULT_BASE_URL`.  Environment: ``RUNAGENT_API_KEY``, ``RUNAGENT_BASE_URL``,
``RUNAGENT_PROTOCOL``.

An address speaks one of two APIs, and the option ``protocol`` says which: ``sse``, the platform's
streaming API, or ``websocket``, that of the vendor's own server, ``runagent serve``, for which the
extra ``websocket`` is installed.  Without the option, the first request finds out: where the first
API is not found and the second is, that one is used from then on.  The second one alone lists its
agent and the runs that it remembers: `RunAgentPlatform.capabilities` says so once it is found.

Parameters of a run (see `Params` in ``wire.py``).  ``sse``: ``stream_delay_ms`` and ``chunk_size``
pace the stream, ``resume_from_index`` takes up an earlier one, and ``parameters`` holds them too,
together with whatever the agent itself takes.  ``websocket``: ``entrypoint_tag`` names the function
to ask (by default the first one that streams), ``prompt_argument`` the argument that the question
is given as (by default the first positional one), and ``input_args`` and ``input_kwargs`` are
further arguments.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final, Literal

from agentnb._http import EventStream, current_options, quote_segment, side_request
from agentnb.errors import AgentnbError, PlatformError, RequestError, UnsupportedError
from agentnb.event.types import Event
from agentnb.platforms._params import check_count, check_options, check_params
from agentnb.platforms._wire import Outbound, peek
from agentnb.platforms.base import (
    AgentInfo,
    Capabilities,
    PlatformSettings,
    RemoteRun,
    RunRequest,
)
from agentnb.platforms.generic.platform import HttpPlatform, key_header
from agentnb.platforms.runagent.decoder import first_chunk, invoked_events
from agentnb.platforms.runagent.entrypoints import EntrypointApi, entrypoint_params
from agentnb.platforms.runagent.invocations import InvocationApi
from agentnb.platforms.runagent.positions import Position, Positions
from agentnb.platforms.runagent.wire import EntrypointParams, Params, stream_body
from agentnb.sse import ServerSentEvent

DEFAULT_BASE_URL: Final = "https://api.run-agent.ai"

_log = logging.getLogger(__name__)

# Timeout for fetching a damaged chunk again, in seconds; the answer waits for it.
_REFETCH_TIMEOUT: Final = 5.0

Protocol = Literal["sse", "websocket"]

# What answers a request for an unknown path.
_NO_SUCH_PATH: Final = frozenset({404, 405})


class Options(Outbound):
    """The platform's own settings: the API that the address speaks, None to find out."""

    protocol: Protocol | None = None


class RunAgentPlatform(HttpPlatform):
    """The platform behind agentnb's protocol.

    Runs have no ids here, only sessions: `attach` takes the session's id as ``session_id``, or in
    the place of the run's.
    """

    def __init__(self, settings: PlatformSettings) -> None:
        options = check_options(Options, settings.options, platform=settings.platform)
        super().__init__(settings, base_url=DEFAULT_BASE_URL, headers=key_header(settings))
        self._protocol = options.protocol
        self._positions = Positions()
        self._entrypoints = EntrypointApi(self._http)
        self._invocations = InvocationApi(self._http, self._entrypoints.left)

    @property
    def capabilities(self) -> Capabilities:
        """What the API that was found at the address can do; ``sse`` where none was."""
        if self._protocol == "websocket":
            return Capabilities(sessions=False, list_agents=True, list_runs=True, run_status=True)
        return Capabilities(attach=True)

    # --- runs ---------------------------------------------------------------------------------

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        """Start a run and stream it; with ``resume_from_index``, take up an earlier one."""
        if not await self._has_entrypoints(request):
            try:
                async with aclosing(self._stream_sse(request)) as batches:
                    async for batch in batches:
                        yield batch
                return
            except PlatformError as error:
                if not await self._is_other_protocol(request, error):
                    raise
        params = entrypoint_params(request, platform=self._name)
        async with aclosing(self._entrypoints.stream(request, params)) as batches:
            async for batch in batches:
                yield batch

    async def _stream_sse(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        body, path = self._body(request), f"/v1/agents/{quote_segment(request.agent)}/stream"
        async with self._http.stream("POST", path, json=body) as answer:
            self._protocol = "sse"
            is_json = "json" in answer.headers.get("content-type", "").lower()
            if is_json and not answer.is_event_stream and answer.status != 204:
                yield invoked_events(await answer.json(), session_id=request.session_id)
                return
            first = body.get("parameters", {}).get("resume_from_index", 0)
            position = Position(request, first)
            with position.reading():
                async with aclosing(self._follow(answer, position)) as batches:
                    async for batch in batches:
                        yield batch

    async def _follow(
        self, answer: EventStream, position: Position
    ) -> AsyncGenerator[list[Event], None]:
        is_again = position.next_index > position.first
        decoder = position.decoder
        async for frames in answer.batches():
            read = zip(frames, peek(frames), strict=True)
            events, missing = decoder.decode_on(read)
            while missing is not None:
                # Deliver decoded events before waiting for a chunk that may not come.
                yield self._record_position(position, events)
                again = await self._refetch_chunk(position, missing)
                events = [] if again is None else decoder.decode(again)
                more, missing = decoder.decode_on(read)
                events += more
            self._record_position(position, events)
            if events or is_again:
                yield events
        if rest := decoder.pause() if position.can_resume else decoder.finish():
            yield rest

    def _record_position(self, position: Position, events: list[Event]) -> list[Event]:
        position.note(events)
        self._positions.remember(position)
        return events

    async def _refetch_chunk(self, position: Position, index: int) -> ServerSentEvent | None:
        """Return the chunk ``index``, which arrived damaged, as the platform tells it again.

        None where it cannot be had.  Its stream is not left for that: it may be all there is.
        """
        retries = current_options().retries
        if not position.can_resume or (retries is not None and not retries.reconnects):
            return None
        path, body = self._from(position, index)
        try:
            async with asyncio.timeout(_REFETCH_TIMEOUT):
                with side_request():
                    async with (
                        self._http.stream("POST", path, json=body) as answer,
                        aclosing(answer.batches()) as batches,
                    ):
                        return await first_chunk(batches, index=index)
        except (AgentnbError, TimeoutError) as error:
            _log.info("A chunk that arrived damaged could not be had again: %s", error)
            return None

    async def invoke(self, request: RunRequest) -> list[Event]:
        """Run and return the whole answer at once."""
        if not await self._has_entrypoints(request):
            path = f"/v1/agents/{quote_segment(request.agent)}/invoke"
            try:
                answer = await self._http.request("POST", path, json=self._body(request))
            except PlatformError as error:
                if not await self._is_other_protocol(request, error):
                    raise
            else:
                self._protocol = "sse"
                return invoked_events(answer.data, session_id=request.session_id)
        params = entrypoint_params(request, platform=self._name)
        return await self._entrypoints.invoke(request, params)

    async def attach(
        self, run_id: str, *, agent: str | None = None, session_id: str | None = None
    ) -> AsyncGenerator[list[Event], None]:
        """Take up a session's stream where this client stopped reading it.

        Raises:
            RequestError: this client has not read it, so position and question are unknown, or is
                reading it now: two readers would take each other's chunks.
        """
        position = self._positions.of(run_id, session_id)
        if position is None:
            # To ask from the beginning could mean to ask anew, and to pay for a second run.
            raise RequestError(
                f"{self._name}: no unfinished stream of session {session_id or run_id!r} is known "
                "here.",
                hint="Take it up with resume_from_index, its session and its question.",
            )
        request = position.request
        if agent is not None and agent != request.agent:
            position.request = replace(request, agent=agent)
        async with aclosing(self._resume_stream(position, session_id or run_id)) as batches:
            async for batch in batches:
                yield batch

    async def resume(
        self,
        request: RunRequest,
        *,
        run_id: str | None,
        session_id: str | None,
        delivered: Sequence[Event],
    ) -> AsyncGenerator[list[Event], None]:
        """Go on with the chunk after the last one that came, as this client remembers it.

        Chunks that came before are dropped, and what comes in another order is put in order.
        ``delivered`` is not looked at: events do not tell the place of a chunk.

        Raises:
            RequestError: no chunk has come yet, or none that this client knows of: the platform
                would start a second, paid run.  Or another run reads it.
            PlatformError: the platform answers anew instead of going on.
        """
        session_id = session_id or request.session_id
        position = self._positions.of(run_id, session_id)
        known = position is not None and (position.request is request or not request.prompt)
        if position is None or session_id is None or not known or not position.next_index:
            raise RequestError(
                f"{self._name}: how far this stream was read is not known, so that it cannot be "
                "taken up again.",
            )
        async with aclosing(self._resume_stream(position, session_id)) as batches:
            async for batch in batches:
                yield batch

    async def _resume_stream(
        self, position: Position, session_id: str
    ) -> AsyncGenerator[list[Event], None]:
        if position.is_read:
            raise RequestError(
                f"{self._name}: another run of this process is reading the answer of session "
                f"{session_id!r}.",
                hint="That one has all of it: agentnb.history.recent_runs() finds it.",
            )
        decoder = position.decoder
        path, body = self._from(position, position.next_index, session_id=session_id)
        decoder.conflicts = 0
        with position.reading():
            async with (
                self._http.stream("POST", path, json=body) as answer,
                aclosing(self._follow(answer, position)) as batches,
            ):
                async for batch in batches:
                    yield batch
                    if decoder.conflicts:
                        raise PlatformError(
                            f"{self._name} answered anew instead of going on with its answer."
                        )

    def _from(
        self, position: Position, index: int, *, session_id: str | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Return the path and the body that ask for an answer again, from a chunk on."""
        # The platform requires the question again.  The other parameters of the request
        # have to be the same, too: other chunks would have other numbers.
        request = replace(position.request, session_id=session_id or position.session_id)
        body = self._body(request)
        body["parameters"] = {**body.get("parameters", {}), "resume_from_index": index}
        return f"/v1/agents/{quote_segment(request.agent)}/stream", body

    async def stream_from(
        self, session_id: str, *, agent: str, query: str, index: int
    ) -> AsyncGenerator[list[Event], None]:
        """Stream a session's answer again, from the chunk ``index`` (0 or more) on.

        ``query`` is the question that is being answered; the platform asks for it again.

        Raises:
            RequestError: ``index`` is below 0.
        """
        check_count(index, name="index", platform=self._name)
        request = RunRequest(
            agent=agent, prompt=query, session_id=session_id, params={"resume_from_index": index}
        )
        async with aclosing(self.stream(request)) as batches:
            async for batch in batches:
                yield batch

    # --- what only servers with entrypoints have ----------------------------------------------

    async def agents(self) -> list[AgentInfo]:
        """Return the one agent that a server with entrypoints has.

        Raises:
            UnsupportedError: the address has none: the platform does not list its agents.
        """
        return await (await self._lists("no list of agents")).agents()

    async def runs(
        self,
        *,
        agent: str | None = None,
        session_id: str | None = None,
        status: str | None = None,
        limit: int | None = None,
        order: str = "desc",
        offset: int = 0,
    ) -> AsyncIterator[RemoteRun]:
        """Iterate over what a server with entrypoints remembers; no run of it has a session.

        Raises:
            UnsupportedError: the address has none: the platform does not list its runs.
        """
        lists = await self._lists("no list of runs")
        if session_id is not None:
            return
        listed = lists.runs(agent=agent, status=status, limit=limit, order=order, offset=offset)
        async with aclosing(listed) as found:
            async for run in found:
                yield run

    async def status(
        self, run_ids: Sequence[str], *, agent: str | None = None, session_id: str | None = None
    ) -> dict[str, RemoteRun]:
        """Return the state of each run that a server with entrypoints remembers.

        Raises:
            UnsupportedError: the address has none: the platform does not tell the state of a run.
        """
        return await (await self._lists("no way to ask for the state of a run")).status(run_ids)

    async def _lists(self, what: str) -> InvocationApi:
        if self._protocol is None and await self._entrypoints.served_agent() is not None:
            self._protocol = "websocket"
        if self._protocol != "websocket":
            raise self._unsupported(what)
        return self._invocations

    async def _has_entrypoints(self, request: RunRequest) -> bool:
        """Return whether the address is known to have entrypoints; find out where it must be."""
        if self._protocol is not None:
            return self._protocol == "websocket"
        params = check_params(Params, request.params, platform=self._name)
        if params.model_fields_set & EntrypointParams.model_fields.keys():
            return await self._found_entrypoints(request.agent)
        return False

    async def _is_other_protocol(self, request: RunRequest, error: PlatformError) -> bool:
        """Return whether a request failed because the address has entrypoints instead."""
        if self._protocol is not None or error.status not in _NO_SUCH_PATH:
            return False
        return await self._found_entrypoints(request.agent)

    async def _found_entrypoints(self, agent: str) -> bool:
        if await self._entrypoints.is_served(agent):
            self._protocol = "websocket"
        return self._protocol == "websocket"

    # --- how ----------------------------------------------------------------------------------

    def _body(self, request: RunRequest) -> dict[str, Any]:
        return stream_body(request, platform=self._name)

    def _unsupported(self, what: str) -> UnsupportedError:
        return UnsupportedError(f"{self._name} has {what}.")

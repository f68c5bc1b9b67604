"""run-agent.ai: agents that answer a query, at once or as a stream.

The base address is `DEFAULT_BASE_URL`.  Environment: ``RUNAGENT_API_KEY``, ``RUNAGENT_BASE_URL``,
``RUNAGENT_PROTOCOL``.

An address has one of two APIs, set by the option ``protocol``: ``sse`` is the platform's streaming
API, ``websocket`` that of the vendor's own server, ``runagent serve`` (extra ``websocket``).
Without the option, the first request detects it: if the first API is not found and the second is,
the second is used from then on.  Only the second lists its agent and the runs that it remembers;
`RunAgentPlatform.capabilities` includes that once it is detected.

Parameters of a run (see `Params` in ``wire.py``).  ``sse``: ``stream_delay_ms`` and ``chunk_size``
pace the stream, ``resume_from_index`` resumes an earlier one, and ``parameters`` may hold these,
together with the agent's own.  ``websocket``: ``entrypoint_tag`` names the function to call (by
default the first one that streams), ``prompt_argument`` the argument that takes the prompt (by
default the first positional one), and ``input_args`` and ``input_kwargs`` are further arguments.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

from agentnb._http import current_options, quote_segment, side_request
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
from agentnb.platforms.http_platform import HttpPlatform, key_header
from agentnb.platforms.runagent.decoder import first_chunk, invoked_events
from agentnb.platforms.runagent.entrypoints import EntrypointApi, entrypoint_params
from agentnb.platforms.runagent.invocations import InvocationApi
from agentnb.platforms.runagent.positions import Position, Positions
from agentnb.platforms.runagent.wire import EntrypointParams, Params, stream_body
from agentnb.sse import ServerSentEvent

if TYPE_CHECKING:
    from agentnb._http.response import Response

DEFAULT_BASE_URL: Final = "https://api.run-agent.ai"

_log = logging.getLogger(__name__)

# Timeout for fetching a damaged chunk again, in seconds; the answer waits for it.
_REFETCH_TIMEOUT: Final = 5.0

Protocol = Literal["sse", "websocket"]

# Statuses of requests for an unknown path.
_NO_SUCH_PATH: Final = frozenset({404, 405})


class Options(Outbound):
    """The platform's own settings: the API of the address, None to detect it."""

    protocol: Protocol | None = None


class RunAgentPlatform(HttpPlatform):
    """The platform behind the `Platform` protocol.

    Runs have no ids here, only sessions: `attach` takes the session's id as ``session_id`` or as
    the run's id.
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
        """The features of the API that was detected; those of ``sse`` before that."""
        if self._protocol == "websocket":
            return Capabilities(sessions=False, list_agents=True, list_runs=True, run_status=True)
        return Capabilities(attach=True)

    # --- runs ---------------------------------------------------------------------------------

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        """Start a run and stream it; with ``resume_from_index``, resume an earlier one."""
        async with AsyncExitStack() as stack:
            source = await self._source(request, stack)
            async for batch in await stack.enter_async_context(aclosing(source)):
                yield batch

    async def _source(
        self, request: RunRequest, stack: AsyncExitStack
    ) -> AsyncGenerator[list[Event], None]:
        """Return the batches of a new run by the address's API; ``stack`` closes the connection."""
        if not await self._has_entrypoints(request):
            try:
                return await self._sse_source(request, stack)
            except PlatformError as error:
                if not await self._is_other_protocol(request, error):
                    raise
        return self._entrypoints.stream(request, entrypoint_params(request, platform=self._name))

    async def _sse_source(
        self, request: RunRequest, stack: AsyncExitStack
    ) -> AsyncGenerator[list[Event], None]:
        body, path = self._body(request), f"/v1/agents/{quote_segment(request.agent)}/stream"
        response = await stack.enter_async_context(self._http.stream("POST", path, json=body))
        self._protocol = "sse"
        is_json = "json" in response.headers.get("content-type", "").lower()
        if is_json and not response.is_event_stream and response.status != 204:
            events = invoked_events(await response.json(), session_id=request.session_id)
            return _single_batch(events)
        first = body.get("parameters", {}).get("resume_from_index", 0)
        position = Position(request, first)
        stack.enter_context(position.reading())
        return self._follow(response, position)

    async def _follow(
        self, answer: Response, position: Position
    ) -> AsyncGenerator[list[Event], None]:
        is_again = position.next_index > position.first
        decoder = position.decoder
        async for frames in answer.batches():
            read = zip(frames, peek(frames), strict=True)
            events, missing = decoder.decode_until_damaged(read)
            while missing is not None:
                # Deliver decoded events before waiting for a chunk that may not come.
                yield self._record_position(position, events)
                again = await self._refetch_chunk(position, missing)
                events = [] if again is None else decoder.decode(again)
                more, missing = decoder.decode_until_damaged(read)
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
        """Request the chunk ``index``, which arrived damaged, again; return None where that fails.

        The stream stays open meanwhile: it may be the only source of the rest.
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
            _log.info("A damaged chunk could not be requested again: %s", error)
            return None

    async def invoke(self, request: RunRequest) -> list[Event]:
        """Run without streaming."""
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
        """Resume a session's stream where this client stopped reading it.

        Raises:
            RequestError: this client has not read it, so its position and prompt are unknown, or
                is reading it now: two readers would take each other's chunks.
        """
        position = self._positions.of(run_id, session_id)
        if position is None:
            # A request from the beginning may start, and charge for, a second run.
            raise RequestError(
                f"{self._name}: no unfinished stream of session {session_id or run_id!r} is known "
                "here.",
                hint="Resume it with resume_from_index, its session and its prompt.",
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
        """Resume after the last chunk that this client received.

        Chunks received before are dropped, others are put in order.  ``delivered`` is not used:
        events do not have the index of a chunk.

        Raises:
            RequestError: no chunk of the run was received, so that the platform would start a
                second, paid run; or another run is reading the stream.
            PlatformError: the platform starts a new answer instead of continuing.
        """
        session_id = session_id or request.session_id
        position = self._positions.of(run_id, session_id)
        known = position is not None and (position.request is request or not request.prompt)
        if position is None or session_id is None or not known or not position.next_index:
            raise RequestError(
                f"{self._name}: this stream cannot be resumed: how far it was read is not known."
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
                            f"{self._name} started a new answer instead of resuming."
                        )

    def _from(
        self, position: Position, index: int, *, session_id: str | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Return path and body of the request for a stream from the chunk ``index`` on."""
        # The platform requires the prompt again, and the same parameters: chunks of another size
        # would have other numbers.
        request = replace(position.request, session_id=session_id or position.session_id)
        body = self._body(request)
        body["parameters"] = {**body.get("parameters", {}), "resume_from_index": index}
        return f"/v1/agents/{quote_segment(request.agent)}/stream", body

    async def stream_from(
        self, session_id: str, *, agent: str, query: str, index: int
    ) -> AsyncGenerator[list[Event], None]:
        """Stream a session's answer from the chunk ``index`` (0 or more) on.

        ``query`` is the prompt of that answer, which the platform requires again.

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

    # --- only servers with entrypoints ---------------------------------------------------------

    async def agents(self) -> list[AgentInfo]:
        """Return the one agent of a server with entrypoints.

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
        """Iterate over the runs that a server with entrypoints remembers; they have no session.

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
            UnsupportedError: the address has none: the platform has no call for it.
        """
        return await (await self._lists("no way to ask for the state of a run")).status(run_ids)

    async def _lists(self, what: str) -> InvocationApi:
        if self._protocol is None and await self._entrypoints.served_agent() is not None:
            self._protocol = "websocket"
        if self._protocol != "websocket":
            raise self._unsupported(what)
        return self._invocations

    async def _has_entrypoints(self, request: RunRequest) -> bool:
        """Return whether the address has entrypoints; detect it if the parameters need them."""
        if self._protocol is not None:
            return self._protocol == "websocket"
        params = check_params(Params, request.params, platform=self._name)
        if params.model_fields_set & EntrypointParams.model_fields.keys():
            return await self._found_entrypoints(request.agent)
        return False

    async def _is_other_protocol(self, request: RunRequest, error: PlatformError) -> bool:
        """Return whether a request failed because the address has entrypoints."""
        if self._protocol is not None or error.status not in _NO_SUCH_PATH:
            return False
        return await self._found_entrypoints(request.agent)

    async def _found_entrypoints(self, agent: str) -> bool:
        if await self._entrypoints.is_served(agent):
            self._protocol = "websocket"
        return self._protocol == "websocket"

    # --- helpers ------------------------------------------------------------------------------

    def _body(self, request: RunRequest) -> dict[str, Any]:
        return stream_body(request, platform=self._name)

    def _unsupported(self, what: str) -> UnsupportedError:
        return UnsupportedError(f"{self._name} has {what}.")


async def _single_batch(events: list[Event]) -> AsyncGenerator[list[Event], None]:
    yield events

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
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

from agentnb._http import current_options, quote_segment, side_request
from agentnb.errors import AgentnbError, PlatformError, RequestError, UnsupportedError
from agentnb.event.types import Event
from agentnb.platforms._params import check_options, check_params
from agentnb.platforms._wire import Outbound, peek, to_wire
from agentnb.platforms.base import (
    AgentInfo,
    Capabilities,
    PlatformSettings,
    RemoteRun,
    RunRequest,
)
from agentnb.platforms.http_platform import key_header, nested_settings
from agentnb.platforms.listing_platform import ListingPlatform
from agentnb.platforms.runagent.decoder import first_chunk, invoked_events
from agentnb.platforms.runagent.entrypoints import EntrypointApi
from agentnb.platforms.runagent.positions import Position, Positions
from agentnb.platforms.runagent.wire import Body, EntrypointParams, Parameters, Params
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


class RunAgentPlatform(ListingPlatform):
    """The platform behind the `Platform` protocol.

    Runs have no ids here, only sessions: `attach` takes the session's id as ``session_id`` or as
    the run's id.
    """

    def __init__(self, settings: PlatformSettings) -> None:
        options = check_options(Options, settings.options, platform=settings.platform)
        super().__init__(settings, base_url=DEFAULT_BASE_URL, headers=key_header(settings))
        self._protocol = options.protocol
        self._positions = Positions()
        self._lookup = self._entrypoints = EntrypointApi(self._http)

    @property
    def capabilities(self) -> Capabilities:
        """The features of the API that was detected; those of ``sse`` before that."""
        if self._protocol == "websocket":
            return Capabilities(sessions=False, list_agents=True, list_runs=True, run_status=True)
        return Capabilities(attach=True)

    # --- runs ---------------------------------------------------------------------------------

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        """Start a run and stream it; with ``resume_from_index``, resume an earlier one."""
        if not await self._has_entrypoints(request):
            try:
                async with aclosing(self._stream_sse(request)) as batches:
                    async for batch in batches:
                        yield batch
                return
            except PlatformError as error:
                if not await self._is_other_protocol(request, error):
                    raise
        async with aclosing(self._entrypoints.stream(request, self._params(request))) as batches:
            async for batch in batches:
                yield batch

    async def _stream_sse(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        body = self._body(request)
        async with self._http.stream("POST", _path(request, "stream"), json=body) as response:
            self._protocol = "sse"
            is_json = "json" in response.headers.get("content-type", "").lower()
            if is_json and not response.is_event_stream and response.status != 204:
                yield invoked_events(await response.json(), session_id=request.session_id)
                return
            first = body.get("parameters", {}).get("resume_from_index", 0)
            position = Position(request, first)
            async with aclosing(self._follow(response, position)) as batches:
                with position.reading():
                    async for batch in batches:
                        yield batch

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
        try:
            async with asyncio.timeout(_REFETCH_TIMEOUT):
                with side_request():
                    async with (
                        self._stream_from(position, index) as answer,
                        aclosing(answer.batches()) as batches,
                    ):
                        return await first_chunk(batches, index=index)
        except (AgentnbError, TimeoutError) as error:
            _log.info("A damaged chunk could not be requested again: %s", error)
            return None

    async def invoke(self, request: RunRequest) -> list[Event]:
        """Run without streaming."""
        if not await self._has_entrypoints(request):
            body = self._body(request)
            try:
                answer = await self._http.request("POST", _path(request, "invoke"), json=body)
            except PlatformError as error:
                if not await self._is_other_protocol(request, error):
                    raise
            else:
                self._protocol = "sse"
                return invoked_events(answer.data, session_id=request.session_id)
        return await self._entrypoints.invoke(request, self._params(request))

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
        position.request = replace(position.request, agent=agent or position.request.agent)
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
        decoder.conflicts = 0
        with position.reading():
            async with (
                self._stream_from(position, position.next_index, session_id) as answer,
                aclosing(self._follow(answer, position)) as batches,
            ):
                async for batch in batches:
                    yield batch
                    if decoder.conflicts:
                        raise PlatformError(
                            f"{self._name} started a new answer instead of resuming."
                        )

    def _stream_from(
        self, position: Position, index: int, session_id: str | None = None
    ) -> AbstractAsyncContextManager[Response]:
        """Request the stream from the chunk ``index`` on."""
        # The platform requires the prompt again, and the same parameters: chunks of another size
        # would have other numbers.
        request = replace(position.request, session_id=session_id or position.session_id)
        body = self._body(request)
        body["parameters"] = {**body.get("parameters", {}), "resume_from_index": index}
        return self._http.stream("POST", _path(request, "stream"), json=body)

    # --- only servers with entrypoints ---------------------------------------------------------

    async def agents(self) -> list[AgentInfo]:
        """Return the one agent of a server with entrypoints.

        Raises:
            UnsupportedError: the address has none: the platform does not list its agents.
        """
        await self._check_lists("no list of agents")
        return await self._entrypoints.agents()

    async def runs(self, **filters: Any) -> AsyncGenerator[RemoteRun, None]:
        """Iterate over the runs that a server with entrypoints remembers; they have no session.

        Raises:
            UnsupportedError: the address has none: the platform does not list its runs.
        """
        await self._check_lists("no list of runs")
        async with aclosing(super().runs(**filters)) as runs:
            async for run in runs:
                yield run

    async def status(
        self, run_ids: Sequence[str], *, agent: str | None = None, session_id: str | None = None
    ) -> dict[str, RemoteRun]:
        """Return the state of each run that a server with entrypoints remembers.

        Raises:
            UnsupportedError: the address has none: the platform has no call for it.
        """
        await self._check_lists("no way to ask for the state of a run")
        return await super().status(run_ids)

    async def _check_lists(self, what: str) -> None:
        if self._protocol is None and await self._entrypoints.served_agent() is not None:
            self._protocol = "websocket"
        if self._protocol != "websocket":
            raise UnsupportedError(f"{self._name} has {what}.")

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

    # --- parameters ---------------------------------------------------------------------------

    def _params(self, request: RunRequest) -> Params:
        """Return the parameters of a run.

        Raises:
            RequestError: one is unknown, invalid, or of the other API than the address has.
            UnsupportedError: the request has something else that the API does not take.
        """
        self.check_request(request)
        params = check_params(Params, request.params, platform=self._name)
        given, entrypoint_fields = params.model_fields_set, EntrypointParams.model_fields.keys()
        if self._protocol == "websocket":
            wrong, kind, way = given - entrypoint_fields, "", "arguments as input_kwargs"
        else:
            wrong, kind, way = given & entrypoint_fields, "no ", "parameters as parameters={...}"
        if wrong:
            raise RequestError(
                f"{self._name}: {', '.join(sorted(wrong))} cannot be given at this address, which "
                f"has {kind}entrypoints.",
                hint=f"Give the agent's own {way}.",
            )
        return params

    def _body(self, request: RunRequest) -> dict[str, Any]:
        """Return the body of ``stream`` and ``invoke``."""
        params = self._params(request)
        settings = nested_settings(params, "parameters", Parameters, platform=self._name)
        # A null of the agent's own parameters is kept; one of the platform's means nothing.
        parameters = {**to_wire(settings), **(settings.model_extra or {})} if settings else None
        body = Body(
            query=request.prompt, parameters=parameters, session_id=request.session_id or None
        )
        return to_wire(body)


def _path(request: RunRequest, call: str) -> str:
    return f"/v1/agents/{quote_segment(request.agent)}/{call}"

"""RunTools: agents behind ``POST /v1/run`` that stream server-sent events.

The address is ``https://api.runtools.ai`` unless ``base_url`` or the environment variable
``RUNTOOLS_API_URL`` sets another; the key (``RUNTOOLS_API_KEY``) is sent as ``X-API-Key``.

Options: ``auth`` is ``"x-api-key"`` or ``"bearer"``; ``poll_seconds`` is the interval at which the
thread of an attached run is polled (1); ``max_event_bytes`` limits one event (16 MiB).

Parameters of a run: ``thread_id``, ``messages`` (earlier ones; the prompt is added as the last),
``metadata``, and ``max_tokens``, ``max_turns``, ``temperature``, at the top or in ``config``; in
snake_case or as the API spells them.

No call cancels a run: closing the connection stops it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from agentnb._support.text import well_formed
from agentnb.errors import RequestError
from agentnb.event.types import Event, RunStarted
from agentnb.platforms._params import check_options, check_params
from agentnb.platforms._wire import to_wire
from agentnb.platforms.base import (
    AgentInfo,
    Capabilities,
    PlatformSettings,
    RunRequest,
)
from agentnb.platforms.http_platform import (
    key_header,
    nested_settings,
    read_agent,
    read_rows,
    session_of,
    unexpected_response,
)
from agentnb.platforms.listing_platform import ListingPlatform
from agentnb.platforms.runtools.run_lookup import RunLookup
from agentnb.platforms.runtools.wire import (
    RunMessage,
    RunSettings,
    RunToolsBody,
    RunToolsOptions,
    RunToolsParams,
)

# Decoders are imported with the first response, while the request is on its way.
if TYPE_CHECKING:
    from agentnb.platforms.runtools.record_reader import ThreadReader

DEFAULT_BASE_URL: Final = "https://api.runtools.ai"

# Runs refer to an agent by its slug, if it has one.
_AGENT: Final = {"id": "slug id agentId name", "name": "name displayName", "model": "model"}


class RunToolsPlatform(ListingPlatform):
    """One RunTools account.

    Raises:
        ConfigError: an option is unknown or invalid.
    """

    def __init__(self, settings: PlatformSettings) -> None:
        options = check_options(RunToolsOptions, settings.options, platform=settings.platform)
        key = {"name": "X-API-Key", "scheme": ""} if options.auth == "x-api-key" else {}
        super().__init__(
            settings,
            base_url=DEFAULT_BASE_URL,
            headers=key_header(settings, **key),
            max_event_bytes=options.max_event_bytes,
        )
        self._idle = settings.deadlines.idle
        self._options = options
        self._lookup = self._runs = RunLookup(self._http)

    @cached_property
    def _threads(self) -> ThreadReader:
        from agentnb.platforms.runtools.record_reader import ThreadReader

        return ThreadReader(
            self._http,
            self._runs,
            name=self._name,
            poll_seconds=self._options.poll_seconds,
            idle=self._idle,
        )

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, status_batch="all", history=True)

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        """Start a run and yield its events; `RunStarted` comes first, from the headers.

        Some agents respond with JSON instead of a stream; it is decoded as the whole run.
        """
        body = self._body(request, stream=True)
        session_id: str | None = body.get("threadId")
        async with self._http.stream("POST", "/v1/run", json=body) as response:
            from agentnb.platforms.runtools.decoder import Decoder

            run_id, thread_id = _header_ids(response.headers)
            decoder = Decoder(run_id=run_id, session_id=thread_id or session_id)
            yield [RunStarted(run_id=decoder.run_id, session_id=decoder.session_id)]
            if not response.is_event_stream and _is_json(response.headers):
                yield self._result(await response.json(), response.headers, session_id)
                return
            # No flush if the stream breaks off: the resumed one may have the other half of a
            # character.
            async with aclosing(response.batches()) as batches:
                async for frames in batches:
                    if events := decoder.decode_all(frames):
                        yield events
            if events := decoder.close():
                yield events

    async def invoke(self, request: RunRequest) -> list[Event]:
        """Run without streaming."""
        body = self._body(request, stream=False)
        response = await self._http.request("POST", "/v1/run", json=body)
        return self._result(response.data, response.headers, body.get("threadId"))

    def attach(
        self, run_id: str, *, agent: str | None = None, session_id: str | None = None
    ) -> AsyncGenerator[list[Event], None]:
        """Attach to a run by its thread's recorded events, polled until the run has ended.

        Raises:
            NotFoundError: no thread was given, and the run's thread is unknown.
        """
        start = RunStarted(run_id=run_id, session_id=session_id, agent=agent)
        return self._threads.follow(run_id, agent=agent, session_id=session_id, start=start)

    def resume(
        self,
        request: RunRequest,
        *,
        run_id: str | None,
        session_id: str | None,
        delivered: Sequence[Event],
    ) -> AsyncGenerator[list[Event], None]:
        """Continue by the recorded events of the run's thread.

        Raises:
            RequestError: the run's id is unknown.
            NotFoundError: its thread is unknown, here or to the platform.
        """
        return self._threads.follow(
            run_id,
            agent=request.agent or None,
            session_id=session_id or request.session_id,
            delivered=delivered,
        )

    def forget(self, run_id: str) -> None:
        if "_threads" in vars(self):
            self._threads.forget(run_id)

    async def recorded_events(
        self, session_id: str
    ) -> dict[str, list[tuple[datetime | None, Event]]]:
        """Return the recorded events of each run of a thread, with times, by the run's id.

        Raises:
            NotFoundError: there is no such thread.
        """
        from agentnb.platforms.runtools.record_reader import events_by_run, thread_rows

        return events_by_run(await thread_rows(self._http, session_id), session_id=session_id)

    async def agents(self) -> list[AgentInfo]:
        response = await self._http.request("GET", "/v1/agents")
        agents = map(agent_info, read_rows(response.data, "data agents items"))
        return [agent for agent in agents if agent is not None]

    def _body(self, request: RunRequest, *, stream: bool) -> dict[str, Any]:
        self.check_request(request)
        params = check_params(RunToolsParams, request.params, platform=self._name)
        thread_id = session_of(request, params.thread_id, platform=self._name, kind="thread")
        if request.history and (params.thread_id is not None or params.messages):
            twice = "a thread" if params.thread_id is not None else "messages"
            raise RequestError(f"{self._name}: history and {twice} cannot both be given.")
        messages = params.messages or tuple(RunMessage(**message) for message in request.history)
        if messages and request.prompt:
            messages = (*messages, RunMessage(role="user", content=request.prompt))
        body = RunToolsBody(
            agent=request.agent,
            prompt=None if messages else request.prompt,
            messages=messages or None,
            threadId=thread_id,
            stream=stream,
            config=nested_settings(params, "config", RunSettings, platform=self._name),
            metadata=params.metadata,
        )
        return to_wire(body)

    def _result(self, data: Any, headers: Mapping[str, str], session_id: str | None) -> list[Event]:
        from agentnb.platforms.runtools.decoder import result_events

        run_id, thread_id = _header_ids(headers)
        events = result_events(data, run_id=run_id, session_id=thread_id or session_id)
        if events is None:
            raise unexpected_response(self._name, data, headers)
        return events


def agent_info(row: Mapping[str, Any]) -> AgentInfo | None:
    """Return one entry of the list of agents; None if it has no id."""
    return read_agent(row, _AGENT)


def _header_ids(headers: Mapping[str, str]) -> tuple[str | None, str | None]:
    run_id, thread_id = (headers.get(name, "") for name in ("x-run-id", "x-thread-id"))
    return well_formed(run_id) or None, well_formed(thread_id) or None


def _is_json(headers: Mapping[str, str]) -> bool:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")

"""The API of ``runagent serve``: agents that are functions, each an entrypoint with a tag.

``POST /api/v1/agents/{id}/run`` calls one, and the WebSocket ``/api/v1/agents/{id}/run-stream``
streams one whose tag ends with ``_stream``.  The server also lists its agent, and the invocations
that it remembers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

from agentnb._http import HttpClient, quote_segment, side_request
from agentnb.errors import AgentnbError, NotFoundError, PlatformError, RequestError
from agentnb.event.types import Event, RunFailed, RunStarted
from agentnb.platforms._bodies import parse_error_body
from agentnb.platforms._params import did_you_mean
from agentnb.platforms._payloads import as_list, as_object, first_text, read_status
from agentnb.platforms._wire import one_line, to_wire
from agentnb.platforms.base import AgentInfo, RemoteRun, RunRequest
from agentnb.platforms.http_platform import read_run
from agentnb.platforms.listing_platform import gather_limited, longer_lists
from agentnb.platforms.runagent.messages import MessageDecoder, recorded_text, result_events
from agentnb.platforms.runagent.wire import Params, RunBody

_STREAM_SUFFIX: Final = "_stream"
_RUN: Final = {
    "id": "invocation_id",
    "agent": "agent_id",
    "session_id": "",
    "created_at": "request_timestamp",
    "started_at": "request_timestamp",
    "finished_at": "response_timestamp",
    "updated_at": "",
    "model": "",
    "output": "",
    "error": "error_detail",
}


class EntrypointApi:
    """Calls entrypoints.  ``http`` is the platform's client, which is not closed here."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self._tags: dict[str, tuple[str, ...]] = {}
        # The latest runs whose socket was closed before their end, which stops them; the server
        # never reports their end.
        self._left: deque[str] = deque(maxlen=1000)

    async def is_served(self, agent: str) -> bool:
        """Return whether the address has this API.

        Raises:
            NotFoundError: it has, and serves another agent.
        """
        with side_request():
            try:
                await self._load_tags(agent)
            except NotFoundError:
                await self._check_agent(agent)
                return False
            except AgentnbError:
                return False
        return bool(self._tags.get(agent))

    async def stream(
        self, request: RunRequest, params: Params
    ) -> AsyncGenerator[list[Event], None]:
        """Stream an entrypoint; one that does not stream yields its answer as one batch."""
        tag = await self._choose(request.agent, params.entrypoint_tag, streaming=True)
        if not tag.endswith(_STREAM_SUFFIX):
            yield await self._run(request, params, tag)
            return
        decoder = MessageDecoder()
        path = f"{_path(request.agent)}/run-stream"
        run_id: str | None = None
        try:
            async with (
                self._http.websocket(path, json=_body(request, params, tag)) as answer,
                aclosing(answer.messages()) as messages,
            ):
                async for message in messages:
                    if events := decoder.decode(message):
                        self._note(request.agent, events)
                        if isinstance(events[0], RunStarted):
                            run_id = events[0].run_id
                        yield events
                    if decoder.ended:
                        return
        finally:
            if run_id is not None and not decoder.ended:
                self._left.append(run_id)
        if rest := decoder.finish():
            yield rest

    async def invoke(self, request: RunRequest, params: Params) -> list[Event]:
        """Return the whole answer of an entrypoint."""
        tag = await self._choose(request.agent, params.entrypoint_tag, streaming=False)
        if not tag.endswith(_STREAM_SUFFIX):
            return await self._run(request, params, tag)
        async with aclosing(self.stream(request, params)) as batches:
            return [event async for batch in batches for event in batch]

    async def _run(self, request: RunRequest, params: Params, tag: str) -> list[Event]:
        body = _body(request, params, tag)
        answer = await self._http.request("POST", f"{_path(request.agent)}/run", json=body)
        events = result_events(answer.data)
        self._note(request.agent, events)
        return events

    def _note(self, agent: str, events: Sequence[Event]) -> None:
        # It may have failed because the agent was changed and has other entrypoints now.
        if any(isinstance(event, RunFailed) for event in events):
            self._tags.pop(agent, None)

    async def _choose(self, agent: str, wanted: str | None, *, streaming: bool) -> str:
        """Return the tag of the entrypoint to call: the requested one, else one that fits.

        Raises:
            RequestError: the agent has no such entrypoint, or none at all.
            NotFoundError: the server has no such agent.
        """
        if agent not in self._tags or (wanted and wanted not in self._tags[agent]):
            try:
                await self._load_tags(agent)
            except NotFoundError:
                await self._check_agent(agent)
                if wanted is None:
                    raise
                return wanted
        tags = self._tags[agent]
        if wanted is not None:
            if wanted not in tags:
                raise RequestError(
                    f"{self._http.name}: {agent} has no entrypoint {wanted!r}.",
                    hint=did_you_mean(wanted, tags),
                )
            return wanted
        streams = [tag for tag in tags if tag.endswith(_STREAM_SUFFIX)]
        others = [tag for tag in tags if not tag.endswith(_STREAM_SUFFIX)]
        if not tags:
            raise RequestError(
                f"{self._http.name}: {agent} lists no entrypoints.",
                hint="Name one with entrypoint_tag.",
            )
        if streaming:
            return (streams or others)[0]
        twins = [tag.removesuffix(_STREAM_SUFFIX) for tag in streams]
        return next((tag for tag in twins if tag in others), (others or streams)[0])

    async def _load_tags(self, agent: str) -> None:
        answer = await self._http.request("GET", f"{_path(agent)}/architecture")
        fields = as_object(answer.data)
        if fields.get("success") is False:
            message = parse_error_body(answer.status, fields).message or "no reason was given"
            raise PlatformError(f"{self._http.name} refused to describe {agent}: {message}")
        listed = as_list(as_object(fields.get("data", fields)).get("entrypoints"))
        tags = (first_text(as_object(item), "tag") for item in listed)
        self._tags[agent] = tuple(filter(None, tags))

    async def _check_agent(self, agent: str) -> None:
        """Refuse an agent that the server does not serve, if it names its agent."""
        served = await self.served_agent()
        if served is not None and served != agent:
            served = one_line(served)
            raise NotFoundError(
                f"{self._http.name} at {self._http.base_url} serves the agent {served}, and "
                f"not {one_line(agent)}.",
                hint=f"Did you mean '{self._http.name}:{served}'?",
                status=404,
            )

    # --- lists --------------------------------------------------------------------------------

    async def served_agent(self) -> str | None:
        """Return the agent that the address serves, None where it names none."""
        with side_request():
            try:
                agents = await self.agents()
            except AgentnbError:
                return None
        return agents[0].id if agents else None

    async def agents(self) -> list[AgentInfo]:
        """Return the served agent; none where the server does not name it.

        Raises:
            NotFoundError: the address does not have this API.
        """
        answer = await self._http.request("GET", "/api/v1")
        config = as_object(as_object(answer.data).get("config"))
        agent_id = first_text(config, "agent_id")
        if agent_id is None:
            return []
        name, description = first_text(config, "agent_name"), first_text(config, "description")
        return [AgentInfo(id=agent_id, name=name, description=description, raw=config)]

    async def listed(
        self, *, agent: str | None, session_id: str | None, status: str | None, end: int | None
    ) -> AsyncGenerator[RemoteRun, None]:
        """Yield the invocations of an agent, by default of the served one; they have no session."""
        if session_id is not None:
            return
        if agent is None:
            if not (served := await self.agents()):
                return
            agent = served[0].id
        path = f"{_path(agent)}/invocations"

        async def fetch(limit: int) -> list[Any]:
            answer = await self._http.request("GET", path, params={"limit": limit})
            return as_list(as_object(answer.data).get("invocations"))

        limit = 100 if end is None or status is not None else end
        seen: set[str] = set()
        async with aclosing(longer_lists(fetch, limit=limit)) as lists:
            async for rows in lists:
                for run in filter(None, map(self._remote_run, rows)):
                    is_meant = status is None or run.status == read_status(status)
                    if run.id not in seen and is_meant:
                        yield run
                    seen.add(run.id)

    async def states(self, run_ids: Sequence[str], agent: str | None) -> dict[str, RemoteRun]:
        """Return the state of each invocation by id, except those that were left."""

        async def state(run_id: str) -> RemoteRun | None:
            try:
                path = f"/api/v1/invocations/{quote_segment(run_id)}"
                answer = await self._http.request("GET", path)
            except NotFoundError:
                return None
            return self._remote_run(answer.data)

        found = await gather_limited(map(state, dict.fromkeys(run_ids)), at_once=8)
        return {run.id: run for run in found if run is not None and run.status != "interrupted"}

    def _remote_run(self, data: Any) -> RemoteRun | None:
        row = as_object(data)
        run = read_run(row, _RUN, read_status=read_status)
        if run is None:
            return None
        # It is "pending" while it runs.
        status = "running" if run.status == "queued" else run.status
        if status == "running" and run.id in self._left:
            status = "interrupted"
        output = recorded_text(row.get("output_data")) or None
        return replace(run, status=status, output=output, error=run.error and one_line(run.error))


def _path(agent: str) -> str:
    return f"/api/v1/agents/{quote_segment(agent)}"


def _body(request: RunRequest, params: Params, tag: str) -> dict[str, Any]:
    arguments = list(params.input_args or ())
    keywords = dict(params.input_kwargs or {})
    name = params.prompt_argument
    if name is None:
        arguments.insert(0, request.prompt)
    elif name in keywords:
        raise RequestError(
            f"The question is the argument {name!r}, which input_kwargs has, too.",
            hint="Give it once.",
        )
    elif name:
        keywords[name] = request.prompt
    body = RunBody(
        entrypoint_tag=tag,
        input_args=arguments,
        input_kwargs=keywords,
        timeout_seconds=params.timeout_seconds or 600,
        user_id=params.user_id,
        persistent_memory=params.persistent_memory,
    )
    return to_wire(body)

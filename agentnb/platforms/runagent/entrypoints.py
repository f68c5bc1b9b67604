"""The API of ``runagent serve``: agents that are functions, each an entrypoint with a tag.

``POST /api/v1/agents/{id}/run`` calls one, and the WebSocket ``/api/v1/agents/{id}/run-stream``
streams one whose tag ends with ``_stream``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final, cast

from agentnb._http import HttpClient, quote_segment, side_request
from agentnb.errors import (
    AgentnbError,
    NotFoundError,
    PlatformError,
    RequestError,
    UnsupportedError,
)
from agentnb.event.types import Event, RunFailed, RunStarted
from agentnb.platforms._bodies import parse_error_body
from agentnb.platforms._params import check_params, did_you_mean
from agentnb.platforms._validation import check_history
from agentnb.platforms._wire import one_line, to_wire
from agentnb.platforms.base import RunRequest
from agentnb.platforms.runagent.messages import MessageDecoder, result_events
from agentnb.platforms.runagent.wire import EntrypointParams, Params, RunBody

_STREAM_SUFFIX: Final = "_stream"
_REMEMBERED: Final = 1000


def entrypoint_params(request: RunRequest, *, platform: str) -> Params:
    """Return the parameters of a request to an entrypoint.

    Raises:
        RequestError: one is unknown or invalid.
        UnsupportedError: the request has something that entrypoints do not take.
    """
    check_history(request, platform=platform, supported=False)
    missing = {
        "attachments": request.media,
        "structured output": request.output_schema,
        "sessions": request.session_id,
    }
    for what, given in missing.items():
        if given:
            raise UnsupportedError(f"{platform} has no {what} at this address.")
    params = check_params(Params, request.params, platform=platform)
    if other := params.model_fields_set - EntrypointParams.model_fields.keys():
        raise RequestError(
            f"{platform}: {', '.join(sorted(other))} cannot be given at this address, which has "
            "entrypoints.",
            hint="Give the agent's own arguments as input_kwargs.",
        )
    return params


class EntrypointApi:
    """Calls entrypoints.  ``http`` is the platform's client, which is not closed here."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self._tags: dict[str, tuple[str, ...]] = {}
        #: The latest runs whose socket was closed before their end, which stops them.
        self.left: deque[str] = deque(maxlen=_REMEMBERED)

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
                self.left.append(run_id)
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
        found = answer.data
        if not isinstance(found, dict):
            found = {}
        fields = cast("dict[str, Any]", found)
        if fields.get("success") is False:
            message = parse_error_body(answer.status, fields).message or "no reason was given"
            raise PlatformError(f"{self._http.name} refused to describe {agent}: {message}")
        data = fields.get("data", fields)
        listed = cast("dict[str, Any]", data).get("entrypoints") if isinstance(data, dict) else None
        tags: list[str] = []
        for item in cast("list[Any]", listed) if isinstance(listed, list) else []:
            tag = cast("dict[str, Any]", item).get("tag") if isinstance(item, dict) else None
            if isinstance(tag, str) and tag:
                tags.append(tag)
        self._tags[agent] = tuple(tags)

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

    async def served_agent(self) -> str | None:
        """Return the agent that the address serves, None where it names none."""
        with side_request():
            try:
                answer = await self._http.request("GET", "/api/v1")
            except AgentnbError:
                return None
        match answer.data:
            case {"config": {"agent_id": str(served)}}:
                return served
            case _:
                return None


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

"""`OpenAIPlatform`: sends a run to Responses or Chat Completions, whichever the server has."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import Any, Final, TypeVar, cast

from agentnb.errors import PlatformError
from agentnb.event import Event
from agentnb.platforms.openai.chat_decoder import ChatDecoder
from agentnb.platforms.openai.decoder import ResponsesDecoder
from agentnb.platforms.openai.wire import (
    MAX_MEDIA_BYTES,
    PATHS,
    Api,
    OpenAIOptions,
    OpenAIParams,
    read_attachments,
    request_body,
)
from agentnb.plugin import (
    AgentInfo,
    BaseDecoder,
    Capabilities,
    HttpPlatform,
    MediaSupport,
    PlatformSettings,
    RunRequest,
    ServerSentEvent,
    check_params,
)

T = TypeVar("T")

# Statuses of a path that a server does not have.
_ABSENT: Final = frozenset({404, 405, 501})


class OpenAIPlatform(HttpPlatform):
    """One OpenAI-compatible server.

    Raises:
        ConfigError: an option is unknown or invalid.
    """

    default_url = "https://api.openai.com/v1"
    key = "optional"
    options_type = OpenAIOptions
    remembers = False

    def __init__(self, settings: PlatformSettings) -> None:
        super().__init__(settings)
        options = cast("OpenAIOptions", self.options)
        self._stream_usage = options.stream_usage
        # None until the server has accepted a request to either of them.
        self._api: Api | None = None if options.api == "auto" else options.api

    @property
    def capabilities(self) -> Capabilities:
        media = MediaSupport(max_bytes=MAX_MEDIA_BYTES, max_count=20)
        return replace(super().capabilities, output_schema=True, media=media, client_tools=True)

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        """Start a run and yield its events.

        A server that answers with JSON instead of a stream has its answer decoded as the whole run.
        """
        body = await self._body(request, stream=True)
        async with AsyncExitStack() as stack:

            def send(api: Api) -> Awaitable[Any]:
                started = self.http.stream("POST", PATHS[api], json=body(api))
                return stack.enter_async_context(started)

            response, api = await self._send(send)
            decoder = _decoder(api, request)
            if not response.is_event_stream:
                yield _whole(decoder, await response.json())
                return
            async with aclosing(response.batches()) as batches:
                async for frames in batches:
                    if events := decoder.decode_all(frames):
                        yield events
            if events := decoder.finish():
                yield events

    async def invoke(self, request: RunRequest) -> list[Event]:
        """Run without streaming."""
        body = await self._body(request, stream=False)
        response, api = await self._send(
            lambda api: self.http.request("POST", PATHS[api], json=body(api))
        )
        return _whole(_decoder(api, request), response.data)

    async def agents(self) -> list[AgentInfo]:
        """Return the server's models; where it lists none, the agent of MLflow's agent server."""
        try:
            data: Any = (await self.http.request("GET", "/models")).data
        except PlatformError as error:
            if error.status not in _ABSENT:
                raise
            data = None
        if data is None:
            data = [(await self.http.request("GET", "/agent/info")).data]
        rows = cast("dict[str, Any]", data).get("data") if isinstance(data, dict) else data
        agents = map(_agent_info, cast("list[Any]", rows) if isinstance(rows, list) else [])
        return [agent for agent in agents if agent is not None]

    async def _body(self, request: RunRequest, *, stream: bool) -> Callable[[Api], dict[str, Any]]:
        """Return a function that returns the body for an API.

        Raises:
            RequestError: a parameter or an attachment cannot be sent.
        """
        self.check_request(request)
        params = check_params(OpenAIParams, request.params, platform=self.name)
        files = await asyncio.to_thread(read_attachments, request.media, platform=self.name)

        def body(api: Api) -> dict[str, Any]:
            return request_body(
                api,
                request,
                params,
                files,
                stream=stream,
                stream_usage=self._stream_usage,
                platform=self.name,
            )

        return body

    async def _send(self, send: Callable[[Api], Awaitable[T]]) -> tuple[T, Api]:
        """Send a request to the API that the server has; return its response and that API."""
        api: Api = self._api or "responses"
        try:
            return await send(api), self._accepted(api)
        except PlatformError as error:
            is_absent = error.status in _ABSENT and error.code != "model_not_found"
            if self._api is not None or not is_absent:
                raise
        return await send("chat"), self._accepted("chat")

    def _accepted(self, api: Api) -> Api:
        self._api = api
        return api


def _decoder(api: Api, request: RunRequest) -> BaseDecoder:
    return ResponsesDecoder(request) if api == "responses" else ChatDecoder(request)


def _whole(decoder: BaseDecoder, data: Any) -> list[Event]:
    """Return the events of an answer that was not streamed."""
    frame = ServerSentEvent("message", json.dumps(data), "", None)
    return [*decoder.decode(frame), *decoder.finish()]


def _agent_info(row: Any) -> AgentInfo | None:
    fields = cast("dict[str, Any]", row) if isinstance(row, dict) else {}
    agent_id = fields.get("id") or fields.get("name")
    if not isinstance(agent_id, str):
        return None
    name, description = fields.get("name"), fields.get("description")
    return AgentInfo(
        id=agent_id,
        name=name if isinstance(name, str) else None,
        description=description if isinstance(description, str) else None,
        raw=fields,
    )

"""`A2APlatform`: sends messages to an agent, and follows its tasks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit, urlunsplit

from agentnb.errors import NotFoundError, PlatformError, RequestError, UnsupportedError
from agentnb.event import Event
from agentnb.platforms.a2a.decoder import Decoder, state_of
from agentnb.platforms.a2a.wire import (
    MAX_MEDIA_BYTES,
    NO_SUBSCRIPTION,
    OTHER_VERSION,
    A2AOptions,
    A2AParams,
    Call,
    Endpoint,
    envelope,
    headers,
    inline_media,
    read_card,
    rpc_error,
    send_params,
)
from agentnb.plugin import (
    AgentInfo,
    Capabilities,
    HttpPlatform,
    MediaSupport,
    PlatformSettings,
    Recent,
    RemoteRun,
    RunRequest,
    ServerSentEvent,
    check_params,
    read_status,
)

T = TypeVar("T")
Params = Callable[[Endpoint], Mapping[str, Any]]

CARD_PATH: Final = "/.well-known/agent-card.json"
# Statuses of an agent without a card.
_ABSENT: Final = frozenset({404, 405, 501})


class A2APlatform(HttpPlatform):
    """One A2A agent.

    Raises:
        ConfigError: an option is unknown or invalid, or the platform has no address.
    """

    key = "optional"
    options_type = A2AOptions
    options: A2AOptions

    def __init__(self, settings: PlatformSettings) -> None:
        address = settings.base_url
        self._folder = ""
        if address is not None:
            # The card may name an endpoint outside of the address's own path.
            parts = urlsplit(address)
            self._folder = parts.path.rstrip("/")
            settings = replace(settings, base_url=urlunsplit(parts._replace(path="")))
        super().__init__(settings)
        self._known: Endpoint | None = None
        # The tasks that wait for input, by their sessions.
        self._waiting: Recent[str] = Recent()

    @property
    def capabilities(self) -> Capabilities:
        media = MediaSupport(max_bytes=MAX_MEDIA_BYTES, max_count=20)
        return replace(super().capabilities, media=media)

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        """Start a run and yield its events; without streaming, the whole task once it has ended.

        Raises:
            RequestError: a parameter or an attachment cannot be sent.
        """
        params = await self._params(request)
        if not (await self._endpoint()).streaming:
            async with aclosing(self._blocking(request, params)) as batches:
                async for events in batches:
                    yield events
            return
        decoder = Decoder(request)
        async with aclosing(self._events("stream", params, decoder)) as batches:
            async for events in batches:
                if events:
                    yield events

    async def invoke(self, request: RunRequest) -> list[Event]:
        """Run without streaming; a task that is returned before its end is polled."""
        params = await self._params(request)
        async with aclosing(self._blocking(request, params)) as batches:
            return [event async for events in batches for event in events]

    async def attach(
        self, run_id: str, *, agent: str | None = None, session_id: str | None = None
    ) -> AsyncGenerator[list[Event], None]:
        """Attach to a task; its text so far comes first, as soon as the agent has it."""
        request = RunRequest(agent=agent or "", prompt="", session_id=session_id)
        async with aclosing(self._follow(run_id, Decoder(request, delivered=()))) as batches:
            async for events in batches:
                if events:
                    yield events

    def resume(
        self,
        request: RunRequest,
        *,
        run_id: str | None,
        session_id: str | None,
        delivered: Sequence[Event],
    ) -> AsyncGenerator[list[Event], None]:
        """Subscribe to the task again, and complete its text by the whole task.

        Raises:
            RequestError: the task's id is unknown.
            NotFoundError: the agent no longer has the task.
        """
        if run_id is None:
            raise RequestError(f"{self.name}: the stream broke off before the task had an id.")
        return self._follow(run_id, Decoder(request, delivered=delivered))

    async def cancel(
        self, run_id: str | None, *, agent: str | None = None, session_id: str | None = None
    ) -> None:
        """Cancel a task.

        Raises:
            UnsupportedError: the task has no id yet; closing the stream is all that can be done.
            InvalidRequestError: the agent cannot cancel it, or it has ended.
        """
        if run_id is None:
            raise UnsupportedError(f"{self.name} cannot cancel a task without an id.")
        await self._call("cancel", _by_id(run_id))

    async def status(
        self, run_ids: Sequence[str], *, agent: str | None = None, session_id: str | None = None
    ) -> dict[str, RemoteRun]:
        """Return the state of each task by id; unknown ids are absent."""
        found: dict[str, RemoteRun] = {}
        for run_id in run_ids:
            try:
                task = await self._call("get", _by_id(run_id))
            except NotFoundError:
                continue
            found[run_id] = _remote_run(run_id, task)
        return found

    async def agents(self) -> list[AgentInfo]:
        """Return the agent of the card; none without a card."""
        self._known = None
        card = (await self._endpoint()).card
        name, description = card.get("name"), card.get("description")
        if not isinstance(name, str) or not name:
            return []
        about = description if isinstance(description, str) else None
        return [AgentInfo(id=name, name=name, description=about, raw=card)]

    # --- tasks ------------------------------------------------------------------------------------

    async def _params(self, request: RunRequest) -> Params:
        """Return a function that returns the parameters for an endpoint.

        Raises:
            RequestError: a parameter or an attachment cannot be sent.
        """
        self.check_request(request)
        params = check_params(A2AParams, request.params, platform=self.name)
        media = await asyncio.to_thread(inline_media, request.media, platform=self.name)
        task_id = params.task_id or self._waiting.pop(request.session_id or "", None)
        return lambda endpoint: send_params(request, params, media, endpoint, task_id=task_id)

    async def _blocking(
        self, request: RunRequest, params: Params
    ) -> AsyncGenerator[list[Event], None]:
        result = await self._call("send", params)
        decoder = Decoder(request)
        events = _whole(decoder, result)
        self._note(decoder)
        yield events
        if not decoder.has_ended and decoder.task_id is not None:
            # Some agents return a task as soon as they have it.
            decoder.follow()
            async with aclosing(self._polled(decoder.task_id, decoder)) as batches:
                async for events in batches:
                    yield events

    async def _follow(self, task_id: str, decoder: Decoder) -> AsyncGenerator[list[Event], None]:
        """Yield the events of a task by a subscription, and its end by the whole task.

        An empty list says that something arrived without news.
        """
        if (await self._endpoint()).streaming:
            try:
                async with aclosing(self._events("subscribe", _by_id(task_id), decoder)) as batches:
                    async for events in batches:
                        yield events
                        if decoder.refusal is not None:
                            raise rpc_error(decoder.refusal, platform=self.name)
            except PlatformError as error:
                if error.code not in NO_SUBSCRIPTION:
                    raise
        async with aclosing(self._polled(task_id, decoder)) as batches:
            async for events in batches:
                yield events

    async def _polled(self, task_id: str, decoder: Decoder) -> AsyncGenerator[list[Event], None]:
        while True:
            events = decoder.settle(await self._call("get", _by_id(task_id)))
            self._note(decoder)
            yield events
            if decoder.has_ended:
                return
            await asyncio.sleep(self.options.poll_seconds)

    def _note(self, decoder: Decoder) -> None:
        if decoder.needs_input and decoder.context_id and decoder.task_id:
            self._waiting.note(decoder.context_id, decoder.task_id)

    # --- calls ------------------------------------------------------------------------------------

    async def _endpoint(self) -> Endpoint:
        if self._known is None:
            self._known = await self._found()
        return self._known

    async def _found(self) -> Endpoint:
        """Return the endpoint that the card and the options give.

        Raises:
            UnsupportedError: the agent has no JSON-RPC endpoint.
        """
        path = self._folder or "/"
        try:
            card = (await self.http.request("GET", f"{self._folder}{CARD_PATH}")).data
        except PlatformError as error:
            if error.status not in _ABSENT:
                raise
            card = None
        found: Endpoint | None = Endpoint(path=path, card={})
        if isinstance(card, dict):
            fields = cast("dict[str, Any]", card)
            found = read_card(fields, origin=self.http.base_url, path=path)
        if found is None:
            raise UnsupportedError(f"{self.name}: the agent has no JSON-RPC endpoint.")
        if self.options.path is not None:
            found = replace(found, path=f"{self._folder}{self.options.path}" or "/")
        return replace(found, version=self.options.protocol_version or found.version)

    async def _call(self, call: Call, params: Params) -> Any:
        """Return the result of a call.

        Raises:
            PlatformError: it is an error.
        """

        async def send(endpoint: Endpoint) -> Any:
            body = envelope(call, params(endpoint), endpoint.version)
            sent = self.http.request(
                "POST", endpoint.path, json=body, headers=headers(endpoint.version)
            )
            return self._result((await sent).data)

        return await self._in_either_version(send)

    async def _events(
        self, call: Call, params: Params, decoder: Decoder
    ) -> AsyncGenerator[list[Event], None]:
        """Yield the events of a call's stream; an agent that answers with JSON does not stream."""
        async with AsyncExitStack() as stack:

            async def send(endpoint: Endpoint) -> Any:
                body = envelope(call, params(endpoint), endpoint.version)
                response = await stack.enter_async_context(
                    self.http.stream(
                        "POST", endpoint.path, json=body, headers=headers(endpoint.version)
                    )
                )
                if response.is_event_stream:
                    return response, None
                return None, self._result(await response.json())

            response, result = await self._in_either_version(send)
            if response is None:
                events = _whole(decoder, result)
                self._note(decoder)
                yield events
                return
            async with aclosing(response.batches()) as batches:
                async for frames in batches:
                    events = decoder.decode_all(frames)
                    self._note(decoder)
                    yield events
                    # A subscription to a task that waits for input stays open without news.
                    if decoder.has_ended or decoder.needs_input:
                        return
            yield decoder.finish()

    async def _in_either_version(self, send: Callable[[Endpoint], Awaitable[T]]) -> T:
        """Send a request in the agent's version, or in the other one where it lacks the method."""
        endpoint = await self._endpoint()
        try:
            return await send(endpoint)
        except PlatformError as error:
            if error.code not in OTHER_VERSION or self.options.protocol_version is not None:
                raise
            other = replace(endpoint, version="0.3" if endpoint.version == "1.0" else "1.0")
            try:
                result = await send(other)
            except PlatformError as second:
                # The card's version is the better one to report.
                raise (error if second.code in OTHER_VERSION else second) from None
        self._known = other
        return result

    def _result(self, data: Any) -> Any:
        """Return the ``result`` of a JSON-RPC response.

        Raises:
            PlatformError: it is an error.
        """
        fields = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
        if fields.get("error") is not None or "result" not in fields:
            raise rpc_error(fields.get("error"), platform=self.name)
        return fields["result"]


def _by_id(task_id: str) -> Params:
    def params(endpoint: Endpoint) -> dict[str, Any]:
        return {"id": task_id, **({"tenant": endpoint.tenant} if endpoint.tenant else {})}

    return params


def _whole(decoder: Decoder, result: Any) -> list[Event]:
    """Return the events of a response that was not streamed."""
    frame = ServerSentEvent("message", json.dumps({"result": result}), "", None)
    return [*decoder.decode(frame), *decoder.finish()]


def _remote_run(run_id: str, task: Any) -> RemoteRun:
    fields = cast("dict[str, Any]", task) if isinstance(task, dict) else {}
    state = state_of(fields.get("status"))
    context = fields.get("contextId")
    return RemoteRun(
        id=run_id,
        status="paused" if state.endswith("-required") else read_status(state),
        session_id=context if isinstance(context, str) else None,
        raw=fields,
    )

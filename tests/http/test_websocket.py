"""WebSockets that end, break, redirect, refuse or stay silent."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

import agentnb
from agentnb._http import HttpClient
from agentnb._http.retry import Retries
from agentnb._http.timeout import Deadlines
from agentnb.errors import (
    AuthenticationError,
    ConnectionFailedError,
    DeadlineError,
    EventTooLargeError,
    NotFoundError,
    PlatformError,
    StreamCutError,
)
from agentnb.event.types import RawEvent
from tests.patience import looks
from tests.ports import bound

pytestmark = pytest.mark.anyio

KEY = "canary-key-1234567890"
STARTED = {"type": "status", "status": "stream_started", "invocation_id": "run-1"}
COMPLETED = {"type": "status", "status": "stream_completed", "execution_time": 0.25}

Handler = Callable[["Server", ServerConnection], Awaitable[None]]


class Server:
    """Scripted WebSocket server that records the requests."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.url = ""
        self.requests: list[Request] = []
        self.questions: list[Any] = []
        self.gone = asyncio.Event()
        self.response: Response | None = None

    async def handle(self, connection: ServerConnection) -> None:
        self.questions.append(json.loads(await connection.recv()))
        try:
            await self.handler(self, connection)
        finally:
            await connection.wait_closed()
            self.gone.set()

    async def before(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        if request.path.endswith("/architecture"):
            body = json.dumps({"data": {"entrypoints": [{"tag": "a_stream"}]}}).encode()
            headers = Headers({"content-type": "application/json"})
            headers["content-length"] = str(len(body))
            return Response(200, "OK", headers, body)
        return self.response


@asynccontextmanager
async def serving(handler: Handler) -> AsyncGenerator[Server, None]:
    server = Server(handler)
    listening = await serve(
        server.handle, sock=bound(), process_request=server.before, close_timeout=0.1
    )
    async with listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        server.url = f"http://127.0.0.1:{port}"
        yield server


def agent_of(server: Server, **options: Any) -> agentnb.Agent:
    return agentnb.agent(
        "runagent:a",
        base_url=server.url,
        api_key=KEY,
        options={"protocol": "websocket"},
        **options,
    )


def says(*messages: Any) -> Handler:
    """A handler that sends these messages, as JSON where they are no text, and waits."""

    async def handler(server: Server, connection: ServerConnection) -> None:
        for message in messages:
            raw = isinstance(message, str | bytes)
            await connection.send(message if raw else json.dumps(message))
        await connection.wait_closed()

    return handler


def data(value: Any) -> dict[str, Any]:
    return {"type": "data", "content": json.dumps({"type": "string", "payload": json.dumps(value)})}


async def test_the_key_is_in_a_header_and_never_in_the_address() -> None:
    async with serving(says(STARTED, data("Hello"), COMPLETED)) as server:
        run = await agent_of(server).arun("tea?")
    assert run.text == "Hello"
    assert run.platform_duration == 0.25
    opening = next(r for r in server.requests if r.path.endswith("/run-stream"))
    assert opening.path == "/api/v1/agents/a/run-stream"
    assert opening.headers["authorization"] == f"Bearer {KEY}"
    assert server.questions == [
        {
            "entrypoint_tag": "a_stream",
            "input_args": ["tea?"],
            "input_kwargs": {},
            "timeout_seconds": 600,
            "async_execution": False,
        }
    ]


async def test_an_echoed_key_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(says(STARTED, data(f"You are {KEY}"), COMPLETED)) as server:
        run = await agent_of(server).arun("tea?")
    # The server's own log is that of another party.
    client = [r.getMessage() for r in caplog.records if r.name != "websockets.server"]
    assert any("run-stream" in line for line in client)
    assert not any(KEY in line for line in client)
    assert KEY not in run.text + repr(run.events) + json.dumps(run.to_dict())


async def test_a_cut_connection_keeps_the_partial_answer_without_a_retry() -> None:
    async def cut(server: Server, connection: ServerConnection) -> None:
        await connection.send(json.dumps(STARTED))
        await connection.send(json.dumps(data("Half")))
        await asyncio.sleep(0.05)
        found = connection.transport.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.transport.abort()

    async with serving(cut) as server:
        run = await agent_of(server).arun("tea?", check=False)
    assert (run.status, run.text, len(server.questions)) == ("truncated", "Half", 1)
    assert "broke off" in str(run.error)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        (1000, "truncated", None),
        (1001, "truncated", None),
        (1011, "truncated", StreamCutError),
        (1008, "failed", AuthenticationError),
        (4401, "failed", AuthenticationError),
    ],
)
async def test_a_connection_that_is_closed_before_the_end(
    code: int, status: str, kind: type[Exception] | None
) -> None:
    async def close(server: Server, connection: ServerConnection) -> None:
        await connection.send(json.dumps(data("Half")))
        await connection.close(code, f"because of {KEY}")

    async with serving(close) as server:
        run = await agent_of(server).arun("tea?", check=False)
    assert (run.status, run.text, len(server.questions)) == (status, "Half", 1)
    assert KEY not in str(run.error)
    if kind is not None:
        assert run.transcript.failure is not None
        assert run.transcript.failure.error_type == kind.__name__


async def test_malformed_frames_are_kept_and_the_stream_continues() -> None:
    deep = "[" * 100_000
    frames = (
        "not JSON",
        "[1]",
        deep,
        {"type": "novelty", "a": 1},
        {"no": "type"},
        b'{"type": "data", "content": "plain text"}',
        {"type": "data", "content": '{"type": "object", "payload": "{broken"}'},
        {"type": "data", "content": {"text": " and more"}},
        {"type": "data"},
        COMPLETED,
    )
    async with serving(says(STARTED, *frames)) as server:
        run = await agent_of(server).arun("tea?")
    assert run.text == "plain text and more"
    raw = [event for event in run.events if isinstance(event, RawEvent)]
    assert [event.name for event in raw] == [*["message"] * 3, "novelty", "message", "data"]


async def test_an_error_ends_the_run_though_the_socket_stays_open() -> None:
    async with serving(says(STARTED, data("Half"), {"type": "error", "detail": "No"})) as server:
        run = await agent_of(server).arun("tea?", check=False)
        await asyncio.wait_for(server.gone.wait(), 20)
    assert (run.status, run.text, run.error) == ("failed", "Half", "No")


async def test_a_message_that_is_too_large() -> None:
    async with serving(says("x" * 5000)) as server:
        client = HttpClient(server.url, name="it", max_event_bytes=1000)
        async with client.websocket("/ws", json={}) as answer:
            with pytest.raises(EventTooLargeError) as caught:
                await anext(answer.messages())
        await client.aclose()
    assert caught.value.limit == 1000


async def test_leaving_early_closes_the_socket_though_the_server_does_not_confirm() -> None:
    async def busy(server: Server, connection: ServerConnection) -> None:
        await connection.send(json.dumps(data("Half")))
        connection.transport.pause_reading()
        await asyncio.sleep(1.5)
        connection.transport.resume_reading()

    async with serving(busy) as server:
        run = agent_of(server).start("tea?")
        for _ in looks():
            if run.text:
                break
            await asyncio.sleep(0.01)
        loop = asyncio.get_running_loop()
        began = loop.time()
        run.cancel()
        await run.wait_async(check=False)
        assert loop.time() - began < 1.4
        assert run.status == "cancelled"
        await asyncio.wait_for(server.gone.wait(), 20)


@pytest.mark.parametrize("name", ["first_event", "idle", "progress", "total"])
async def test_a_silent_server_meets_each_deadline(name: str) -> None:
    messages = () if name == "first_event" else (STARTED, data("Half"))
    async with serving(says(*messages)) as server:
        deadlines = Deadlines(**{name: 0.4})
        run = await agent_of(server, deadlines=deadlines).arun("tea?", check=False)
        await asyncio.wait_for(server.gone.wait(), 20)
    assert run.status in ("failed", "truncated")
    assert run.transcript.failure is not None
    assert run.transcript.failure.error_type == DeadlineError.__name__
    assert len(server.questions) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AuthenticationError), (403, AuthenticationError), (404, NotFoundError)],
)
async def test_a_refused_handshake(status: int, kind: type[Exception]) -> None:
    async with serving(says()) as server:
        body = b'{"error": {"code": "NO", "message": "Not you"}}'
        headers = Headers({"content-type": "application/json", "content-length": str(len(body))})
        server.response = Response(status, "No", headers, body)
        run = await agent_of(server).arun("tea?", check=False)
    assert isinstance(run.exception, kind)
    assert "Not you" in str(run.error)
    assert server.questions == []


@pytest.mark.parametrize("where", ["same", "other"])
async def test_no_redirect_is_followed(where: str) -> None:
    async with serving(says(STARTED, COMPLETED)) as target, serving(says()) as server:
        place = f"{target.url}/elsewhere" if where == "other" else "/elsewhere"
        headers = Headers({"location": place.replace("http:", "ws:"), "content-length": "0"})
        server.response = Response(HTTPStatus.TEMPORARY_REDIRECT, "Go", headers)
        run = await agent_of(server).arun("tea?", check=False)
        assert target.requests == []
    assert isinstance(run.exception, PlatformError)
    assert "redirect" in str(run.error)


async def test_a_failed_handshake_is_retried_and_the_message_sent_once() -> None:
    async with serving(says(STARTED, data("Hello"), COMPLETED)) as server:
        headers = Headers({"content-length": "0", "retry-after": "0"})
        busy = Response(503, "Busy", headers)
        answers = [busy, None]
        plain = server.before

        async def before(connection: ServerConnection, request: Request) -> Response | None:
            if request.path.endswith("/run-stream"):
                server.response = answers.pop(0)
            return await plain(connection, request)

        server.before = before
        listening = await serve(server.handle, sock=bound(), process_request=before)
        async with listening:
            port = next(iter(listening.sockets)).getsockname()[1]
            server.url = f"http://127.0.0.1:{port}"
            run = await agent_of(server).arun("tea?")
    assert run.text == "Hello"
    assert len(server.questions) == 1


async def test_no_server_and_no_websocket() -> None:
    free = bound()
    port = free.getsockname()[1]
    free.close()
    client = HttpClient(f"http://127.0.0.1:{port}", name="it", retries=Retries(requests=0))
    with pytest.raises(
        ConnectionFailedError, match=f"No connection to it at http://127.0.0.1:{port}"
    ):
        async with client.websocket("/ws", json={}):
            pass
    await client.aclose()


async def test_https_is_wss_and_its_certificate_is_verified() -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(Path(__file__).parent / "localhost.pem")
    server = Server(says(STARTED, COMPLETED))
    async with await serve(server.handle, sock=bound(), ssl=tls) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        client = HttpClient(f"https://localhost:{port}", name="it", retries=Retries(requests=0))
        with pytest.raises(ConnectionFailedError, match="certificate is not trusted") as caught:
            async with client.websocket("/ws", json={}):
                pass
        await client.aclose()
    assert caught.value.lasting
    assert server.questions == []


@pytest.mark.parametrize("trust_env", [True, False])
async def test_a_proxy_is_that_of_http(trust_env: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readline()).decode())
        writer.write(b"HTTP/1.1 502 No\r\n\r\n")
        writer.close()

    listening = await asyncio.start_server(proxy, sock=bound())
    async with listening, serving(says("{}")) as server:
        port = listening.sockets[0].getsockname()[1]
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "")
        client = HttpClient(server.url, name="it", trust_env=trust_env, retries=Retries(requests=0))
        if trust_env:
            with pytest.raises(ConnectionFailedError, match="the proxy refused it"):
                async with client.websocket("/ws", json={}):
                    pass
        else:
            async with client.websocket("/ws", json={}) as answer:
                assert [m async for m in _first(answer.messages())] == ["{}"]
        await client.aclose()
    assert len(seen) == (1 if trust_env else 0)


async def _first(messages: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    async for message in messages:
        yield message
        break
    await messages.aclose()


def test_without_websockets_the_error_says_how_to_install_it() -> None:
    script = """
import sys
sys.modules["websockets"] = None
import agentnb
agent = agentnb.agent(
    "runagent:a",
    base_url="http://127.0.0.1:9",
    api_key="canary-key-1234567890",
    options={"protocol": "websocket"},
)
from agentnb._http import HttpClient
import asyncio
async def ask():
    async with HttpClient("http://127.0.0.1:9", name="runagent").websocket("/ws", json={}):
        pass
try:
    asyncio.run(ask())
except agentnb.ConfigError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == (
        "runagent is reached over a WebSocket here, and the package websockets is not installed, "
        "or too old. pip install 'jupyter-agentnb[websocket]'\n"
    ), done.stderr

"""A client of plain sockets: what the sandbox does to a connection is seen as it is."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from agentnb.sandbox import Sandbox

PLATFORMS = ("seekr", "runagent", "operativus", "runtools")
End = Literal["end", "reset", "patience", "enough"]
# How long nothing comes before it is believed that nothing will, in seconds.
_SILENCE: Final = 0.4


@dataclass(frozen=True)
class Answer:
    """What came back: the head, the body without its chunks' sizes, and how it ended.

    ``whole`` says whether the body came to the end that its own framing gives it.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    end: End
    whole: bool
    reads: int

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def frames(self) -> list[str]:
        """The events, without comments, the last one perhaps cut."""
        return [f for f in self.text.split("\n\n") if f and not f.startswith(":")]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def post(
    sandbox: Sandbox,
    platform: str,
    path: str,
    body: Any = None,
    *,
    method: str = "POST",
    fault: str | None = None,
    headers: dict[str, str] | None = None,
    grace_timer: float = 10.0,
    silent: Callable[[Answer], bool] | None = None,
    enough: int = 2**30,
    keyed: bool = True,
) -> Answer:
    """Make one request on a connection of its own and read all that comes for it.

    ``patience`` is for how many seconds nothing may come.  Where ``silent`` says of what came so
    far that nothing follows, little of it is left.  After ``enough`` bytes the client leaves.
    """
    key = sandbox.api_key.get_secret_value()
    auth = {"seekr": ("Authorization", key), "runtools": ("X-API-Key", key)}
    name, value = auth.get(platform, ("Authorization", f"Bearer {key}"))
    data = b"" if body is None else json.dumps(body).encode()
    sent = {
        "Host": f"127.0.0.1:{sandbox.port}",
        "Content-Type": "application/json",
        "Content-Length": str(len(data)),
        "Connection": "close",
        **({name: value} if keyed else {}),
        **({"X-Sandbox-Fault": fault} if fault is not None else {}),
        **(headers or {}),
    }
    head = f"{method} /{platform}{path} HTTP/1.1\r\n"
    head += "".join(f"{k}: {v}\r\n" for k, v in sent.items()) + "\r\n"
    raw = bytearray()
    end: End = "end"
    reads = 0
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=grace_timer) as connection:
        connection.sendall(head.encode() + data)
        while True:
            try:
                piece = connection.recv(65536)
            except ConnectionResetError:
                end = "reset"
                break
            except TimeoutError:
                end = "patience"
                break
            if not piece:
                break
            raw += piece
            reads += 1
            if len(raw) >= enough:
                end = "enough"
                break
            if silent is not None and b"\r\n\r\n" in raw and silent(_read(bytes(raw), end, reads)):
                connection.settimeout(min(grace_timer, _SILENCE))
    return _read(bytes(raw), end, reads)


def _read(raw: bytes, end: End, reads: int) -> Answer:
    head, _, rest = raw.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    status = int(lines[0].split()[1]) if lines[0] else 0
    pairs = [line.split(": ", 1) for line in lines[1:]]
    headers = {k.lower(): v for k, v in pairs}
    if headers.get("transfer-encoding") == "chunked":
        body, whole = _joined(rest)
    else:
        body, whole = rest, len(rest) == int(headers.get("content-length", -1))
    return Answer(status, headers, body, end, whole, reads)


def _joined(rest: bytes) -> tuple[bytes, bool]:
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return body, rest == b"\r\n"
        body += rest[:length]
        rest = rest[length + 2 :]
    return body, False


def stream(
    sandbox: Sandbox,
    platform: str,
    told: dict[str, Any],
    *,
    fault: str | None = None,
    parameter: str | None = None,
    session: str | None = None,
    grace_timer: float = 10.0,
    silent: Callable[[Answer], bool] | None = None,
    enough: int = 2**30,
    agent: str = "echo",
) -> Answer:
    """Start a run of ``agent`` and read its stream.

    ``fault`` goes into the header, ``parameter`` where the platform's body can carry it.
    """
    prompt = json.dumps(told)
    body: dict[str, Any]
    if platform == "seekr":
        path = session or new_thread(sandbox)
        post(sandbox, "seekr", f"{path}/messages", {"content": prompt})
        path += "/runs/stream"
        body = {"agent_id": agent}
        if parameter is not None:
            body["metadata"] = {"fault": parameter}
    elif platform == "runagent":
        path = f"/v1/agents/{agent}/stream"
        body = {"query": prompt, "session_id": session} if session else {"query": prompt}
        if parameter is not None:
            body["parameters"] = {"fault": parameter}
    elif platform == "operativus":
        path = f"/api/agents/{agent}/runs/stream"
        body = {"message": prompt, "sessionId": session}
        if parameter is not None:
            body["options"] = {"fault": parameter}
    else:
        path = "/v1/run"
        body = {"agent": agent, "prompt": prompt}
        if session:
            body["threadId"] = session
        if parameter is not None:
            body["metadata"] = {"fault": parameter}
    return post(
        sandbox,
        platform,
        path,
        body,
        fault=fault,
        grace_timer=grace_timer,
        silent=silent,
        enough=enough,
    )


def new_thread(sandbox: Sandbox) -> str:
    """Make a thread of SeekrFlow's and return its path."""
    return f"/v1/threads/{post(sandbox, 'seekr', '/v1/threads', {}).json['id']}"

"""A RunTools server whose runtimes speak any dialect: the prompt says what a run streams."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import agentnb
from agentnb._http.retry import Retries
from tests.faults.rawserver import Connection, Received, Script, running

__all__ = ["Frame", "body_of", "data", "named", "runtime"]

Frame = str
"""One frame of server-sent events, with its blank line."""


def data(value: Any) -> Frame:
    """A frame without a name: a text as it is, anything else as JSON."""
    return f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n"


def named(name: str, value: Any = None) -> Frame:
    return f"event: {name}\n{data('' if value is None else value)}"


def body_of(frames: Sequence[Frame]) -> str:
    """The prompt that makes the server stream these frames."""
    return "".join(frames)


def streaming(rows: Sequence[dict[str, Any]], record: Sequence[dict[str, Any]] | None) -> Script:
    """Streams what it is prompted with; ``rows`` are the list of runs, ``record`` the thread's."""

    async def script(c: Connection) -> None:
        while True:
            request: Received = await c.request()
            kind = "Content-Type: application/json"
            if request.method == "POST":
                await c.stream_head(extra="X-Run-ID: run_1\r\nX-Thread-ID: thr_1\r\n")
                await c.chunk(request.json()["prompt"].encode())
                await c.chunk(b"")
            elif request.target.startswith("/v1/threads/") and record is None:
                await c.answer(b"{}", status="404 Not Found", headers=kind)
            else:
                listed = record if request.target.startswith("/v1/threads/") else rows
                await c.answer(json.dumps(listed).encode(), headers=kind)

    return script


@contextmanager
def runtime(
    *,
    rows: Sequence[dict[str, Any]] = (),
    record: Sequence[dict[str, Any]] | None = None,
    retries: Retries | None = None,
    options: dict[str, Any] | None = None,
) -> Generator[tuple[agentnb.Agent, list[Received]], None, None]:
    """An agent of such a server, and the requests that came."""
    with running(streaming(rows, record)) as server:
        agent = agentnb.agent(
            "runtools:any",
            base_url=server.url,
            api_key="k-1",
            retries=retries or Retries(requests=0, reconnects=0),
            options=options,
        )
        yield agent, server.requests

"""A server-sent-events response that notices at once when its client disconnects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

from starlette.types import Message, Receive, Scope, Send

from agentnb.event.types import Event, RunFailed
from agentnb.sandbox.fault_injection.injector import injector_of
from agentnb.sandbox.state import SandboxRun

# Seconds without an event before a keep-alive comment is sent.
_KEEP_ALIVE_AFTER: Final = 15.0
KEEP_ALIVE: Final = b": keep-alive\n\n"


def sse_frame(
    data: str, *, event: str | None = None, id: int | None = None, space: str = " "
) -> bytes:
    """Return one event as bytes; ``data`` is one line, ``space`` follows each colon."""
    head = "" if id is None else f"id:{space}{id}\n"
    if event is not None:
        head += f"event:{space}{event}\n"
    # Lone surrogates cannot be encoded; JSON has them escaped, and nothing else is sent.
    return f"{head}data:{space}{data}\n\n".encode()


async def read_run(run: SandboxRun, *, late: bool = False) -> AsyncGenerator[list[Event], None]:
    """Yield a run's events in batches; an empty one when a keep-alive is due.

    Ends with the run, or where it waits for a decision.  ``late`` skips the events so far.
    """
    reader = run.log.reader(late=late)
    try:
        while (batch := await reader.next(timeout=_KEEP_ALIVE_AFTER)) is not None:
            yield batch
            if run.waits and reader.is_up_to_date:
                return
    finally:
        reader.close()


class SSEResponse:
    """ASGI response that sends the ``frames`` of a run, which may end when the client disconnects.

    ``failure`` encodes an injected failure of the run.
    """

    def __init__(
        self,
        run: SandboxRun,
        frames: AsyncGenerator[bytes, None],
        *,
        failure: Callable[[RunFailed], Sequence[bytes]],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._run = run
        self._failure = failure
        self._frames = frames
        self._headers = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            "x-accel-buffering": "no",
            **(headers or {}),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = injector_of(scope)
        exchange.stream(self._run, self._failure)
        with self._run.attach_client(lambda: exchange.keep):
            await run_until_gone(receive, lambda: self._send(send))

    async def _send(self, send: Send) -> None:
        async with aclosing(self._frames) as frames:
            start: Message = {
                "type": "http.response.start",
                "status": 200,
                "headers": [(k.encode(), v.encode("latin-1")) for k, v in self._headers.items()],
            }
            await send(start)
            async for chunk in frames:
                if chunk:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def run_until_gone(receive: Receive, work: Callable[[], Coroutine[Any, Any, object]]) -> bool:
    """Run ``work``, cancelled when the client disconnects; return whether it finished."""
    working = asyncio.ensure_future(work())
    watching = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return True
        return False
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

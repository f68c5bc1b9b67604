"""Streams of server-sent events, which end at once when their client disconnects."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from starlette.types import Message, Receive, Scope, Send

from agentnb.event.types import Event, ToolCallFinished, ToolCallStarted
from agentnb.sandbox.fault_injector import injector_of
from agentnb.sandbox.state import SandboxRun

# Seconds without an event before a keep-alive comment is sent.
_KEEP_ALIVE_AFTER: Final = 15.0

Item = tuple[str, Any]
"""The name of a frame, and its data."""


def sse_frame(
    data: str, *, event: str | None = None, id: int | None = None, space: str = " "
) -> bytes:
    """Return one event as bytes; ``data`` is one line, ``space`` follows each colon."""
    head = "" if id is None else f"id:{space}{id}\n"
    if event is not None:
        head += f"event:{space}{event}\n"
    # Lone surrogates cannot be encoded; JSON has them escaped, and nothing else is sent.
    return f"{head}data:{space}{data}\n\n".encode()


class Encoder(ABC):
    """Encodes the events of one run as frames; ``keep_alive`` is sent while there are none.

    A call whose arguments still stream is passed to `items` once they are complete, unless
    ``holds_calls`` is false; a result has its name and its text.
    """

    keep_alive: ClassVar[bytes] = b": keep-alive\n\n"
    holds_calls: ClassVar[bool] = True

    def __init__(self, run: SandboxRun) -> None:
        self._run = run
        self._open: set[str] = set()

    def opening(self) -> list[Item]:
        """Return what precedes the first event."""
        return []

    def pause(self) -> list[Item]:
        """Return what ends the stream of a paused run."""
        return []

    def call_opened(self, event: ToolCallStarted) -> list[Item]:
        """Return what announces a call whose arguments still stream."""
        return []

    @abstractmethod
    def items(self, event: Event) -> list[Item]:
        """Return one event as frames to be."""

    @abstractmethod
    def frame(self, name: str, data: Any) -> bytes:
        """Return one frame, empty if it is not to be sent."""

    def complete(self, event: Event) -> list[Item]:
        """Return `items` of the event, and of the call that it completes."""
        if isinstance(event, ToolCallStarted) and self.holds_calls and not event.arguments:
            self._open.add(event.call_id)
            return self.call_opened(event)
        if not isinstance(event, ToolCallFinished):
            return self.items(event)
        call = self._run.transcript.find_tool_call(event.call_id)
        name, arguments, result = event.name or "", event.arguments or "", event.result
        if call is not None:
            name, arguments = name or call.name, arguments or call.arguments
            result = call.result if result is None else result
        finished = self.items(replace(event, name=name, result=result or ""))
        if event.call_id not in self._open:
            return finished
        started = ToolCallStarted(call_id=event.call_id, name=name, arguments=arguments)
        started_items = self.items(started)
        self._open.discard(event.call_id)
        return started_items + finished

    def encode(self, event: Event) -> list[bytes]:
        """Return the frames of one event."""
        return self.frames(self.complete(event))

    def frames(self, items: list[Item]) -> list[bytes]:
        return [self.frame(name, data) for name, data in items]


class SSEResponse:
    """ASGI response that streams a run, which may end when the client disconnects.

    The stream ends with the run, or where it waits for a decision.  ``late`` skips the events so
    far; ``delay`` is the pause after each frame, in seconds.
    """

    def __init__(
        self,
        run: SandboxRun,
        encoder: Encoder,
        *,
        late: bool = False,
        delay: float = 0.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._run = run
        self._encoder = encoder
        self._late = late
        self._delay = delay
        self._headers = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            "x-accel-buffering": "no",
            **(headers or {}),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        injector = injector_of(scope)
        injector.stream(self._run, self._encoder.encode)
        with self._run.attach_client(lambda: injector.keep):
            await run_until_gone(receive, lambda: self._send(send))

    async def _send(self, send: Send) -> None:
        start: Message = {
            "type": "http.response.start",
            "status": 200,
            "headers": [(k.encode(), v.encode("latin-1")) for k, v in self._headers.items()],
        }
        await send(start)

        async def write(*frames: bytes) -> None:
            if body := b"".join(frames):
                await send({"type": "http.response.body", "body": body, "more_body": True})

        run, encoder = self._run, self._encoder
        opening = encoder.frames(encoder.opening())
        if self._late:
            # The encoder needs the earlier events for its state; they are not sent.
            for event in run.log.since(0):
                encoder.encode(event)
        else:
            await write(*opening)
        reader = run.log.reader(late=self._late)
        try:
            while (batch := await reader.next(timeout=_KEEP_ALIVE_AFTER)) is not None:
                frames = [frame for event in batch for frame in encoder.encode(event)]
                if not self._delay:
                    await write(*(frames if batch else [encoder.keep_alive]))
                for frame in frames if self._delay else ():
                    await write(frame)
                    await asyncio.sleep(self._delay)
                if run.waits and reader.is_up_to_date:
                    break
        finally:
            reader.close()
        if run.waits:
            await write(*encoder.frames(encoder.pause()))
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

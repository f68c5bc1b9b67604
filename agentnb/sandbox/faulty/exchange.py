"""One request and its answer, with what a script has in store for them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from starlette.requests import ClientDisconnect
from starlette.types import Message, Scope, Send

from agentnb.event.types import RunFailed
from agentnb.sandbox.faulty.events import Shaper, frames_of, is_comment
from agentnb.sandbox.faulty.plan import Book, Faults, Plan
from agentnb.sandbox.faulty.script import (
    ByteOrEvent,
    Compress,
    Drip,
    Drop,
    Duplicate,
    End,
    Fail,
    Fault,
    Kind,
    Live,
    Malformed,
    Record,
    Reorder,
    Script,
    SlowHead,
    Stall,
    Status,
    Type,
    parse,
)
from agentnb.sandbox.faulty.wire import Wire

if TYPE_CHECKING:
    from agentnb.sandbox.state import RunRecord

__all__ = ["HEADER", "Exchange", "Refused", "exchange_of"]

HEADER: Final = "x-sandbox-fault"

# How long a run goes on whose stream a fault has broken, so that it can be taken up, in seconds.
_GRACE: Final = 30.0
# What a body that is cut short promises beyond what comes.
_BEYOND: Final = 1000
# The same where it is not known how many bytes the events will be.
_LONG: Final = 2**40
_BODY: Final = (ByteOrEvent, Compress, Duplicate, Fail, Malformed, Reorder)
_ZLIB: Final = {"gzip": 31, "deflate": 15}


class Refused(Exception):
    """A fault that is an error answer."""

    def __init__(self, status: int, retry_after: str | None) -> None:
        super().__init__(f"The sandbox was set to answer {status}.")
        self.status = status
        self.retry_after = retry_after


class Exchange:
    """Carries out a script on one connection: `begin` before anything is done, then `send`.

    ``book`` and ``faults`` are the sandbox's.
    """

    def __init__(self, scope: Scope, send: Send, *, faults: Faults, book: Book) -> None:
        self._wire = cast("Wire", scope["state"]["wire"])
        self._header = next(
            (v.decode("latin-1") for k, v in scope["headers"] if k == HEADER.encode()), None
        )
        self._forward = send
        self._settings = faults
        self._book = book
        self._plan: Plan | None = None
        self._key = ""
        self._faults: list[Fault] = []
        self._broke = False
        self._over = False
        self._is_stream = False
        self._sent = 0
        self._points: list[ByteOrEvent] = []
        self._failure: Fail | None = None
        self._shaper = Shaper(())
        self._compressor: Any = None
        self._run: RunRecord | None = None
        self._encode: Callable[[RunFailed], Sequence[bytes]] | None = None

    # --- before the answer ---

    async def begin(
        self, kind: Kind, *, script: str | None, run: RunRecord | None, key: str
    ) -> None:
        """Choose what happens to this connection; what refuses it happens now.

        ``script`` is what the request's body says; a header wins over it, and both over the
        sandbox's own.  A run has the script that it began with, or that a later request brings.
        ``key`` is the same for the same request made again.

        Raises:
            ScriptError: what the request brings is no script.
            Refused: the answer is to be an error.
        """
        text = self._header if self._header is not None else script
        given = None if text is None else parse(text)
        if run is not None:
            run.plan = self._plan = self._of(run, given)
        elif (chosen := given or self._settings.script) is not None:
            self._plan, self._key = self._book.plan(key, chosen), key
        if self._plan is None:
            return
        self._faults = self._plan.next(kind)
        for fault in self._faults:
            match fault:
                case Status():
                    raise Refused(fault.code, fault.retry_after)
                case Drop() if fault.refuses:
                    await self._drop(fault)
                    raise ClientDisconnect
                case _:
                    pass

    def _of(self, run: RunRecord, given: Script | None) -> Plan | None:
        if given is not None:
            had = run.plan
            return had if had is not None and had.script.text == given.text else Plan(given)
        if run.plan is None and self._settings.script is not None:
            return Plan(self._settings.script)
        return run.plan

    def carry(self, run: RunRecord) -> None:
        """Assign the plan to the run that the request started."""
        run.plan = self._plan
        self._book.forget(self._key)

    def stream(
        self, run: RunRecord, encode: Callable[[RunFailed], Sequence[bytes]] | None = None
    ) -> None:
        """Set the run that the response streams, and the encoder of its failure."""
        self._run = run
        self._encode = encode

    @property
    def is_live(self) -> bool:
        """Whether a stream that is joined shall leave out what came before."""
        return any(isinstance(fault, Live) for fault in self._faults)

    @property
    def is_record(self) -> bool:
        """Whether what is joined shall tell what happened, and not what was said."""
        return any(isinstance(fault, Record) for fault in self._faults)

    @property
    def keep(self) -> float:
        """How many seconds the run shall go on when this client has gone."""
        return max(self._settings.keep, _GRACE if self._broke else 0.0)

    # --- the answer ---

    async def send(self, message: Message) -> None:
        """Send a message of the answer, or what the script makes of it."""
        if self._over:
            return
        if not self._faults:
            await self._forward(message)
        elif message["type"] == "http.response.start":
            await self._start(message)
        else:
            await self._body(message.get("body", b""), more=message.get("more_body", False))

    async def _start(self, message: Message) -> None:
        headers = {k.lower(): v for k, v in message["headers"]}
        kind = headers.get(b"content-type", b"")
        self._is_stream = kind.startswith(b"text/event-stream")
        self._shaper = Shaper(self._faults)
        slow: float | None = None
        for fault in self._faults:
            if isinstance(fault, _BODY):
                # The body will not have the length that was meant.
                headers.pop(b"content-length", None)
        for fault in self._faults:
            match fault:
                case Type():
                    headers[b"content-type"] = fault.type.encode()
                    self._broke = True
                case Compress():
                    headers[b"content-encoding"] = fault.coding.encode()
                    self._compressor = zlib.compressobj(wbits=_ZLIB[fault.coding])
                case SlowHead():
                    slow = fault.seconds
                case Stall() if fault.is_before_head:
                    await self._wait(fault.seconds)
                case Fail():
                    self._failure = fault
                case Drip() if fault.is_before_head:
                    self._points.append(fault.model_copy(update={"after": 0}))
                case ByteOrEvent():
                    if isinstance(fault, Drop) and fault.how == "short":
                        promised = _LONG if fault.after is None else fault.after + _BEYOND
                        headers[b"content-length"] = str(promised).encode()
                    self._points.append(fault)
                case _:
                    pass
        await self._head({**message, "headers": list(headers.items())}, slow)
        await self._write(b"")
        await self._reached()

    async def _head(self, message: Message, slow: float | None) -> None:
        if slow is None:
            await self._forward(message)
            return
        with self._wire.held() as pieces:
            await self._forward(message)
        head = b"".join(pieces)
        for at in range(len(head)):
            if self._wire.is_ending:
                return
            self._wire.write(head[at : at + 1])
            await self._wait(slow / len(head))

    async def _body(self, body: bytes, *, more: bool) -> None:
        if self._is_stream:
            for frame in frames_of(body):
                if is_comment(frame):
                    await self._write(frame)
                    continue
                for shaped in self._shaper.take(frame):
                    await self._write(shaped)
                await self._reached()
        else:
            await self._write(body)
        if not more:
            await self._finish()

    async def _finish(self) -> None:
        for frame in self._shaper.rest():
            await self._write(frame)
        if self._compressor is not None and not self._over:
            await self._send(self._compressor.flush())
        if self._over:
            return
        self._over = True
        short = next((p for p in self._points if isinstance(p, Drop) and p.how == "short"), None)
        if short is not None:
            # The whole body is less than was to come, and less than was promised, too.
            await self._drop(short)
        elif self._wire.is_ending:
            await self._wire.lost.wait()
        else:
            await self._forward({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, data: bytes) -> None:
        if self._over:
            return
        if self._compressor is not None and data:
            data = self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        await self._send(data)

    async def _send(self, data: bytes) -> None:
        """Send bytes as they are, with what happens between them."""
        while not self._over:
            reach = self._sent + len(data)
            point = min(
                (p for p in self._points if p.after is not None and p.after <= reach),
                key=lambda p: p.after or 0,
                default=None,
            )
            if point is None or point.after is None:
                await self._piece(data)
                return
            cut = point.after - self._sent
            await self._piece(data[:cut])
            data = data[cut:]
            self._points.remove(point)
            await self._happen(point)

    async def _piece(self, data: bytes) -> None:
        if data and not self._wire.is_ending:
            self._sent += len(data)
            await self._forward({"type": "http.response.body", "body": data, "more_body": True})

    async def _reached(self) -> None:
        """Let happen what waits for as many events as were taken."""
        if not self._is_stream:
            return
        count = self._shaper.count
        for point in [p for p in self._points if p.events is not None and p.events <= count]:
            self._points.remove(point)
            if not self._over:
                await self._happen(point)
        if self._failure is not None and self._failure.events <= count and not self._over:
            await self._fail(self._failure)

    async def _happen(self, fault: ByteOrEvent) -> None:
        match fault:
            case Drop():
                await self._drop(fault)
            case Stall():
                await self._wait(fault.seconds)
            case End():
                self._broke = True
                self._points.clear()
                self._shaper = Shaper(())
                await self._finish()
            case Drip():
                self._points.clear()
                while not self._wire.lost.is_set():
                    await self._write(b": nothing new\n\n")
                    await self._wait(fault.seconds)
            case _:
                pass

    async def _drop(self, fault: Drop) -> None:
        self._broke = self._over = True
        with self._settings.holding(self._wire):
            await (self._wire.reset() if fault.how == "reset" else self._wire.hang_up())

    async def _fail(self, fault: Fail) -> None:
        self._failure = None
        if self._run is None or self._encode is None:
            return
        event = RunFailed(message=fault.message, code=fault.code, retry_after=fault.retry_after)
        for frame in self._encode(event):
            await self._write(frame)
        self._run.fail(event)
        self._points.clear()
        await self._finish()

    async def _wait(self, seconds: float | None) -> None:
        # Who leaves during it may come back; then this may be cancelled before it knows.
        before, self._broke = self._broke, True
        with self._settings.holding(self._wire):
            await self._wire.pause(seconds)
        self._broke = before or self._wire.lost.is_set()


def exchange_of(scope: Scope) -> Exchange:
    """Return the exchange that a request is part of."""
    return cast("Exchange", scope["agentnb.exchange"])

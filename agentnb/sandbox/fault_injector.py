"""Execution of a fault script on one request and its response."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from starlette.requests import ClientDisconnect
from starlette.types import Message, Scope, Send

from agentnb.event.types import RunFailed
from agentnb.sandbox.fault_connection import Connection
from agentnb.sandbox.fault_plan import FaultPlan, FaultSettings, PendingPlans
from agentnb.sandbox.fault_script import (
    CompressFault,
    ContentTypeFault,
    DripFault,
    DropFault,
    DuplicateFault,
    EndFault,
    ErrorFault,
    Fault,
    FaultScript,
    FrameFault,
    Kind,
    LiveFault,
    MalformedFault,
    PositionedFault,
    RecordFault,
    SlowHeadFault,
    StallFault,
    StatusFault,
    parse,
)

if TYPE_CHECKING:
    from agentnb.sandbox.state import SandboxRun

HEADER: Final = "x-sandbox-fault"

# Seconds for which a run continues after a fault broke its stream, so that it can be joined.
_GRACE: Final = 30.0
# Bytes that a short body promises beyond its length.
_EXCESS: Final = 1000
# Content-Length of a short body whose length is not known.
_UNREACHED: Final = 2**40
_BODY: Final = (PositionedFault, CompressFault, ErrorFault, FrameFault)
_ZLIB: Final = {"gzip": 31, "deflate": 15}


class InjectedError(Exception):
    """A fault that replaces the response by an error."""

    def __init__(self, status: int, retry_after: str | None) -> None:
        super().__init__(f"The sandbox was set to answer {status}.")
        self.status = status
        self.retry_after = retry_after


class FaultInjector:
    """Applies a plan to one request: `begin` before anything is done, then `send`."""

    def __init__(
        self, scope: Scope, send: Send, *, faults: FaultSettings, pending: PendingPlans
    ) -> None:
        self._connection = cast("Connection", scope["state"]["connection"])
        self._header = next(
            (v.decode("latin-1") for k, v in scope["headers"] if k == HEADER.encode()), None
        )
        self._forward = send
        self._settings = faults
        self._pending = pending
        self._plan: FaultPlan | None = None
        self._key = ""
        self._faults: list[Fault] = []
        self._has_broken = False
        self._ended = False
        self._is_stream = False
        self._sent = 0
        self._positions: list[PositionedFault] = []
        self._failure: ErrorFault | None = None
        self._shaper = _FrameShaper(())
        self._compressor: Any = None
        self._run: SandboxRun | None = None
        self._encode: Callable[[RunFailed], Sequence[bytes]] | None = None

    # --- before the response ---

    async def begin(
        self, kind: Kind, *, script: str | None, run: SandboxRun | None, key: str
    ) -> None:
        """Choose the faults of this connection; a refusal happens now.

        ``script`` is from the request's body; a header overrides it, and both override the
        sandbox's own.  A run keeps the script that it began with, unless a later request brings
        another.  ``key`` identifies a retried request.

        Raises:
            FaultScriptError: the request's script cannot be parsed.
            InjectedError: the response is to be an error.
        """
        text = self._header if self._header is not None else script
        given = None if text is None else parse(text)
        if run is not None:
            run.plan = self._plan = self._plan_of(run, given)
        elif (chosen := given or self._settings.script) is not None:
            self._plan, self._key = self._pending.plan(key, chosen), key
        if self._plan is None:
            return
        self._faults = self._plan.next(kind)
        for fault in self._faults:
            if isinstance(fault, StatusFault):
                raise InjectedError(fault.code, fault.retry_after)
            if isinstance(fault, DropFault) and fault.is_before_head:
                await self._drop(fault)
                raise ClientDisconnect

    def _plan_of(self, run: SandboxRun, given: FaultScript | None) -> FaultPlan | None:
        if given is not None:
            is_same = run.plan is not None and run.plan.script.text == given.text
            return run.plan if is_same else FaultPlan(given)
        if run.plan is None and self._settings.script is not None:
            return FaultPlan(self._settings.script)
        return run.plan

    def carry(self, run: SandboxRun) -> None:
        """Assign the plan to the run that the request started."""
        run.plan = self._plan
        self._pending.forget(self._key)

    def stream(
        self, run: SandboxRun, encode: Callable[[RunFailed], Sequence[bytes]] | None = None
    ) -> None:
        """Set the run that the response streams, and the encoder of its failure."""
        self._run = run
        self._encode = encode

    @property
    def is_live(self) -> bool:
        """Whether a joined stream skips the earlier events."""
        return any(isinstance(fault, LiveFault) for fault in self._faults)

    @property
    def is_record(self) -> bool:
        """Whether a joined stream carries the record of the run without its text."""
        return any(isinstance(fault, RecordFault) for fault in self._faults)

    @property
    def keep(self) -> float:
        """For how many seconds the run continues after this client disconnects."""
        return max(self._settings.keep, _GRACE if self._has_broken else 0.0)

    # --- the response ---

    async def send(self, message: Message) -> None:
        """Send an ASGI message of the response, changed as the faults say."""
        if self._ended:
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
        self._shaper = _FrameShaper(self._faults)
        slow: float | None = None
        if any(isinstance(fault, _BODY) for fault in self._faults):
            # The body will not have its original length.
            headers.pop(b"content-length", None)
        for fault in self._faults:
            match fault:
                case ContentTypeFault():
                    headers[b"content-type"] = fault.type.encode()
                    self._has_broken = True
                case CompressFault():
                    headers[b"content-encoding"] = fault.coding.encode()
                    self._compressor = zlib.compressobj(wbits=_ZLIB[fault.coding])
                case SlowHeadFault():
                    slow = fault.seconds
                case StallFault() if fault.is_before_head:
                    await self._wait(fault.seconds)
                case ErrorFault():
                    self._failure = fault
                case DripFault() if fault.is_before_head:
                    self._positions.append(fault.model_copy(update={"after": 0}))
                case PositionedFault():
                    if isinstance(fault, DropFault) and fault.how == "short":
                        promised = _UNREACHED if fault.after is None else fault.after + _EXCESS
                        headers[b"content-length"] = str(promised).encode()
                    self._positions.append(fault)
                case _:
                    pass
        await self._head({**message, "headers": list(headers.items())}, slow)
        await self._write(b"")
        await self._apply_events()

    async def _head(self, message: Message, slow: float | None) -> None:
        if slow is None:
            await self._forward(message)
            return
        with self._connection.held() as pieces:
            await self._forward(message)
        head = b"".join(pieces)
        for at in range(len(head)):
            if self._connection.is_ending:
                return
            self._connection.write(head[at : at + 1])
            await self._wait(slow / len(head))

    async def _body(self, body: bytes, *, more: bool) -> None:
        if self._is_stream:
            # The dialects send whole frames, and none contains a blank line.
            for frame in filter(None, body.split(b"\n\n")):
                if frame.startswith(b":"):
                    await self._write(frame + b"\n\n")
                    continue
                for shaped in self._shaper.take(frame + b"\n\n"):
                    await self._write(shaped)
                await self._apply_events()
        else:
            await self._write(body)
        if not more:
            await self._finish()

    async def _finish(self) -> None:
        for frame in self._shaper.rest():
            await self._write(frame)
        if self._compressor is not None and not self._ended:
            await self._send(self._compressor.flush())
        if self._ended:
            return
        self._ended = True
        short = next(
            (p for p in self._positions if isinstance(p, DropFault) and p.how == "short"), None
        )
        if short is not None:
            # The body ended before the position of the fault.
            await self._drop(short)
        elif self._connection.is_ending:
            await self._connection.lost.wait()
        else:
            await self._forward({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, data: bytes) -> None:
        if self._ended:
            return
        if self._compressor is not None and data:
            data = self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        await self._send(data)

    async def _send(self, data: bytes) -> None:
        """Send bytes, with the faults at positions between them."""
        while not self._ended:
            end = self._sent + len(data)
            fault = min(
                (p for p in self._positions if p.after is not None and p.after <= end),
                key=lambda p: p.after or 0,
                default=None,
            )
            if fault is None or fault.after is None:
                await self._forward_body(data)
                return
            cut = fault.after - self._sent
            await self._forward_body(data[:cut])
            data = data[cut:]
            self._positions.remove(fault)
            await self._apply(fault)

    async def _forward_body(self, data: bytes) -> None:
        if data and not self._connection.is_ending:
            self._sent += len(data)
            await self._forward({"type": "http.response.body", "body": data, "more_body": True})

    async def _apply_events(self) -> None:
        """Apply the faults whose number of events has been sent."""
        if not self._is_stream:
            return
        count = self._shaper.count
        for fault in [p for p in self._positions if p.events is not None and p.events <= count]:
            self._positions.remove(fault)
            if not self._ended:
                await self._apply(fault)
        if self._failure is not None and self._failure.events <= count and not self._ended:
            await self._fail(self._failure)

    async def _apply(self, fault: PositionedFault) -> None:
        match fault:
            case DropFault():
                await self._drop(fault)
            case StallFault():
                await self._wait(fault.seconds)
            case EndFault():
                self._has_broken = True
                self._positions.clear()
                self._shaper = _FrameShaper(())
                await self._finish()
            case DripFault():
                self._positions.clear()
                while not self._connection.lost.is_set():
                    await self._write(b": nothing new\n\n")
                    await self._wait(fault.seconds)
            case _:
                pass

    async def _drop(self, fault: DropFault) -> None:
        self._has_broken = self._ended = True
        with self._settings.holding(self._connection):
            await (self._connection.reset() if fault.how == "reset" else self._connection.hang_up())

    async def _fail(self, fault: ErrorFault) -> None:
        self._failure = None
        if self._run is None or self._encode is None:
            return
        event = RunFailed(message=fault.message, code=fault.code, retry_after=fault.retry_after)
        for frame in self._encode(event):
            await self._write(frame)
        self._run.fail(event)
        self._positions.clear()
        await self._finish()

    async def _wait(self, seconds: float | None) -> None:
        # A client that disconnects meanwhile may reconnect, and this may be cancelled before it
        # notices.
        before, self._has_broken = self._has_broken, True
        with self._settings.holding(self._connection):
            await self._connection.pause(seconds)
        self._has_broken = before or self._connection.lost.is_set()


def injector_of(scope: Scope) -> FaultInjector:
    """Return the fault injector of a request."""
    return cast("FaultInjector", scope["agentnb.faults"])


class _FrameShaper:
    """Applies the faults of single events to one stream, and counts its events."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.count = 0
        self._faults = [f for f in faults if isinstance(f, FrameFault)]
        self._late: bytes | None = None

    def take(self, frame: bytes) -> list[bytes]:
        """Return the frames to send for the next event."""
        number, self.count = self.count, self.count + 1
        copies = 1
        is_late = False
        for fault in self._faults:
            if fault.events not in (None, number):
                continue
            match fault:
                case MalformedFault():
                    frame = _damaged(frame)
                case DuplicateFault():
                    copies += 1
                case _:
                    is_late = self._late is None
        if is_late:
            self._late = frame * copies
            return []
        return [*[frame] * copies, *self.rest()]

    def rest(self) -> list[bytes]:
        """Return the delayed frame that has no successor."""
        rest, self._late = self._late, None
        return [] if rest is None else [rest]


def _damaged(frame: bytes) -> bytes:
    """Return the frame with half of its data, which may cut a character in half."""
    *head, line = frame.removesuffix(b"\n\n").split(b"\n")
    data = line.removeprefix(b"data:").removeprefix(b" ")
    start = len(line) - len(data)
    return b"\n".join([*head, line[: start + len(data) // 2]]) + b"\n\n"

"""A careless server: it repeats the key that it was sent wherever an answer has room for it."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from tests.faults.rawserver import Connection

CANARY: Final = "canary-9d41f7-of-the-server"
KINDS: Final = (
    *("said", "letters", "passages", "call", "unknown", "malformed", "failed", "paused", "named"),
    *("400", "401", "404", "422", "429", "500", "text", "html", "json", "redirect", "header"),
    *("cut", "not-http", "status"),
)

_SSE: Final = "Content-Type: text/event-stream"
_JSON: Final = "Content-Type: application/json"


def frame(name: str, data: Any) -> bytes:
    """An event as Operativus sends it."""
    text = data if isinstance(data, str) else json.dumps(data)
    return f"data: {json.dumps({'event': name, 'data': text})}\n\n".encode()


def frames(kind: str) -> list[bytes]:
    """What a stream of that kind holds."""
    half = len(CANARY) // 2
    start = frame("START", {"runId": "r1", "sessionId": "s1"})
    said = [frame("CONTENT_DELTA", "Hello. ")]
    match kind:
        case "said":
            middle = [
                *(frame("CONTENT_DELTA", part) for part in (f"Bearer {CANARY}", CANARY[:half])),
                frame("CONTENT_DELTA", f"{CANARY[half:]}, or "),
                frame("REASONING_DELTA", f"They sent {CANARY}"),
            ]
        case "letters":
            middle = [frame("CONTENT_DELTA", letter) for letter in f"It is {CANARY} "]
        case "passages":
            middle = [
                each
                for letter in CANARY
                for each in (frame("CONTENT_DELTA", letter), frame("REASONING_DELTA", letter))
            ]
        case "call":
            call = {"name": "look", "toolCallId": "c", "arguments": {"key": CANARY, CANARY: 1}}
            result = {"toolCallId": "c", "result": {"sent": [f"Bearer {CANARY}"]}}
            error = {"toolCallId": "d", "error": f"no {CANARY}"}
            middle = [
                *(frame("TOOL_START", call), frame("TOOL_END", result)),
                *(frame("TOOL_START", {**call, "toolCallId": "d"}), frame("TOOL_ERROR", error)),
            ]
        case "unknown":
            middle = [frame(f"NEW_{CANARY}", CANARY), b"data: " + CANARY.encode() + b"\n\n"]
        case "malformed":
            middle = [b'data: {"event": "START", "data": {"x": "' + CANARY.encode() + b"\n\n"]
            middle += [frame("METRICS", [CANARY])]
        case "failed":
            return [start, *said, frame("ERROR", {"message": CANARY, "code": CANARY, "x": CANARY})]
        case "paused":
            asked = {"approvalId": "a1", "message": CANARY, "tool": CANARY, "arguments": CANARY}
            return [start, *said, frame("PAUSED", asked)]
        case "named":
            start = frame("START", {"runId": f"r-{CANARY}", "sessionId": f"s-{CANARY}"})
            middle = []
        case _:
            middle = []
    stop = {"content": "", "followups": [CANARY], "metadata": {"deep": [{"key": CANARY}]}}
    return [start, *said, *middle, frame("STOP", stop)]


async def echo(c: Connection) -> None:
    """Answer as the agent's name says; on one connection as often as it is asked."""
    while True:
        steps = (asked := await c.request()).target.partition("?")[0].split("/")
        kind = steps[3] if len(steps) > 3 else "listed"
        # Who only looks whether the server is there sends no key.
        assert asked.headers.get("authorization", f"Bearer {CANARY}") == f"Bearer {CANARY}"
        told = json.dumps({"error": CANARY, "message": f"No such key: {CANARY}", "code": CANARY})
        tell = told.encode()
        if kind.isdigit():
            headers = f"{_JSON}\nX-Request-Id: {CANARY}\nRetry-After: 0"
            await c.answer(tell, status=f"{kind} {CANARY}", headers=headers)
        elif kind == "text":
            await c.answer(
                f"No: {CANARY}".encode(), status="400 X", headers="Content-Type: text/plain"
            )
        elif kind == "html":
            headers = f"Content-Type: text/html; x={CANARY}"
            await c.answer(f"<p>{CANARY}".encode(), headers=headers)
        elif kind == "listed":
            names = {"id": "r1", "runId": "r1", "agentId": "a", "name": CANARY, "status": "FAILED"}
            listed = [
                {**names, "description": f"It has {CANARY}.", "error": CANARY, CANARY: [CANARY]}
            ]
            await c.answer(json.dumps(listed).encode(), headers=_JSON)
        elif kind == "json":
            await c.answer(tell, headers=_JSON)
        elif kind == "redirect":
            headers = f"Location: https://{CANARY}.example/{CANARY}?key={CANARY}"
            await c.answer(b"", status="307 X", headers=headers)
        elif kind == "not-http":
            await c.send(f"{CANARY} is not HTTP\r\n\r\n".encode())
            return
        elif kind == "status":
            # The stream says nothing of an end, and the platform's record of the run has the key.
            if asked.method == "GET":
                run = {"id": "r1", "runId": "r1", "status": "FAILED", "error": CANARY}
                run |= {"response": CANARY, "agentId": CANARY}
                await c.answer(json.dumps([run]).encode(), headers=_JSON)
            else:
                await c.answer(frames("quiet")[0], headers=_SSE)
        else:
            headers = f"X-Echo: {CANARY}\r\nSet-Cookie: key={CANARY}\r\n"
            await c.stream_head(extra=headers)
            whole = b": " + CANARY.encode() + b"\n\n" + b"".join(frames(kind))
            if kind == "cut":
                whole = whole[: whole.index(b"Hello")]
            for start in range(0, len(whole), 13):
                await c.chunk(whole[start : start + 13])
            if kind == "cut":
                # By then the client has read it; what it has not read, it would not get any more.
                await asyncio.sleep(0.1)
                c.reset()
                return
            await c.chunk(b"")

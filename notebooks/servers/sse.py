"""An endpoint with a format of its own, as many in-house services have one."""

import asyncio
import json
from uuid import uuid4

from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

PRICES = {"green tea": 4.20, "black tea": 3.60}
TURNS = {}


async def events(body):
    """Yield the events of one answer."""
    thread = body.get("thread") or str(uuid4())
    TURNS[thread] = TURNS.get(thread, 0) + 1
    yield {"type": "start", "session_id": thread}
    tea = next((tea for tea in PRICES if tea in body["question"].lower()), "oolong")
    yield {"type": "tool_call", "id": "call-1", "name": "price_of", "arguments": {"tea": tea}}
    await asyncio.sleep(0.1)
    if tea not in PRICES:
        yield {"type": "error", "message": f"no price of {tea}"}
        return
    yield {"type": "tool_result", "id": "call-1", "result": PRICES[tea]}
    answer = f"A packet costs **{PRICES[tea]:.2f} €**. (Question {TURNS[thread]} of this thread.)"
    for word in answer[: body["max_length"]].split(" "):
        yield {"type": "text", "text": f"{word} "}
        await asyncio.sleep(0.05)
    yield {"type": "usage", "input_tokens": 8, "output_tokens": len(answer.split())}
    yield {"type": "end"}


async def support(request):
    """Stream the answer to one request."""
    body = await request.json()
    if not body["question"].strip():
        return JSONResponse({"error": "the question is empty"}, status_code=400)
    frames = (f"data: {json.dumps(event)}\n\n" async for event in events(body))
    return StreamingResponse(frames, media_type="text/event-stream")


app = Starlette(routes=[Route("/support", support, methods=["POST"])])

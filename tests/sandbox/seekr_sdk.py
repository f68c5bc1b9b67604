"""Asks a sandbox by the vendor's published client; run by an interpreter that has it.

``seekr_sdk.py BASE_URL CALLS`` reads the key from the environment, makes the calls of that name,
and prints what they brought as one line of JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import io
import json
import sys
import time
from collections.abc import Callable
from typing import Any

seekrai: Any = importlib.import_module("seekrai")

SLOW = '{"deltas": 100000, "delay_ms": 5}'


def agents(client: Any) -> Any:
    listed = client.agents.list_agents()
    found = client.agents.retrieve("echo")
    return {
        "listed": [agent.id for agent in listed],
        "found": json.loads(found.model_dump_json()),
        "same": found in listed,
    }


def threads(client: Any) -> Any:
    calls = client.agents.threads
    made = calls.create(topic="shares")
    message = calls.create_message(made.id, "user", "one", kind="question")
    parts = [{"type": "input_text", "text": "two"}]
    calls.create_message(made.id, "user", parts)
    again = calls.retrieve_message(made.id, message.id)
    changed = calls.update_message(made.id, message.id, content="three", more="yes")
    listed = calls.list_messages(made.id, limit=10, order="asc")
    deleted = calls.delete_message(made.id, message.id)
    return {
        "made": json.loads(made.model_dump_json()),
        "found": calls.retrieve(made.id) == made,
        "listed": made.id in [thread.id for thread in calls.list(limit=100)],
        "message": [message.content, message.meta_data, again == message],
        "changed": [changed.content, changed.meta_data],
        "messages": [text_of(each.content) for each in listed],
        "deleted": [deleted, calls.delete(made.id)],
        "left": made.id in [thread.id for thread in calls.list(limit=100)],
    }


def runs(client: Any) -> Any:
    thread = asked(client, '{"text": "done", "tools": 1, "reasoning": "hm", "usage": true}')
    started = client.agents.runs.run("echo", thread, metadata={"team": "blue"})
    run = ended(client, started.run_id, thread)
    answer = client.agents.threads.list_messages(thread)[0]
    return {
        "started": [started.thread_id == thread, started.group],
        "run": json.loads(run.model_dump_json()),
        "listed": [each.id for each in client.agents.runs.list(thread)] == [run.id],
        "answer": [answer.role, answer.run_id == run.id, [p.text for p in answer.content]],
        "attached": [chunk["type"] for chunk in client.agents.runs.attach(run.id, thread)],
    }


def streamed(client: Any) -> Any:
    thread = asked(client, '{"text": "It is done.", "tools": 1, "reasoning": "hm"}')
    raw = list(client.agents.runs.run("echo", thread, stream=True).raw_events())
    printed = io.StringIO()
    asked(client, "Say it again.", thread)
    with contextlib.redirect_stdout(printed):
        client.agents.runs.run("echo", thread, stream=True).pretty_print()
    run = client.agents.runs.list(thread)[-1]
    attached = [chunk["type"] for chunk in client.agents.runs.attach(run.id, thread)]
    return {"raw": raw, "printed": printed.getvalue(), "attached": attached}


def cancelled(client: Any) -> Any:
    thread = asked(client, SLOW)
    started = client.agents.runs.run("echo", thread)
    locked = client.agents.threads.retrieve(thread)
    answer = client.agents.runs.cancel("echo", started.run_id, thread)
    run = ended(client, started.run_id, thread)
    return {
        "locked": [locked.status, locked.active_run_id == started.run_id],
        "answer": [answer["status"], answer["run_id"] == started.run_id],
        "status": run.status,
        "at": run.cancelled_at is not None,
    }


def failed(client: Any) -> Any:
    thread = asked(client, '{"deltas": 9, "error_after": 2, "error": "It broke."}')
    raw = list(client.agents.runs.run("echo", thread, stream=True).raw_events())
    missing: list[str] = []
    calls: list[Callable[[], Any]] = [
        lambda: client.agents.retrieve("nobody"),
        lambda: client.agents.threads.retrieve("nothing"),
        lambda: client.agents.runs.retrieve("nothing", thread),
    ]
    for call in calls:
        try:
            call()
        except Exception as error:
            missing.append(type(error).__name__)
    [run] = client.agents.runs.list(thread)
    return {"raw": raw[-1], "status": run.status, "missing": missing}


def in_async(_client: Any) -> Any:
    async def work() -> Any:
        client = seekrai.AsyncSeekrFlow(base_url=sys.argv[1])
        thread = await client.agents.threads.create()
        await client.agents.threads.create_message(thread.id, "user", "Hello.")
        stream = await client.agents.runs.run("echo", thread.id, stream=True)
        raw = [event["type"] async for event in stream.raw_events()]
        found = await client.agents.runs.list(thread.id)
        listed = await client.agents.threads.list()
        return {
            "last": raw[-1],
            "status": found[0].status,
            "agents": len(await client.agents.list_agents()) > 1,
            "listed": thread.id in [each.id for each in listed],
        }

    return asyncio.run(work())


def asked(client: Any, prompt: str, thread: str | None = None) -> str:
    """Return the thread in which the question stands."""
    thread = thread or client.agents.threads.create().id
    client.agents.threads.create_message(thread, "user", prompt)
    assert thread is not None
    return thread


def ended(client: Any, run_id: str, thread: str) -> Any:
    for _ in range(500):
        run = client.agents.runs.retrieve(run_id, thread)
        if run.status not in ("queued", "running"):
            return run
        time.sleep(0.02)
    raise TimeoutError(run_id)


def text_of(content: Any) -> str:
    return content if isinstance(content, str) else content[0].text


CALLS = {
    call.__name__: call for call in (agents, threads, runs, streamed, cancelled, failed, in_async)
}

if __name__ == "__main__":
    found = CALLS[sys.argv[2]](seekrai.SeekrFlow(base_url=sys.argv[1]))
    sys.stdout.write(json.dumps(found, default=str))

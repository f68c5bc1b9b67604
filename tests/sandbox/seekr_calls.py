"""Calls of SeekrFlow's API that several tests begin with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

Frames = Callable[[str], list[Any]]


def new_thread(client: httpx.Client, *prompts: str) -> str:
    thread = client.post("/v1/threads", json={"meta_data": {}}).json()["id"]
    for prompt in prompts:
        body = {"role": "user", "content": prompt}
        assert client.post(f"/v1/threads/{thread}/messages", json=body).status_code == 200
    return thread


def stream(client: httpx.Client, thread: str, agent: str = "echo", **fields: object) -> str:
    answer = client.post(f"/v1/threads/{thread}/runs/stream", json={"agent_id": agent, **fields})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return answer.text

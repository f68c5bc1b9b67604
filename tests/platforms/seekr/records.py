"""Records as the API pages show them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

RUN: dict[str, Any] = {
    "id": "run_1",
    "created_at": "2023-11-07T05:31:56Z",
    "agent_id": "finance_agent",
    "thread_id": "thread_1",
    "status": "completed",
    "model": "seekr-large",
    "temperature": 1.0,
    "top_p": 0.5,
    "parallel_tool_calls": True,
    "object": "thread.run",
    "is_active": False,
    "started_at": "2023-11-07T05:31:57Z",
    "expires_at": "2023-11-07T06:31:56Z",
    "cancelled_at": None,
    "failed_at": None,
    "completed_at": "2023-11-07T05:31:59.500Z",
    "instructions": "Answer briefly.",
    "tools": [{"type": "function", "name": "get_stock_price"}],
    "meta_data": {"team": "research"},
    "usage": {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150},
    "max_completion_tokens": 1000,
    "truncation_strategy": {"type": "auto"},
    "response_format": "auto",
    "tool_choice": "auto",
}

THREAD: dict[str, Any] = {
    "id": "thread_1",
    "object": "thread",
    "created_at": "2023-11-07T05:31:56Z",
    "status": "available",
    "active_run_id": None,
    "meta_data": {},
}

MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "object": "thread.message",
    "thread_id": "thread_1",
    "role": "user",
    "content": "What is the current NVDA stock price?",
    "agent_id": None,
    "run_id": None,
    "meta_data": {},
}


def now(**offset: float) -> str:
    """The time, as a server of this moment writes it."""
    return (datetime.now(UTC) + timedelta(**offset)).isoformat()


def run(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {**RUN, "id": f"run_{number}", **changes}


RUNS = "GET /v1/threads/thread_1/runs"
ONE = f"{RUNS}/run_1"
CANCEL = "POST /v1/threads/thread_1/runs/run_1/cancel"
ATTACH = f"{ONE}/attach"

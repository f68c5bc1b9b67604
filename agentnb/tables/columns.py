"""Columns and dtypes of the tables; they do not depend on the data."""

from __future__ import annotations

from typing import Final

from agentnb.store.record import DURATION, TIMESTAMP, column_info

#: Column -> dtype of fields that only the platform's own entry of a run has.
REMOTE_COLUMNS: Final[dict[str, str]] = {
    "created_at": TIMESTAMP,
    "is_active": "boolean",
    "expires_at": TIMESTAMP,
    "cancelled_at": TIMESTAMP,
    "failed_at": TIMESTAMP,
    "completed_at": TIMESTAMP,
    "temperature": "Float64",
    "top_p": "Float64",
    "max_completion_tokens": "Int64",
    "parallel_tool_calls": "boolean",
    "instructions": "string",
    "tools": "string",
    "tool_choice": "string",
    "response_format": "string",
    "truncation_strategy": "string",
    "metadata": "string",
    "object": "string",
}

#: Column -> dtype of the fields of a `RunRecord`, and of the source of the cost, in order.
RECORD_COLUMNS: Final[dict[str, str]] = {
    column: dtype
    for name, info in column_info().items()
    if info.dtype is not None
    for column, dtype in (
        (info.label or name, info.dtype),
        *((("cost_source", "category"),) if name == "cost_usd" else ()),
    )
}

#: Column -> dtype of `runs`, in order.
RUN_COLUMNS: Final[dict[str, str]] = {**RECORD_COLUMNS, **REMOTE_COLUMNS}

#: Column -> dtype of `events`, in order.
EVENT_COLUMNS: Final[dict[str, str]] = {
    "run_id": "string",
    "position": "Int64",
    "at": DURATION,
    "time": TIMESTAMP,
    "type": "category",
    "text": "string",
    "part_id": "string",
    "call_id": "string",
    "name": "string",
    "data": "string",
    "local_id": "string",
}

#: Column -> dtype of `tool_calls`, in order.
TOOL_CALL_COLUMNS: Final[dict[str, str]] = {
    "run_id": "string",
    "platform": "category",
    "agent": "category",
    "session_id": "string",
    "position": "Int64",
    "call_id": "string",
    "name": "category",
    "status": "category",
    "started_at": TIMESTAMP,
    "duration": DURATION,
    "arguments": "string",
    "result": "string",
    "error": "string",
    "local_id": "string",
}

#: Column -> dtype of `sessions`, in order.
SESSION_COLUMNS: Final[dict[str, str]] = {
    "session_id": "string",
    "platform": "category",
    "agent": "category",
    "runs": "Int64",
    "first_prompt": "string",
    "last_prompt": "string",
    "started_at": TIMESTAMP,
    "last_at": TIMESTAMP,
    "status": "category",
    "total_tokens": "Int64",
    "cost_usd": "Float64",
}

#: Columns of `runs` that `usage` can group by.
USAGE_KEYS: Final[dict[str, str]] = {
    "agent": "category",
    "platform": "category",
    "model": "category",
    "user_name": "category",
    "session_id": "string",
    "status": "category",
    "source": "category",
    "error_class": "category",
    "error_code": "category",
}

#: Names of filters -> columns, for `usage`.
USAGE_ALIASES: Final[dict[str, str]] = {"user": "user_name", "session": "session_id"}

#: Periods of `started_at` that `usage` can group by.
USAGE_PERIODS: Final = ("hour", "day", "week", "month")

#: Column -> dtype of the figures of `usage`, in order; they follow the keys.
USAGE_COLUMNS: Final[dict[str, str]] = {
    "runs": "Int64",
    "completed": "Int64",
    "failed": "Int64",
    "error_rate": "Float64",
    "input_tokens": "Int64",
    "output_tokens": "Int64",
    "total_tokens": "Int64",
    "cached_tokens": "Int64",
    "reasoning_tokens": "Int64",
    "cost_usd": "Float64",
    "duration": DURATION,
    "time_to_first_token": DURATION,
}

#: Figures of `usage` that are sums over a group's runs.
USAGE_SUMS: Final = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost_usd",
)

#: Statuses that `usage` counts as failed.
FAILED_STATUSES: Final = ("failed", "truncated", "interrupted")

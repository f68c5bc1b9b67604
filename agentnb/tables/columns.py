"""What columns the tables of runs have, and of which dtypes: the same whatever is in them."""

from __future__ import annotations

from typing import Final

__all__ = [
    "EVENT_COLUMNS",
    "MOMENT",
    "REMOTE_COLUMNS",
    "RUN_COLUMNS",
    "SESSION_COLUMNS",
    "SPAN",
    "TOOL_CALL_COLUMNS",
    "USAGE_ALIASES",
    "USAGE_COLUMNS",
    "USAGE_NAMES",
    "USAGE_PERIODS",
]

MOMENT: Final = "datetime64[us, UTC]"
SPAN: Final = "timedelta64[us]"

#: Column -> dtype of what only a platform's own entry of a run tells, see `remote`.
REMOTE_COLUMNS: Final[dict[str, str]] = {
    "created_at": MOMENT,
    "is_active": "boolean",
    "expires_at": MOMENT,
    "cancelled_at": MOMENT,
    "failed_at": MOMENT,
    "completed_at": MOMENT,
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

#: Column -> dtype of `runs`, in order.
RUN_COLUMNS: Final[dict[str, str]] = {
    "run_id": "string",
    "session_id": "string",
    "platform": "category",
    "agent": "category",
    "model": "category",
    "user_name": "category",
    "status": "category",
    "prompt": "string",
    "text": "string",
    "started_at": MOMENT,
    "finished_at": MOMENT,
    "duration": SPAN,
    "time_to_first_token": SPAN,
    "input_tokens": "Int64",
    "output_tokens": "Int64",
    "total_tokens": "Int64",
    "cached_tokens": "Int64",
    "reasoning_tokens": "Int64",
    "cost_usd": "Float64",
    "cost_source": "category",
    "tool_calls": "Int64",
    "tool_errors": "Int64",
    "reconnects": "Int64",
    "error": "string",
    "error_code": "category",
    "error_class": "category",
    "source": "category",
    "local_id": "string",
    **REMOTE_COLUMNS,
}

#: Column -> dtype of `events`, in order.
EVENT_COLUMNS: Final[dict[str, str]] = {
    "run_id": "string",
    "position": "Int64",
    "at": SPAN,
    "time": MOMENT,
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
    "started_at": MOMENT,
    "duration": SPAN,
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
    "started_at": MOMENT,
    "last_at": MOMENT,
    "status": "category",
    "total_tokens": "Int64",
    "cost_usd": "Float64",
}

#: What `usage` groups by: columns of `runs`.
USAGE_NAMES: Final[dict[str, str]] = {
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

#: What `usage` groups by, too: names as the filters have them -> columns.
USAGE_ALIASES: Final[dict[str, str]] = {"user": "user_name", "session": "session_id"}

#: What `usage` groups by: the period in which a run began.
USAGE_PERIODS: Final = ("hour", "day", "week", "month")

#: Column -> dtype of the figures of `usage`, in order; they follow what it is grouped by.
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
    "duration": SPAN,
    "time_to_first_token": SPAN,
}

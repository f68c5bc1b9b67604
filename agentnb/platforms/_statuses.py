"""Map the statuses that servers send to agentnb's."""

from __future__ import annotations

from typing import Any, Final

from agentnb.event.transcript import Status

__all__ = ["is_status", "read_status"]

_STATUSES: Final[dict[str, Status]] = {
    "queued": "queued",
    "pending": "queued",
    "created": "queued",
    "submitted": "queued",
    "running": "running",
    "in_progress": "running",
    "processing": "running",
    "working": "running",
    "active": "running",
    "paused": "paused",
    "waiting": "paused",
    "complete": "completed",
    "completed": "completed",
    "done": "completed",
    "ok": "completed",
    "finished": "completed",
    "success": "completed",
    "successful": "completed",
    "succeeded": "completed",
    "error": "failed",
    "errored": "failed",
    "failed": "failed",
    "failure": "failed",
    "incomplete": "failed",
    "expired": "failed",
    "rejected": "failed",
    "timeout": "failed",
    "timed_out": "failed",
    "cancelled": "cancelled",
    "canceled": "cancelled",
    "aborted": "cancelled",
    "stopped": "cancelled",
}


def read_status(value: Any, *, ended: bool = False) -> Status:
    """Return a run's status; an unknown one is ``completed`` if it has ended, else ``running``."""
    return _STATUSES.get(_word(value), "completed" if ended else "running")


def is_status(value: Any) -> bool:
    """Return whether ``value`` is a known status."""
    return _word(value) in _STATUSES


def _word(value: Any) -> str:
    return value.strip().lower().replace("-", "_") if isinstance(value, str) else ""

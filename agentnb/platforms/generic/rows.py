"""Read rows of lists by tables of field names; nothing here raises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, cast

from agentnb.errors import ContentTypeError
from agentnb.event.transcript import FINAL_STATUSES, Status
from agentnb.platforms._bodies import parse_error_body, parse_time
from agentnb.platforms._payloads import as_list, first_value
from agentnb.platforms._wire import as_text, mend, one_line
from agentnb.platforms.base import AgentInfo, RemoteRun

__all__ = ["Names", "read_agent", "read_rows", "read_run", "row_text", "unexpected_response"]

Names = Mapping[str, str]
"""The names on the wire of each field, separated by spaces, in order of preference."""


def row_text(row: Mapping[str, Any], names: str) -> str | None:
    """Return the first of these fields that is non-empty text or a number, as text."""
    for name in names.split():
        value = row.get(name)
        if isinstance(value, str) and value:
            return mend(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return as_text(value) or None
    return None


def read_rows(data: Any, names: str) -> list[dict[str, Any]]:
    """Return the entries of a list, bare or in envelopes of these names."""
    for _ in range(2):
        if isinstance(data, dict):
            outer = cast("dict[str, Any]", data)
            data = next((outer[name] for name in names.split() if name in outer), None)
    return [cast("dict[str, Any]", item) for item in as_list(data) if isinstance(item, dict)]


def read_run(
    row: Mapping[str, Any],
    names: Names,
    *,
    read_status: Callable[..., Status],
    read_time: Callable[[Any], datetime | None] = parse_time,
) -> RemoteRun | None:
    """Return one entry of a list of runs, or one run's state; None if it has no id."""
    run_id = row_text(row, names["id"])
    if run_id is None:
        return None

    def time(field: str) -> datetime | None:
        return read_time(first_value(row, *names[field].split()))

    finished = time("finished_at")
    status = read_status(row.get("status"), ended=finished is not None)
    if finished is None and status in FINAL_STATUSES:
        # A run without an end time was last changed when it finished.
        finished = time("updated_at")
    error = first_value(row, *names["error"].split())
    message = None if isinstance(error, str) else parse_error_body(0, error).message
    output = first_value(row, *names["output"].split())
    return RemoteRun(
        id=run_id,
        status=status,
        agent=row_text(row, names["agent"]),
        session_id=row_text(row, names["session_id"]),
        created_at=time("created_at"),
        started_at=time("started_at"),
        finished_at=finished,
        model=row_text(row, names["model"]),
        output=as_text(output) or None,
        error=message or (as_text(error) or None if error else None),
        raw=row,
    )


def read_agent(row: Mapping[str, Any], names: Names) -> AgentInfo | None:
    """Return one entry of a list of agents; None if it has no id."""
    agent_id = row_text(row, names["id"])
    if agent_id is None:
        return None
    return AgentInfo(
        id=agent_id,
        name=row_text(row, names["name"]),
        description=row_text(row, "description"),
        model=row_text(row, names["model"]),
        raw=row,
    )


def unexpected_response(
    platform: str, data: Any, headers: Mapping[str, str], kind: str = "something that is no run"
) -> ContentTypeError:
    """Return the error of a response that is ``kind``."""
    return ContentTypeError(
        f"{platform} answered {kind}.",
        content_type=headers.get("content-type", ""),
        excerpt=one_line(as_text(data)),
    )

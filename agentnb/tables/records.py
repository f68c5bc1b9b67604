"""This process's own runs, as the store would have them: for where there is no store."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from agentnb.event.types import Event, Usage
from agentnb.store.filters import Filters
from agentnb.store.prices import Price, computed_cost, prices
from agentnb.store.processes import user_name
from agentnb.store.recent import recent_runs
from agentnb.store.timestamps import span, to_micros

__all__ = ["event_fields", "event_records", "kept_runs", "run_record", "tool_call_records"]


def kept_runs(filters: Filters) -> list[tuple[Any, dict[str, Any]]]:
    """Return this process's runs that ``filters`` keep, with their records, oldest first."""
    known = prices()
    found = ((run, run_record(run, known)) for run in recent_runs())
    return [(run, record) for run, record in found if filters.keeps(record)]


def run_record(run: Any, known: Mapping[str, Price]) -> dict[str, Any]:
    """Return a run's record: its columns of `RUN_COLUMNS`, moments and spans in microseconds.

    ``remote`` is None: what the platform's own entry says of it was not asked for.
    """
    with run.lock:
        transcript = run.transcript
        usage: Usage = transcript.usage or Usage()
        failure = transcript.failure
        calls = transcript.tool_calls
        duration = run.duration
        finished = None if duration is None else run.created_at + timedelta(seconds=duration)
        record: dict[str, Any] = {
            "run_id": run.id,
            "session_id": transcript.session_id,
            "platform": run.platform,
            "agent": run.agent,
            "model": transcript.model,
            "user_name": user_name(),
            "status": transcript.status,
            "prompt": run.request.prompt,
            "text": transcript.text,
            "started_at": to_micros(run.created_at),
            "finished_at": None if finished is None else to_micros(finished),
            "duration": span(duration),
            "time_to_first_token": span(run.time_to_first_token),
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
            "cached_tokens": usage.cached_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "cost_usd": usage.cost_usd,
            "cost_source": None if usage.cost_usd is None else "platform",
            "tool_calls": len(calls),
            "tool_errors": sum(call.status == "failed" for call in calls),
            "reconnects": run.reconnects,
            "error": run.error,
            "error_code": transcript.error_code,
            "error_class": None if failure is None else failure.error_type,
            "source": "recorded",
            "local_id": run.local_id,
            "remote": None,
        }
    if record["cost_usd"] is None and (cost := computed_cost(record, known)) is not None:
        record.update(cost_usd=cost, cost_source="prices")
    return record


def tool_call_records(run: Any, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tool calls of a run as records of `TOOL_CALL_COLUMNS`, in order."""
    shared = {
        name: record[name] for name in ("run_id", "platform", "agent", "session_id", "local_id")
    }
    with run.lock:
        return [
            {
                **shared,
                "position": position,
                "call_id": call.call_id,
                "name": call.name,
                "status": call.status,
                "started_at": record["started_at"] + (span(call.started) or 0),
                "duration": span(call.duration),
                "arguments": call.arguments,
                "result": call.result,
                "error": call.error,
            }
            for position, call in enumerate(run.transcript.tool_calls)
        ]


def event_records(
    record: Mapping[str, Any], events: Iterable[Event], times: Iterable[float], *, first: int = 0
) -> list[tuple[Any, ...]]:
    """Return a run's events as rows of `EVENT_COLUMNS`, in order; ``first`` is the first's place.

    ``record`` has the run's ``run_id``, ``local_id`` and ``started_at``.
    """
    run_id, local_id, sent = record["run_id"], record["local_id"], record["started_at"]
    rows: list[tuple[Any, ...]] = []
    for position, (event, seconds) in enumerate(zip(events, times, strict=True), first):
        at = span(seconds) or 0
        rows.append((run_id, position, at, sent + at, event.type, *event_fields(event), local_id))
    return rows


def event_fields(event: Event) -> tuple[str | None, str | None, str | None, str | None, str | None]:
    """Return an event's text, part id, call id and name, and as JSON whatever else it tells."""
    from agentnb.event.types import ReasoningDelta, TextDelta, event_to_dict

    if isinstance(event, TextDelta | ReasoningDelta):
        return event.text, event.part_id, None, None, None
    rest = event_to_dict(event)
    del rest["type"]
    named = [rest.pop(name, None) for name in ("call_id", "name")]
    # What there is to read of it, where that is text.
    text = next((rest.pop(n) for n in ("message", "output", "result") if n in rest), None)
    data = json.dumps(rest, ensure_ascii=False, default=str) if rest else None
    return text, None, named[0], named[1], data

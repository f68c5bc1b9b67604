"""Runs of this process and runs as a platform lists them, as records of `RUN_COLUMNS`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any

from agentnb.event.types import Usage
from agentnb.platforms._usage import read_usage
from agentnb.platforms.base import RemoteRun
from agentnb.store.filters import Filters
from agentnb.store.prices import Price, computed_cost, prices
from agentnb.store.processes import user_name
from agentnb.store.recent import recent_runs
from agentnb.store.timestamps import span, to_micros
from agentnb.tables.columns import RUN_COLUMNS

__all__ = ["filter_runs", "remote_record", "run_record"]


def filter_runs(filters: Filters) -> list[tuple[Any, dict[str, Any]]]:
    """Return this process's runs that match ``filters``, with their records, oldest first."""
    price_list = prices()
    pairs = ((run, run_record(run, price_list)) for run in recent_runs())
    return [(run, record) for run, record in pairs if filters.keeps(record)]


def run_record(run: Any, price_list: Mapping[str, Price]) -> dict[str, Any]:
    """Return a run's record: its columns of `RUN_COLUMNS`, times in microseconds.

    ``remote``, the platform's own entry, is None.
    """
    with run.lock:
        transcript = run.transcript
        failure = transcript.failure
        calls = transcript.tool_calls
        duration = run.duration
        finished = None if duration is None else run.created_at + timedelta(seconds=duration)
        return {
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
            **_usage_fields(transcript.usage or Usage(), transcript.model, price_list),
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


def remote_record(run: RemoteRun, *, platform: str | None = None) -> dict[str, Any]:
    """Return the record of a run as its platform lists it."""
    started = run.started_at or run.created_at
    duration = None
    if run.started_at is not None and run.finished_at is not None:
        duration = max(0, to_micros(run.finished_at) - to_micros(run.started_at))
    return {
        **dict.fromkeys(RUN_COLUMNS),
        "run_id": run.id,
        "session_id": run.session_id,
        "platform": platform,
        "agent": run.agent,
        "model": run.model,
        "status": run.status,
        "text": run.output,
        "started_at": None if started is None else to_micros(started),
        "finished_at": None if run.finished_at is None else to_micros(run.finished_at),
        "duration": duration,
        "error": run.error,
        "source": "platform",
        "remote": json.dumps(dict(run.raw), default=str),
        **_usage_fields(read_usage(run.raw.get("usage")) or Usage(), run.model, prices()),
    }


def _usage_fields(
    usage: Usage, model: str | None, price_list: Mapping[str, Price]
) -> dict[str, Any]:
    """Return the tokens and the cost, reported or computed, and the source of the cost."""
    record: dict[str, Any] = {field.name: getattr(usage, field.name) for field in fields(usage)}
    source = "platform"
    if usage.cost_usd is None:
        record["cost_usd"] = computed_cost({**record, "model": model}, price_list)
        source = "prices"
    return {**record, "cost_source": None if record["cost_usd"] is None else source}

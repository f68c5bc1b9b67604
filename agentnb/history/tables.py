"""Runs as pandas tables, whose columns and dtypes do not depend on what is in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from agentnb.history.recent import RecordedRun, recent_runs

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RUN_COLUMNS", "run_table", "runs", "table"]

#: Column -> dtype of `runs`, in order.
RUN_COLUMNS: Final[dict[str, str]] = {
    "run_id": "string",
    "session_id": "string",
    "platform": "category",
    "agent": "category",
    "model": "category",
    "status": "category",
    "prompt": "string",
    "text": "string",
    "started_at": "datetime64[us, UTC]",
    "duration": "timedelta64[us]",
    "time_to_first_token": "timedelta64[us]",
    "input_tokens": "Int64",
    "output_tokens": "Int64",
    "total_tokens": "Int64",
    "cached_tokens": "Int64",
    "reasoning_tokens": "Int64",
    "cost_usd": "Float64",
    "tool_calls": "Int64",
    "error": "string",
    "error_code": "string",
}

_MAX_COUNT: Final = 2**63 - 1


def runs(*, agent: str | None = None, status: str | None = None) -> pd.DataFrame:
    """Return this process's runs, one row each, oldest first.

    ``agent`` (its id, or ``platform:agent``) and ``status`` keep only such runs.  The columns and
    dtypes are those of `RUN_COLUMNS`, also where there are no rows: text as ``string``, names and
    status as ``category``, ``started_at`` in UTC, ``duration`` and ``time_to_first_token`` as
    timedeltas, tokens as nullable integers, ``cost_usd`` in US dollars as the platform reported it.
    """
    return run_table(
        run
        for run in recent_runs()
        if (agent is None or agent in (run.agent, f"{run.platform}:{run.agent}"))
        and (status is None or status == run.transcript.status)
    )


def run_table(runs: Iterable[RecordedRun]) -> pd.DataFrame:
    """Return ``runs`` as a table of the columns and dtypes of `runs`, one row each."""
    return table([_row(run) for run in runs], RUN_COLUMNS)


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    """Return ``rows`` as a table of ``columns``, name -> dtype, which hold without rows, too.

    Durations are given in seconds; what is absent is None.
    """
    import pandas as pd

    return pd.DataFrame(
        {name: _column([row[name] for row in rows], dtype) for name, dtype in columns.items()}
    )


def _column(values: list[Any], dtype: str) -> Any:
    import pandas as pd

    from agentnb.render.visible import well_formed

    match dtype:
        case "timedelta64[us]":
            # Seconds as floats; a straight cast would take them for nanoseconds.
            times: Any = pd.Series(pd.to_timedelta(values, unit="s"))
            return times.astype(dtype)
        case "Int64":
            # A platform may send any number; one that is no count must not cost the whole table.
            values = [v if v is None or abs(v) <= _MAX_COUNT else None for v in values]
        case "string" | "category":
            # Arrow, which pandas keeps text in where it is installed, takes well-formed text only.
            values = [None if v is None else well_formed(v) for v in values]
        case _:
            pass
    column: Any = pd.Series(values, dtype="object")
    if dtype == "category":
        # The categories have one dtype, too, also where there are none.
        column = column.astype("string")
    return column.astype(dtype)


def _row(run: RecordedRun) -> dict[str, Any]:
    transcript = run.transcript
    usage = transcript.usage
    failure = transcript.failure
    return {
        "run_id": run.id,
        "session_id": transcript.session_id,
        "platform": run.platform,
        "agent": run.agent,
        "model": transcript.model,
        "status": transcript.status,
        "prompt": run.prompt,
        "text": run.text,
        "started_at": run.created_at,
        "duration": run.duration,
        "time_to_first_token": run.time_to_first_token,
        "input_tokens": usage and usage.input_tokens,
        "output_tokens": usage and usage.output_tokens,
        "total_tokens": usage and usage.total_tokens,
        "cached_tokens": usage and usage.cached_tokens,
        "reasoning_tokens": usage and usage.reasoning_tokens,
        "cost_usd": usage and usage.cost_usd,
        "tool_calls": len(transcript.tool_calls),
        "error": run.error,
        "error_code": failure.code if failure is not None else None,
    }

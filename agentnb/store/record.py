"""The durable form of a run: `RunRecord`, from which every row, export and table follows.

A new column is a field of `RunRecord`, its value in `RunRecord.from_run`, and a migration: the
schema, imports and exports, and the table of `agentnb.runs` take it from the field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from functools import cache
from typing import Any, Final, Literal, cast

from agentnb._support.text import well_formed
from agentnb.event.transcript import Transcript
from agentnb.event.types import Usage
from agentnb.platforms._usage import read_usage
from agentnb.platforms.base import RemoteRun
from agentnb.recording.base_run import BaseRun
from agentnb.redaction.secrets import mask, mask_value
from agentnb.store.values import clean_run, platform_key, span, to_micros

SqlType = Literal["key", "text", "integer", "bigint", "double"]

TIMESTAMP: Final = "datetime64[us, UTC]"
DURATION: Final = "timedelta64[us]"
#: Start of a run whose platform does not report it; missing in tables.
UNKNOWN_TIME: Final = -(2**63)
_MAX_INT: Final = 2**63 - 1
_COLUMN: Final = "column"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnInfo:
    """Where a field of a record is stored and how `agentnb.runs` displays it.

    ``table`` is `run` or `content`, ``dtype`` None for a column that is not in the table of runs,
    ``label`` its name there.
    """

    sql: SqlType
    table: Literal["run", "content"]
    nullable: bool
    dtype: str | None
    label: str


def column(
    sql: SqlType,
    dtype: str | None = None,
    *,
    table: Literal["run", "content"] = "run",
    nullable: bool = True,
    label: str = "",
) -> Any:
    """Return a field of `RunRecord` with its `ColumnInfo`."""
    info = ColumnInfo(sql=sql, table=table, nullable=nullable, dtype=dtype, label=label)
    return field(default=None, metadata={_COLUMN: info})


@dataclass(slots=True, kw_only=True)
class RunRecord:
    """A run as it is stored: times in microseconds since 1970-01-01 UTC, durations in microseconds.

    The fields are in the order of the columns of `agentnb.runs`.
    """

    run_id: str | None = column("text", "string")
    session_id: str | None = column("text", "string")
    platform: str = column("text", "category", nullable=False)
    agent: str | None = column("text", "category")
    model: str | None = column("text", "category")
    user_name: str | None = column("text", "category")
    status: str = column("text", "category", nullable=False)
    prompt: str | None = column("text", "string", table="content")
    text: str | None = column("text", "string", table="content")
    refusal: str | None = column("text", "string", table="content")
    # JSON: what the agent shares as its state.
    state: str | None = column("text", "string", table="content")
    # When it was sent; of a pulled run, when it started or was created, as the platform reports.
    started_at: int = column("bigint", TIMESTAMP, nullable=False)
    finished_at: int | None = column("bigint", TIMESTAMP)
    duration: int | None = column("bigint", DURATION)
    first_token: int | None = column("bigint", DURATION, label="time_to_first_token")
    input_tokens: int | None = column("bigint", "Int64")
    output_tokens: int | None = column("bigint", "Int64")
    total_tokens: int | None = column("bigint", "Int64")
    cached_tokens: int | None = column("bigint", "Int64")
    reasoning_tokens: int | None = column("bigint", "Int64")
    # As the platform reported it, in US dollars.
    cost_usd: float | None = column("double", "Float64")
    tool_calls: int | None = column("integer", "Int64")
    tool_errors: int | None = column("integer", "Int64")
    # How often its stream was reconnected; None where there was none, or it was not counted.
    reconnects: int | None = column("integer", "Int64")
    error: str | None = column("text", "string")
    error_code: str | None = column("text", "category")
    # The class of the exception that a failed run ended with.
    error_class: str | None = column("text", "category")
    # recorded (streamed here), platform (pulled), or both.
    source: str = column("text", "category", nullable=False)
    # agentnb's own id (`BaseRun.local_id`); of a run known only from its platform, `platform_key`.
    key: str = column("key", "string", nullable=False, label="local_id")
    process: str | None = column("key")
    title: str | None = column("text")
    events: int | None = column("integer")
    # When the platform's own entry was last pulled.
    pulled_at: int | None = column("bigint")
    reasoning: str | None = column("text", table="content")
    # JSON: the rest of the request, see `rows`.
    request: str | None = column("text", table="content")
    # JSON: the platform's own entry of the run, `RemoteRun.raw`.
    remote: str | None = column("text", table="content")

    @classmethod
    def from_run(cls, run: BaseRun, *, process: str | None, user: str | None) -> RunRecord:
        """Return the record of a run of this process without its texts; hold its lock."""
        transcript = run.transcript
        started, duration = to_micros(run.created_at), span(run.duration)
        is_over = transcript.is_final and duration is not None
        calls = run.tool_calls
        return cls(
            key=run.local_id,
            source="recorded",
            process=process,
            user_name=user,
            platform=run.platform,
            agent=run.agent,
            title=run.title,
            run_id=transcript.run_id,
            session_id=transcript.session_id,
            model=transcript.model,
            status=transcript.status,
            started_at=started,
            finished_at=started + duration if is_over and duration is not None else None,
            duration=duration,
            first_token=span(run.time_to_first_token),
            **_usage_fields(transcript.usage or Usage()),
            tool_calls=len(calls),
            tool_errors=sum(call.status == "failed" for call in calls),
            reconnects=run.reconnects,
            error=run.error,
            error_code=transcript.error_code,
            error_class=transcript.failure and transcript.failure.error_type,
        )

    def add_texts(self, transcript: Transcript) -> None:
        """Set the texts of a run; hold its lock."""
        for name, text in content_texts(transcript).items():
            setattr(self, name, text)

    @classmethod
    def from_remote(
        cls, remote: RemoteRun, *, platform: str, entry: Mapping[str, Any], with_text: bool = True
    ) -> RunRecord:
        """Return the record of a run as its platform lists it; ``entry`` is what to keep of it."""
        raw = remote.raw
        start = remote.started_at or remote.created_at
        started = UNKNOWN_TIME if start is None else to_micros(start)
        finished = None if remote.finished_at is None else to_micros(remote.finished_at)
        return cls(
            key=platform_key(platform, remote.id),
            source="platform",
            platform=platform,
            agent=remote.agent,
            title=remote.agent,
            run_id=remote.id,
            session_id=remote.session_id,
            model=remote.model or _text(raw.get("metrics"), "model"),
            user_name=_text(raw, "userId", "user_id"),
            status=remote.status,
            started_at=started,
            finished_at=finished,
            duration=None if finished is None or start is None else max(0, finished - started),
            **_usage_fields(_remote_usage(raw) or Usage()),
            error=remote.error,
            prompt=_text(raw, "input", "prompt", "message") if with_text else None,
            text=remote.output if with_text else None,
            # Sorted, so that an unchanged entry has the same text.
            remote=json.dumps(mask_value(entry, names=True), sort_keys=True, default=str),
        )

    @classmethod
    def from_export(cls, data: Mapping[str, Any]) -> RunRecord:
        """Return the record of a run that `BaseRun.to_dict` returned as ``data``.

        Raises:
            KeyError, TypeError, ValueError: the data are invalid.
        """
        error: dict[str, Any] | None = data["error"]
        return cls(
            key=data["local_id"],
            source="recorded",
            platform=data["platform"],
            agent=data["agent"],
            title=data["title"],
            session_id=data["session_id"],
            status=data["status"],
            prompt=data["prompt"],
            started_at=to_micros(datetime.fromisoformat(data["created_at"])),
            duration=span(data["duration"]),
            first_token=span(data["time_to_first_token"]),
            reconnects=data.get("reconnects"),
            error=error["message"] if error else None,
            request=json.dumps({"session_id": data["session_id"], "params": data["params"]}),
        )

    @classmethod
    def from_row(cls, row: Mapping[Any, Any]) -> RunRecord:
        """Return the record of a row of `run`, with or without columns of `content`."""
        return cls(**{each.name: row[each.name] for each in fields(cls) if each.name in row})

    @property
    def id(self) -> str:
        """The platform's id of the run, or agentnb's own if that gave none."""
        return self.run_id or self.key

    def run_row(self) -> dict[str, Any]:
        """Return the row of `run`, with secrets redacted and ids and names cleaned."""
        return clean_run(self._row("run"))

    def content_row(self) -> dict[str, Any]:
        """Return the row of `content`, with secrets redacted."""
        return {"run": self.key, **self._row("content")}

    def _row(self, table: str) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for name, info in column_info().items():
            if info.table == table:
                value = getattr(self, name)
                row[name] = plain(value) if info.sql == "text" and value is not None else value
        return row


def content_texts(transcript: Transcript) -> dict[str, str | None]:
    """Return the texts of a run by their columns in `content`."""
    return {
        "text": transcript.text,
        "reasoning": transcript.reasoning,
        "refusal": transcript.refusal or None,
        "state": transcript.state_text,
    }


@cache
def column_info() -> dict[str, ColumnInfo]:
    """Return the columns of a record, by the names of its fields."""
    return {each.name: each.metadata[_COLUMN] for each in fields(RunRecord)}


def plain(text: object) -> str:
    """Return ``text`` without secrets, lone surrogates and NUL characters."""
    # An id from a third-party platform need not be text.
    return well_formed(mask(str(text))).replace("\0", "\ufffd")


def _usage_fields(usage: Usage) -> dict[str, Any]:
    # A platform may send any number; one that does not fit must not cost the run.
    counts = {
        name: number if number is not None and abs(number) <= _MAX_INT else None
        for name, number in asdict(usage).items()
        if name != "cost_usd"
    }
    try:
        cost = None if usage.cost_usd is None else float(usage.cost_usd)
    except OverflowError:
        cost = None
    return {**counts, "cost_usd": cost}


def _remote_usage(raw: Mapping[str, Any]) -> Usage | None:
    """Return the usage in an entry; zeros only do not count."""
    for data in (raw.get("usage"), raw.get("metrics"), raw):
        usage = read_usage(data)
        if usage is not None and any(
            (usage.input_tokens, usage.output_tokens, usage.total_tokens, usage.cost_usd)
        ):
            return usage
    return None


def _text(data: Any, *names: str) -> str | None:
    if not isinstance(data, Mapping):
        return None
    raw = cast("Mapping[str, Any]", data)
    return next((v for name in names if isinstance(v := raw.get(name), str) and v), None)

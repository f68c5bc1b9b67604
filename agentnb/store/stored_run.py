"""Runs loaded from the store, or read from an exported file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from agentnb._support.text import identifier_or_none, printable
from agentnb.errors import HistoryError
from agentnb.event.transcript import FINAL_STATUSES, Status
from agentnb.event.types import (
    Event,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    UsageReported,
    event_from_dict,
)
from agentnb.platforms._usage import read_usage
from agentnb.platforms.base import Capabilities, Media, Message, RunRequest
from agentnb.platforms.names import attachment_name, is_media_type
from agentnb.recording.base_run import CANCELLED, BaseRun
from agentnb.store.record import RunRecord
from agentnb.store.values import from_micros

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

# How long to wait for the recorder, in seconds.
_FLUSH_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class _Platform:
    """Platform of a run that is only read: just its name."""

    name: str
    capabilities: Capabilities = field(default_factory=Capabilities)


class StoredRun(BaseRun):
    """A run that was stored: the read-only part of `agentnb.Run`.

    ``events`` and ``event_times`` are exactly the recorded ones.  Where they were not stored
    (``store_content = false``, or a run known only from its platform's list) they are reconstructed
    from what is known: ids, model, tool calls with their times, tokens, the answer and the end.
    ``text`` is then "" unless the platform reported the answer.
    """

    def __init__(self, record: RunRecord, events: Sequence[Event], times: Sequence[float]) -> None:
        # A file is untrusted.
        request = _request(record)
        title = printable(record.title or record.agent or "")
        super().__init__(_Platform(printable(record.platform)), request, title=title)
        self.local_id = printable(record.key)
        recording = self._recording
        clock = recording.clock
        status = cast("Status", record.status)
        duration = _seconds(record.duration)
        clock.sent_at = from_micros(record.started_at)
        clock.set(0.0)
        for event, at in zip(events, times, strict=True):
            clock.set(at)
            recording.add((event,))
        transcript = recording.transcript
        if status in FINAL_STATUSES and not transcript.is_final:
            # The process that recorded it ended before the run.
            clock.set(clock.now() if duration is None else duration)
            recording.add((_end_event(status, record.error),))
        if transcript.status == "completed":
            transcript.output_error = record.error
        if status in FINAL_STATUSES or status == "paused":
            if duration is not None:
                clock.set(duration)
            recording.end()
        else:
            transcript.status = status
            clock.set(max(0.0, (datetime.now(UTC) - clock.sent_at).total_seconds()))
        recording.reconnects = record.reconnects
        if recording.first_token is None:
            recording.first_token = _seconds(record.first_token)

    def __repr__(self) -> str:
        return super().__repr__().replace("<Run ", "<StoredRun ", 1)


def load(run: str) -> StoredRun:
    """Return the run of this id from the history.

    ``run`` is the platform's id or agentnb's own (`Run.id`, `Run.local_id`).  Of several platforms'
    runs with the same id the newest is returned; of an attached run, the row that has its end.

    Raises:
        HistoryError: there is no such run, or the history cannot be read.
    """
    from agentnb.store.deduplication import find_run
    from agentnb.store.interruption import mark_interrupted
    from agentnb.store.store import store

    _flush_if_local(run)
    opened = store(required=True)
    mark_interrupted(opened)
    with opened.connect() as connection:
        row = find_run(connection, run)
        if row is None:
            raise HistoryError(
                f"The history has no run '{run[:80]}'.",
                hint="agentnb.runs() lists the runs that it has.",
            )
        return stored(connection, row)


def read_export(path: str | Path) -> StoredRun:
    """Return the run that `Run.export` wrote as JSON.

    Raises:
        HistoryError: the file cannot be read, or holds no run.
    """
    path = Path(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HistoryError(f"{path.name} cannot be read as an exported run: {error}") from error
    if not isinstance(data, dict) or cast("dict[str, Any]", data).get("format") != "agentnb.run/1":
        raise HistoryError(
            f"{path.name} holds no exported run.",
            hint="run.export('x.json') writes one.",
        )
    try:
        return exported(cast("dict[str, Any]", data))
    except (KeyError, TypeError, ValueError) as error:
        raise HistoryError(f"{path.name} holds no whole run: {error!r}.") from error


def exported(data: dict[str, Any]) -> StoredRun:
    """Return the run that `BaseRun.to_dict` returned as ``data``.

    Raises:
        KeyError, TypeError, ValueError: the data are invalid.
    """
    entries: list[dict[str, Any]] = data["events"]
    return StoredRun(
        RunRecord.from_export(data),
        [event_from_dict(entry) for entry in entries],
        [float(entry["at"]) for entry in entries],
    )


def _flush_if_local(run: str) -> None:
    """Wait for the recorder if the run is one of this process."""
    from agentnb.store.recent import recent_runs

    if any(run in (each.id, each.local_id) for each in recent_runs()):
        from agentnb.store.recorder import flush

        flush(_FLUSH_TIMEOUT)


def stored(connection: Connection, row: RowMapping) -> StoredRun:
    """Return the run of a row of the table ``run``, with its content, events and tool calls."""
    from sqlalchemy import select

    from agentnb.event.serialization import decode_or_warn
    from agentnb.store.schema import content, event_chunk

    key: str = row["key"]
    texts = connection.execute(select(content).where(content.c.run == key)).mappings().first()
    record = RunRecord.from_row({**row, **(texts or {})})
    chunks = select(event_chunk.c.payload).where(event_chunk.c.run == key)
    events: list[Event] = []
    times: list[float] = []
    for payload in connection.execute(chunks.order_by(event_chunk.c.first)).scalars():
        more, at = decode_or_warn(key, payload)
        events += more
        times += at
    if not events:
        events, times = _reconstruct_events(connection, record)
    return StoredRun(record, events, times)


def _request(record: RunRecord) -> RunRequest:
    fields: dict[str, Any] = json.loads(record.request) if record.request else {}
    return RunRequest(
        agent=printable(record.agent or ""),
        prompt=record.prompt or "",
        session_id=identifier_or_none(fields.get("session_id")),
        params=fields.get("params") or {},
        history=cast("list[Message]", fields.get("history") or []),
        output_schema=fields.get("output_schema"),
        media=tuple(_media(each) for each in fields.get("media") or ()),
        followups=bool(fields.get("followups")),
    )


def _media(fields: Mapping[str, Any]) -> Media:
    """Return an attachment without its content, which is not stored."""
    name = fields.get("name")
    # An import, or an earlier version, may have written any name.
    name = attachment_name(name) if isinstance(name, str) and name else None
    kind = fields.get("mime_type")
    return Media(name=name, mime_type=kind if is_media_type(kind) else None, url=fields.get("url"))


def _reconstruct_events(
    connection: Connection, record: RunRecord
) -> tuple[list[Event], list[float]]:
    """Return events and times made from the row of a run whose own events were not stored."""
    from sqlalchemy import select

    from agentnb.store.schema import tool_call

    duration = _seconds(record.duration) or 0.0
    timed: list[tuple[float, Event]] = []
    calls = select(tool_call).where(tool_call.c.run == record.key).order_by(tool_call.c.position)
    for call in connection.execute(calls).mappings():
        start = _seconds(call["started"]) or 0.0
        name, call_id = call["name"], call["call_id"]
        started = ToolCallStarted(call_id=call_id, name=name, arguments=call["arguments"] or "")
        timed.append((start, started))
        if call["status"] in ("completed", "failed"):
            failed = call["status"] == "failed"
            error = (call["error"] or "The call failed.") if failed else None
            ended = ToolCallFinished(call_id=call_id, result=call["result"], error=error)
            timed.append((_seconds(call["finished"]) or start, ended))
    timed.sort(key=lambda each: each[0])
    if (usage := read_usage(asdict(record))) is not None:
        timed.append((duration, UsageReported(usage=usage)))
    text = record.text or ""
    if record.status == "completed":
        timed.append((duration, RunFinished(output=text or None)))
    elif text:
        timed.append((duration, TextDelta(text)))
    head: list[Event] = []
    if record.status != "queued":
        ids = {"run_id": record.run_id, "session_id": record.session_id}
        head = [RunStarted(**ids, agent=record.agent, model=record.model)]
    return [*head, *(event for _, event in timed)], [*(0.0 for _ in head), *(at for at, _ in timed)]


def _end_event(status: Status, error: str | None) -> Event:
    match status:
        case "completed":
            return RunFinished()
        case "cancelled":
            # Stored is the line of `BaseRun.error`.
            reason = (error or "").partition(f"{CANCELLED}: ")[2]
            return RunCancelled(reason=reason or None)
        case "truncated" | "interrupted":
            return RunFailed(message=error or f"The run was {status}.", status=status)
        case _:
            return RunFailed(message=error or "The run failed.")


def _seconds(micros: int | None) -> float | None:
    return None if micros is None else micros / 1_000_000

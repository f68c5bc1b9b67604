"""Storing the events and messages of pulled runs as their platform has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select, update

from agentnb.event.transcript import FINAL_STATUSES, Transcript
from agentnb.event.types import Event
from agentnb.store.record import content_texts, plain
from agentnb.store.rows import call_row, event_chunks
from agentnb.store.schema import content, event_chunk, run, tool_call
from agentnb.store.transactions import in_transaction
from agentnb.store.values import to_micros

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentnb.platforms.base import Exchange
    from agentnb.store.store import Store

# Runs whose events one pull fetches.
_MAX_RUNS: Final = 10_000


@dataclass(frozen=True, slots=True)
class RunWithoutEvents:
    """A run without events in the store; ``started_at`` in microseconds."""

    key: str
    run_id: str
    session_id: str
    started_at: int


def runs_without_events(
    store: Store, platform: str, *, agent: str | None, since: int | None
) -> list[RunWithoutEvents]:
    """Return the pulled runs that have ended and whose events were not fetched yet."""
    statement = select(run.c.key, run.c.run_id, run.c.session_id, run.c.started_at).where(
        run.c.platform == platform,
        run.c.source == "platform",
        run.c.status.in_(FINAL_STATUSES),
        run.c.events.is_(None),
        run.c.run_id.is_not(None),
        run.c.session_id.is_not(None),
    )
    if agent is not None:
        statement = statement.where(run.c.agent == agent)
    if since is not None:
        statement = statement.where(run.c.started_at >= since)
    with store.connect() as connection:
        rows = connection.execute(
            statement.order_by(run.c.started_at.desc()).limit(_MAX_RUNS)
        ).all()
    return [RunWithoutEvents(*row) for row in rows]


def write_events(
    store: Store,
    runs: Sequence[RunWithoutEvents],
    events: Mapping[str, Sequence[tuple[datetime | None, Event]]],
) -> None:
    """Write the ``events`` of runs, by run id; a run without events is marked as fetched.

    Runs that are no longer in the store, because they were pruned or merged, are skipped.
    """
    in_transaction(store, lambda connection: _write(connection, store, runs, events))


def _write(
    connection: Connection,
    store: Store,
    runs: Sequence[RunWithoutEvents],
    events: Mapping[str, Sequence[tuple[datetime | None, Event]]],
) -> None:
    chunks: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    keys = [each.key for each in runs]
    # In the order in which all writers lock them.
    stored = select(run.c.key).where(run.c.key.in_(keys)).order_by(run.c.key).with_for_update()
    known = set(connection.execute(stored).scalars())
    for each in runs:
        if each.key not in known:
            continue
        timed = events.get(each.run_id, ())
        run_events = [event for _, event in timed]
        times = _offsets([at for at, _ in timed], each.started_at)
        transcript = Transcript()
        for event, at in zip(run_events, times, strict=True):
            transcript.apply(event, at)
        if store.store_content and run_events:
            chunks += event_chunks(each.key, 0, run_events, times, ended=True)[0]
        calls += [
            call_row(each.key, position, call, store_content=store.store_content)
            for position, call in enumerate(transcript.tool_calls)
        ]
        counts: dict[str, Any] = {"events": len(run_events)}
        if run_events:
            failed = sum(call.status == "failed" for call in transcript.tool_calls)
            counts |= {"tool_calls": len(transcript.tool_calls), "tool_errors": failed}
        connection.execute(update(run).where(run.c.key == each.key).values(counts))
        texts = content_texts(transcript)
        if store.store_content and any(texts.values()):
            _fill(connection, each.key, texts)
    if chunks:
        connection.execute(store.insert(event_chunk).on_conflict_do_nothing(), chunks)
    if calls:
        connection.execute(store.insert(tool_call).on_conflict_do_nothing(), calls)


def _fill(connection: Connection, key: str, texts: Mapping[str, str | None]) -> None:
    """Fill in missing texts of a run."""
    for name, text in texts.items():
        if text is None:
            continue
        column = content.c[name]
        is_missing = (content.c.run == key) & ((column.is_(None)) | (column == ""))
        connection.execute(update(content).where(is_missing).values({name: plain(text)}))


def write_exchanges(
    store: Store, runs: Sequence[RunWithoutEvents], exchanges: Mapping[str, Exchange]
) -> None:
    """Write prompts and answers of runs, by run id.

    All of the runs are marked as fetched, also those of which the platform has nothing.  Runs that
    are no longer in the store are skipped.
    """

    def write(connection: Connection) -> None:
        for each in sorted(runs, key=lambda each: each.key):
            unfetched = update(run).where(run.c.key == each.key, run.c.events.is_(None))
            if connection.execute(unfetched.values(events=0)).rowcount == 0:
                continue
            if (exchange := exchanges.get(each.run_id)) is not None:
                _fill(connection, each.key, asdict(exchange))

    in_transaction(store, write)


def _offsets(moments: Sequence[datetime | None], started_at: int) -> list[float]:
    """Return the times in seconds since the run's start, never decreasing."""
    seconds: list[float] = []
    last = 0.0
    for moment in moments:
        if moment is not None:
            last = max(last, (to_micros(moment) - started_at) / 1e6)
        seconds.append(last)
    return seconds

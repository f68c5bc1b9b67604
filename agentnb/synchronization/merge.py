"""Merging runs as their platform lists them into the store.

A run that was also recorded here stays one row.  Recorded values take precedence; only missing ones
are filled in, and the end of a run whose stream did not have it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from sqlalchemy import bindparam, case, delete, func, select, update

from agentnb.event.transcript import FINAL_STATUSES
from agentnb.store.deduplication import is_attached, is_followed
from agentnb.store.record import UNKNOWN_TIME, RunRecord
from agentnb.store.schema import content, run
from agentnb.store.transactions import in_transaction, lock_runs
from agentnb.store.values import now
from agentnb.synchronization.matching import WINDOW, matches, shift

if TYPE_CHECKING:
    from sqlalchemy import Connection, Insert, Select

    from agentnb.platforms.base import RemoteRun
    from agentnb.store.store import Store

Outcome = Literal["added", "updated", "unchanged"]

# Columns that are taken from the platform, besides the status.
_COLUMNS: Final = (
    *("agent", "title", "session_id", "model", "user_name", "finished_at", "duration"),
    *("input_tokens", "output_tokens", "total_tokens", "cached_tokens", "reasoning_tokens"),
    *("cost_usd", "error"),
)
# Ends of a run; any other status may be that of its stream.
_ENDED: Final = frozenset({"completed", "failed", "cancelled"})
# Names of fields whose short texts are not content; numbers never are.
_METADATA: Final = re.compile(
    r"(\A|_)(id|status|model|object|agent|type|truncation_strategy)\Z|[a-z]Id\Z|_at\Z|[a-z]At\Z"
)
_MAX_METADATA: Final = 100
_PARENT_IDS: Final = ("parentRunId", "parent_run_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """Result of a pull: numbers of new, changed and unchanged runs, and of requests."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    requests: int = 0

    def __str__(self) -> str:
        requests = "1 request" if self.requests == 1 else f"{self.requests} requests"
        return (
            f"{self.added} added, {self.updated} updated, {self.unchanged} unchanged, in {requests}"
        )

    def __repr__(self) -> str:
        return f"<Synced {self}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRun:
    """A run as its platform lists it: ``row`` by the columns of `run`, ``remote`` as JSON.

    ``prompt`` and ``text`` are None if unknown or not to be stored; ``has_start``: the platform
    reported the start; ``is_part``: another run started it.
    """

    row: Mapping[str, Any]
    remote: str
    prompt: str | None
    text: str | None
    has_start: bool
    is_part: bool = False


def listed_run(platform: str, remote: RemoteRun, *, store_content: bool) -> ListedRun:
    """Return a run of ``platform`` as it is stored, with secrets redacted."""
    raw = remote.raw
    entry = raw if store_content else _without_content(raw)
    record = RunRecord.from_remote(remote, platform=platform, entry=entry, with_text=store_content)
    has_start = record.started_at != UNKNOWN_TIME
    if not has_start:
        record.started_at = now()
    texts = record.content_row()
    return ListedRun(
        row=record.run_row(),
        remote=texts["remote"],
        prompt=texts["prompt"],
        text=texts["text"],
        has_start=has_start,
        is_part=any(isinstance(raw.get(n), str) and raw[n] for n in _PARENT_IDS),
    )


def write_listed(store: Store, listed: Sequence[ListedRun]) -> list[Outcome]:
    """Write runs, all of one platform, in one transaction; return the outcome of each."""
    if not listed:
        return []
    return in_transaction(store, lambda connection: _write_all(connection, store, listed))


def _write_all(connection: Connection, store: Store, listed: Sequence[ListedRun]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    added: dict[str, ListedRun] = {}
    changed: dict[str, dict[str, Any]] = {}
    texts: dict[str, ListedRun] = {}
    superseded: list[str] = []
    lock_runs(connection, store, [(e.row["platform"], e.row["run_id"]) for e in listed])
    known = _known(connection, listed)
    matched = _match_by_start(connection, listed, known)
    for entry in listed:
        rows = [*known.get(entry.row["run_id"], []), *matched.get(entry.row["run_id"], [])]
        own = [row for row in rows if row["source"] != "platform"]
        if own and len(own) < len(rows):
            # It was pulled before it was known to be recorded here.
            superseded.append(entry.row["key"])
        outcome: Outcome = "unchanged" if rows else "added"
        if not rows:
            added[entry.row["key"]] = texts[entry.row["key"]] = entry
        for row in own or rows:
            if (merged := _merged(row, entry)) is not None:
                outcome = "updated"
                changed[row["key"]] = merged
                texts[row["key"]] = entry
        outcomes.append(outcome)
    if superseded:
        connection.execute(delete(run).where(run.c.key.in_(superseded)))
    _write(connection, store, added, changed, texts)
    return outcomes


def _write(
    connection: Connection,
    store: Store,
    added: Mapping[str, ListedRun],
    changed: Mapping[str, Mapping[str, Any]],
    texts: Mapping[str, ListedRun],
) -> None:
    """Write rows by key, in the order in which all writers lock them."""
    moment = now()
    if added:
        rows = [{**added[key].row, "pulled_at": moment} for key in sorted(added)]
        # Another process may be pulling the same run.
        connection.execute(store.insert(run).on_conflict_do_nothing(), rows)
    if changed:
        names = (*_COLUMNS, "run_id", "source", "status", "started_at", "error_code", "error_class")
        change = update(run).where(run.c.key == bindparam("b_key"))
        values: dict[str, Any] = {n: bindparam(f"b_{n}") for n in (*names, "pulled_at")}
        rows = [
            {"b_key": key, "b_pulled_at": moment, **{f"b_{n}": changed[key][n] for n in names}}
            for key in sorted(changed)
        ]
        connection.execute(change.values(values), rows)
    if texts:
        rows = [
            {"run": key, "prompt": each.prompt, "text": each.text, "remote": each.remote}
            for key, each in sorted(texts.items(), key=lambda item: item[0])
        ]
        connection.execute(_upsert_content(store), rows)


def _upsert_content(store: Store) -> Insert:
    """Return the statement that fills in missing content of a run.

    The database compares the values: another process may have written them meanwhile.
    """
    insert = store.insert(content)
    new, old = insert.excluded, content.c
    is_whole = (func.coalesce(old.text, "") == "") | (
        func.substr(new.text, 1, func.length(old.text)) == old.text
    )
    kept = {
        "prompt": func.coalesce(func.nullif(old.prompt, ""), new.prompt, old.prompt),
        # A truncated answer is replaced by the whole one.
        "text": case((is_whole, func.coalesce(new.text, old.text)), else_=old.text),
        "remote": new.remote,
    }
    return insert.on_conflict_do_update(index_elements=["run"], set_=kept)


def _known(connection: Connection, listed: Sequence[ListedRun]) -> dict[str, list[dict[str, Any]]]:
    """Return the stored rows of these runs, by run id, as of `_locked_rows`."""
    statement = select(run).where(
        run.c.platform == listed[0].row["platform"],
        run.c.run_id.in_([entry.row["run_id"] for entry in listed]),
    )
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in _locked_rows(connection, statement):
        rows.setdefault(row["run_id"], []).append(row)
    return rows


def _locked_rows(connection: Connection, statement: Select[Any]) -> list[dict[str, Any]]:
    """Lock and return rows of `run`, each with ``prompt``, ``remote`` and ``is_attached``."""
    locked = connection.execute(statement.order_by(run.c.key).with_for_update()).mappings().all()
    if not locked:
        return []
    # A separate statement: joined to a row that was waited for, the content would be outdated.
    texts = select(
        content.c.run, content.c.prompt, content.c.remote, is_attached().label("is_attached")
    ).where(content.c.run.in_([row["key"] for row in locked]))
    known = {row["run"]: row for row in connection.execute(texts).mappings()}
    missing = {"prompt": None, "remote": None, "is_attached": False}
    return [
        {**row, **{name: (known.get(row["key"]) or missing)[name] for name in missing}}
        for row in locked
    ]


def _match_by_start(
    connection: Connection,
    listed: Sequence[ListedRun],
    known: Mapping[str, Sequence[Mapping[str, Any]]],
) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of runs that were recorded without the platform's id, by that id."""
    pairs: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = []
    by_session: dict[str, dict[str, Mapping[str, Any]]] = {}
    for entry in listed:
        session, run_id = entry.row["session_id"], entry.row["run_id"]
        if session is None or entry.is_part or not entry.has_start:
            continue
        own = [row for row in known.get(run_id, []) if row["source"] != "platform"]
        pairs += [(row, entry.row) for row in own if not row["is_attached"]]
        if not own:
            by_session.setdefault(session, {})[run_id] = {**entry.row, "prompt": entry.prompt}
    if not by_session:
        return {}
    later = shift(pairs)
    starts = [row["started_at"] - later for rows in by_session.values() for row in rows.values()]
    near = (
        (run.c.platform == listed[0].row["platform"])
        & run.c.session_id.in_(by_session)
        & (run.c.source != "platform")
        & run.c.started_at.between(min(starts) - WINDOW, max(starts) + WINDOW)
    )
    recorded: dict[str, list[dict[str, Any]]] = {}
    for row in _locked_rows(connection, select(run).where(near, run.c.run_id.is_(None))):
        if not is_followed(connection, row):
            recorded.setdefault(row["session_id"], []).append(row)
    if not recorded:
        return {}
    sent: dict[str, list[int]] = {}
    others = select(run.c.session_id, run.c.started_at).where(near, run.c.run_id.is_not(None))
    for session, moment in connection.execute(others):
        sent.setdefault(session, []).append(moment)
    return {
        match["run_id"]: [{**row, "run_id": match["run_id"]}]
        for session, rows in recorded.items()
        for row, match in matches(
            rows, list(by_session[session].values()), known=sent.get(session, []), shift=later
        )
    }


def _merged(row: Mapping[str, Any], entry: ListedRun) -> dict[str, Any] | None:
    """Return the row updated by the platform's entry, None if nothing changed."""
    reported = entry.row
    merged = dict(row)
    if row["source"] == "platform":
        merged |= {name: reported[name] for name in _COLUMNS if reported[name] is not None}
        merged["status"] = reported["status"]
        if entry.has_start:
            # An earlier version may have read it in another time zone.
            merged["started_at"] = reported["started_at"]
    else:
        merged["source"] = "both"
        # A failed attach does not have the end of the run.
        is_over = row["status"] in _ENDED and not (row["is_attached"] and row["error_class"])
        filled = [name for name in _COLUMNS if row[name] is None and reported[name] is not None]
        if is_over:
            # The error of a recorded end is not replaced.
            filled = [name for name in filled if name != "error"]
        merged |= {name: reported[name] for name in filled}
        if not is_over and reported["status"] in FINAL_STATUSES:
            merged |= {"status": reported["status"], "error": reported["error"]}
            merged |= {"error_code": None, "error_class": None}
            # Not every platform reports the time.
            ended = ("finished_at", "duration")
            merged |= {name: reported[name] for name in ended if reported[name] is not None}
    if merged == row and row["remote"] == entry.remote:
        return None
    return merged


def _without_content(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry without prompts and answers."""
    kept: dict[str, Any] = {}
    for name, value in raw.items():
        if isinstance(value, Mapping):
            inner = cast("Mapping[str, Any]", value)
            numbers = {k: v for k, v in inner.items() if isinstance(v, int | float | None)}
            if len(numbers) == len(inner):
                kept[name] = numbers
        elif isinstance(value, int | float | None) or (
            isinstance(value, str) and len(value) <= _MAX_METADATA and _METADATA.search(name)
        ):
            kept[name] = value
    return kept

"""What a platform tells of a run as rows of the store: made, merged with what is there, written.

A run that was recorded here, too, stays one row.  What was recorded counts; only what it lacks is
filled in, and how a run ended that was not seen to end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from sqlalchemy import bindparam, case, delete, func, select, update

from agentnb.event.transcript import FINAL_STATUSES
from agentnb.event.types import Usage
from agentnb.platforms._usage import read_usage
from agentnb.redaction.secrets import mask_value
from agentnb.store.cleaning import clean_run
from agentnb.store.deduplication import goes_on, is_joined
from agentnb.store.keys import platform_key
from agentnb.store.locking import in_transaction, lock_runs
from agentnb.store.rows import plain
from agentnb.store.schema import content, run
from agentnb.store.timestamps import now, to_micros
from agentnb.synchronization.matching import WINDOW, matches, shift

if TYPE_CHECKING:
    from sqlalchemy import Connection, Insert, Select

    from agentnb.platforms.base import RemoteRun
    from agentnb.store.store import Store

__all__ = ["Entry", "Outcome", "entry_of", "write_entries"]

Outcome = Literal["added", "updated", "unchanged"]

# What a row of a run takes from its platform, beside its status.
_COLUMNS: Final = (
    *("agent", "title", "session_id", "model", "user_name", "finished_at", "duration"),
    *("input_tokens", "output_tokens", "total_tokens", "cached_tokens", "reasoning_tokens"),
    *("cost_usd", "error"),
)
# How a recorded run has ended for good; any other status may only be how it ended here.
_ENDED: Final = frozenset({"completed", "failed", "cancelled"})
# What of an entry is no content: numbers in any case, and short text under such names.
_HARMLESS: Final = re.compile(
    r"(\A|_)(id|status|model|object|agent|type|truncation_strategy)\Z|[a-z]Id\Z|_at\Z|[a-z]At\Z"
)
_SHORT: Final = 100
_NOTHING: Final = (None, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A platform's entry of a run: ``row`` by the columns of `run`, ``remote`` as JSON.

    ``prompt`` and ``text`` are None where they are not told or not to be kept; ``has_start`` says
    that the platform told when the run began, ``is_part`` that another run started it.
    """

    row: Mapping[str, Any]
    remote: str
    prompt: str | None
    text: str | None
    has_start: bool
    is_part: bool = False


def entry_of(platform: str, remote: RemoteRun, *, store_content: bool) -> Entry:
    """Return what is kept of a run that ``platform`` told of, without any secret."""
    raw = remote.raw
    began = remote.started_at or remote.created_at
    started = now() if began is None else to_micros(began)
    finished = None if remote.finished_at is None else to_micros(remote.finished_at)
    usage = _usage(raw) or Usage()
    row: dict[str, Any] = {
        "key": platform_key(platform, remote.id),
        "source": "platform",
        "platform": platform,
        "agent": remote.agent,
        "title": remote.agent,
        "run_id": remote.id,
        "session_id": remote.session_id,
        "model": remote.model or _text(raw.get("metrics"), "model"),
        "user_name": _text(raw, "userId", "user_id"),
        "status": remote.status,
        "started_at": started,
        "finished_at": finished,
        "duration": None if finished is None or began is None else max(0, finished - started),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cost_usd": usage.cost_usd,
        "error": remote.error,
    }
    kept = raw if store_content else _without_content(raw)
    prompt = _text(raw, "input", "prompt", "message") if store_content else None
    text = remote.output if store_content else None
    return Entry(
        row=clean_run({name: plain(v) if isinstance(v, str) else v for name, v in row.items()}),
        # In order, so that an entry that did not change is told by its text.
        remote=plain(json.dumps(mask_value(kept, names=True), sort_keys=True, default=str)),
        prompt=None if prompt is None else plain(prompt),
        text=None if text is None else plain(text),
        has_start=began is not None,
        is_part=_text(raw, "parentRunId", "parent_run_id") is not None,
    )


def write_entries(store: Store, entries: Sequence[Entry]) -> list[Outcome]:
    """Write ``entries``, all of one platform, in one transaction; return what became of each."""
    if not entries:
        return []
    return in_transaction(store, lambda connection: _write_all(connection, store, entries))


def _write_all(connection: Connection, store: Store, entries: Sequence[Entry]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    added: dict[str, Entry] = {}
    changed: dict[str, dict[str, Any]] = {}
    texts: dict[str, Entry] = {}
    gone: list[str] = []
    lock_runs(connection, store, [(e.row["platform"], e.row["run_id"]) for e in entries])
    known = _known(connection, entries)
    found = _found(connection, entries, known)
    for entry in entries:
        rows = [*known.get(entry.row["run_id"], []), *found.get(entry.row["run_id"], [])]
        own = [row for row in rows if row["source"] != "platform"]
        if own and len(own) < len(rows):
            # It was pulled before it was known to be one of ours.
            gone.append(entry.row["key"])
        outcome: Outcome = "unchanged" if rows else "added"
        if not rows:
            added[entry.row["key"]] = texts[entry.row["key"]] = entry
        for row in own or rows:
            if (merged := _merged(row, entry)) is not None:
                outcome = "updated"
                changed[row["key"]] = merged
                texts[row["key"]] = entry
        outcomes.append(outcome)
    if gone:
        connection.execute(delete(run).where(run.c.key.in_(gone)))
    _write(connection, store, added, changed, texts)
    return outcomes


def _write(
    connection: Connection,
    store: Store,
    added: Mapping[str, Entry],
    changed: Mapping[str, Mapping[str, Any]],
    texts: Mapping[str, Entry],
) -> None:
    """Write rows, each by its key, in the order in which all writers lock them."""
    moment = now()
    if added:
        rows = [{**added[key].row, "pulled_at": moment} for key in sorted(added)]
        # Another process may pull the same at this moment.
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
        told = [
            {"run": key, "prompt": each.prompt, "text": each.text, "remote": each.remote}
            for key, each in sorted(texts.items(), key=lambda item: item[0])
        ]
        connection.execute(_filling(store), told)


def _filling(store: Store) -> Insert:
    """Return the statement that fills in what the content of a run lacks.

    What is there is compared where it is: another process may have written it in between.
    """
    insert = store.insert(content)
    new, old = insert.excluded, content.c
    is_whole = (func.coalesce(old.text, "") == "") | (
        func.substr(new.text, 1, func.length(old.text)) == old.text
    )
    kept = {
        "prompt": func.coalesce(func.nullif(old.prompt, ""), new.prompt, old.prompt),
        # Of an answer that was cut off, the whole.
        "text": case((is_whole, func.coalesce(new.text, old.text)), else_=old.text),
        "remote": new.remote,
    }
    return insert.on_conflict_do_update(index_elements=["run"], set_=kept)


def _known(connection: Connection, entries: Sequence[Entry]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows there are of these runs, by the run's id, as `_with_texts` does."""
    asked = select(run).where(
        run.c.platform == entries[0].row["platform"],
        run.c.run_id.in_([entry.row["run_id"] for entry in entries]),
    )
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in _with_texts(connection, asked):
        rows.setdefault(row["run_id"], []).append(row)
    return rows


def _with_texts(connection: Connection, asked: Select[Any]) -> list[dict[str, Any]]:
    """Lock and return rows of `run`, each with ``prompt``, ``remote`` and ``is_joined``."""
    locked = connection.execute(asked.order_by(run.c.key).with_for_update()).mappings().all()
    if not locked:
        return []
    # By itself: what was joined to a row that had to be waited for would be from before that.
    told = select(
        content.c.run, content.c.prompt, content.c.remote, is_joined().label("is_joined")
    ).where(content.c.run.in_([row["key"] for row in locked]))
    known = {row["run"]: row for row in connection.execute(told).mappings()}
    untold = {"prompt": None, "remote": None, "is_joined": False}
    return [
        {**row, **{name: (known.get(row["key"]) or untold)[name] for name in untold}}
        for row in locked
    ]


def _found(
    connection: Connection,
    entries: Sequence[Entry],
    known: Mapping[str, Sequence[Mapping[str, Any]]],
) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of runs that were recorded without their id there, by that id."""
    pairs: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = []
    listed: dict[str, dict[str, Mapping[str, Any]]] = {}
    for entry in entries:
        session, run_id = entry.row["session_id"], entry.row["run_id"]
        if session is None or entry.is_part or not entry.has_start:
            continue
        own = [row for row in known.get(run_id, []) if row["source"] != "platform"]
        pairs += [(row, entry.row) for row in own if not row["is_joined"]]
        if not own:
            listed.setdefault(session, {})[run_id] = {**entry.row, "prompt": entry.prompt}
    if not listed:
        return {}
    later = shift(pairs)
    starts = [row["started_at"] - later for rows in listed.values() for row in rows.values()]
    near = (
        (run.c.platform == entries[0].row["platform"])
        & run.c.session_id.in_(listed)
        & (run.c.source != "platform")
        & run.c.started_at.between(min(starts) - WINDOW, max(starts) + WINDOW)
    )
    recorded: dict[str, list[dict[str, Any]]] = {}
    for row in _with_texts(connection, select(run).where(near, run.c.run_id.is_(None))):
        if not goes_on(connection, row):
            recorded.setdefault(row["session_id"], []).append(row)
    if not recorded:
        return {}
    sent: dict[str, list[int]] = {}
    others = select(run.c.session_id, run.c.started_at).where(near, run.c.run_id.is_not(None))
    for session, moment in connection.execute(others):
        sent.setdefault(session, []).append(moment)
    return {
        told["run_id"]: [{**row, "run_id": told["run_id"]}]
        for session, rows in recorded.items()
        for row, told in matches(
            rows, list(listed[session].values()), known=sent.get(session, []), shift=later
        )
    }


def _merged(row: Mapping[str, Any], entry: Entry) -> dict[str, Any] | None:
    """Return the row as it is with what the platform tells, None where that is no news."""
    told = entry.row
    merged = dict(row)
    if row["source"] == "platform":
        merged |= {name: told[name] for name in _COLUMNS if told[name] is not None}
        merged["status"] = told["status"]
        if entry.has_start:
            # It may have been read in another zone before.
            merged["started_at"] = told["started_at"]
    else:
        merged["source"] = "both"
        # An attempt to join it that failed says nothing of how the run itself ended.
        is_over = row["status"] in _ENDED and not (row["is_joined"] and row["error_class"])
        filled = [name for name in _COLUMNS if row[name] is None and told[name] is not None]
        if is_over:
            # An end that was seen is not explained by somebody else's words.
            filled = [name for name in filled if name != "error"]
        merged |= {name: told[name] for name in filled}
        if not is_over and told["status"] in FINAL_STATUSES:
            merged |= {"status": told["status"], "error": told["error"]}
            merged |= {"error_code": None, "error_class": None}
            # Not every platform tells when that was.
            ended = ("finished_at", "duration")
            merged |= {name: told[name] for name in ended if told[name] is not None}
    if merged == row and row["remote"] == entry.remote:
        return None
    return merged


def _usage(raw: Mapping[str, Any]) -> Usage | None:
    """Return what an entry reports as usage; zeros all through are not a report."""
    for data in (raw.get("usage"), raw.get("metrics"), raw):
        usage = read_usage(data)
        if usage is not None and any(
            count not in _NOTHING
            for count in (
                usage.input_tokens,
                usage.output_tokens,
                usage.total_tokens,
                usage.cost_usd,
            )
        ):
            return usage
    return None


def _text(data: Any, *names: str) -> str | None:
    if not isinstance(data, Mapping):
        return None
    raw = cast("Mapping[str, Any]", data)
    return next((v for name in names if isinstance(v := raw.get(name), str) and v), None)


def _without_content(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of an entry tells nothing of what was asked and answered."""
    kept: dict[str, Any] = {}
    for name, value in raw.items():
        if isinstance(value, Mapping):
            inner = cast("Mapping[str, Any]", value)
            numbers = {k: v for k, v in inner.items() if isinstance(v, int | float | None)}
            if len(numbers) == len(inner):
                kept[name] = numbers
        elif isinstance(value, int | float | None) or (
            isinstance(value, str) and len(value) <= _SHORT and _HARMLESS.search(name)
        ):
            kept[name] = value
    return kept

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

from sqlalchemy import bindparam, delete, select, update

from agentnb._secrets import mask_value
from agentnb.event import Usage
from agentnb.history.keys import platform_key
from agentnb.history.moments import now, to_micros
from agentnb.history.rows import plain
from agentnb.history.schema import content, run
from agentnb.platforms._usage import read_usage
from agentnb.transcript import FINAL_STATUSES

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentnb.history.store import Store
    from agentnb.platforms.base import RemoteRun

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

    ``prompt`` and ``text`` are None where they are not told or not to be kept.
    """

    row: Mapping[str, Any]
    remote: str
    prompt: str | None
    text: str | None


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
        row={name: plain(v) if isinstance(v, str) else v for name, v in row.items()},
        # In order, so that an entry that did not change is told by its text.
        remote=plain(json.dumps(mask_value(kept), sort_keys=True, default=str)),
        prompt=None if prompt is None else plain(prompt),
        text=None if text is None else plain(text),
    )


def write_entries(store: Store, entries: Sequence[Entry]) -> list[Outcome]:
    """Write ``entries``, all of one platform, in one transaction; return what became of each."""
    if not entries:
        return []
    outcomes: list[Outcome] = []
    added: list[Entry] = []
    changed: dict[str, dict[str, Any]] = {}
    texts: dict[str, dict[str, Any]] = {}
    with store.begin() as connection:
        known = _known(connection, entries)
        for entry in entries:
            rows = known.get(entry.row["run_id"], [])
            own = [row for row in rows if row["source"] != "platform"]
            if own and len(own) < len(rows):
                # It was pulled before it was known to be one of ours.
                connection.execute(delete(run).where(run.c.key == entry.row["key"]))
            outcome: Outcome = "unchanged" if rows else "added"
            if not rows:
                added.append(entry)
                texts[entry.row["key"]] = _content(entry.row["key"], entry, None)
            for row in own or rows:
                if (merged := _merged(row, entry)) is not None:
                    outcome = "updated"
                    changed[row["key"]] = merged
                    texts[row["key"]] = _content(row["key"], entry, row)
            outcomes.append(outcome)
        _write(connection, store, added, list(changed.values()), list(texts.values()))
    return outcomes


def _write(
    connection: Connection,
    store: Store,
    added: Sequence[Entry],
    changed: Sequence[Mapping[str, Any]],
    texts: Sequence[Mapping[str, Any]],
) -> None:
    moment = now()
    if added:
        rows = [{**entry.row, "pulled_at": moment} for entry in added]
        # Another process may pull the same at this moment.
        connection.execute(store.insert(run).on_conflict_do_nothing(), rows)
    if changed:
        names = (*_COLUMNS, "source", "status", "error_code", "error_class")
        change = update(run).where(run.c.key == bindparam("b_key"))
        values: dict[str, Any] = {n: bindparam(f"b_{n}") for n in (*names, "pulled_at")}
        rows = [
            {"b_key": row["key"], "b_pulled_at": moment, **{f"b_{n}": row[n] for n in names}}
            for row in changed
        ]
        connection.execute(change.values(values), rows)
    if texts:
        insert = store.insert(content)
        kept = {name: insert.excluded[name] for name in ("prompt", "text", "remote")}
        connection.execute(
            insert.on_conflict_do_update(index_elements=["run"], set_=kept), list(texts)
        )


def _known(connection: Connection, entries: Sequence[Entry]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows there are of these runs, by the run's id, with their content."""
    found = (
        select(run, content.c.remote, content.c.prompt, content.c.text)
        .select_from(run.outerjoin(content, content.c.run == run.c.key))
        .where(
            run.c.platform == entries[0].row["platform"],
            run.c.run_id.in_([entry.row["run_id"] for entry in entries]),
        )
        # What another process writes of them meanwhile is not to be undone.
        .with_for_update(of=run)
    )
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in connection.execute(found).mappings():
        rows.setdefault(row["run_id"], []).append(dict(row))
    return rows


def _merged(row: Mapping[str, Any], entry: Entry) -> dict[str, Any] | None:
    """Return the row as it is with what the platform tells, None where that is no news."""
    told = entry.row
    merged = dict(row)
    if row["source"] == "platform":
        merged |= {name: told[name] for name in _COLUMNS if told[name] is not None}
        merged["status"] = told["status"]
    else:
        merged["source"] = "both"
        is_over = row["status"] in _ENDED
        filled = [name for name in _COLUMNS if row[name] is None and told[name] is not None]
        if is_over:
            # An end that was seen is not explained by somebody else's words.
            filled = [name for name in filled if name != "error"]
        merged |= {name: told[name] for name in filled}
        if not is_over and told["status"] in FINAL_STATUSES:
            ended = ("status", "error", "finished_at", "duration")
            merged |= {name: told[name] for name in ended}
            merged |= {"error_code": None, "error_class": None}
    if merged == row and row["remote"] == entry.remote:
        return None
    return merged


def _content(key: str, entry: Entry, row: Mapping[str, Any] | None) -> dict[str, Any]:
    prompt, text = (None, None) if row is None else (row["prompt"], row["text"])
    if not text or (entry.text is not None and entry.text.startswith(text)):
        # Of an answer that was cut off, the whole.
        text = text if entry.text is None else entry.text
    return {
        "run": key,
        "prompt": entry.prompt if prompt in (None, "") else prompt,
        "text": text,
        "remote": entry.remote,
    }


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

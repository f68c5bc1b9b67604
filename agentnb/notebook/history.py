"""``%agent history``, and what other commands tell from the history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from agentnb.errors import AgentnbError, HistoryError, RequestError
from agentnb.history.filters import STATUSES
from agentnb.history.pages import PageQuery, PageRow, page, row_of
from agentnb.notebook.display import Mode
from agentnb.notebook.options import LineParser
from agentnb.notebook.tables import Table, table
from agentnb.render.view import STATUS_MARKS, brief_seconds, dollars

__all__ = [
    "HISTORY_ACTIONS",
    "HISTORY_OPTIONS",
    "HISTORY_USAGE",
    "going_on",
    "history",
    "history_checks",
    "stored_sessions",
]

#: What ``%agent history`` takes, in words.
HISTORY_USAGE: Final = (
    "[COUNT] [--text T] [--agent A] [--status S] [--since 7d] [--sql QUERY] "
    "| prune | vacuum | export PATH | import PATH"
)
#: What it does besides showing runs, with what that takes and does.
HISTORY_ACTIONS: Final = {
    "prune": (
        "[--older-than 90d] [--keep N] [--max-bytes N] [--dry-run]",
        "Forget old runs; --dry-run only counts.",
    ),
    "vacuum": ("", "Give back the room that forgotten runs took."),
    "export": ("PATH", "Write all runs to a path that ends in .parquet or .jsonl."),
    "import": ("PATH", "Take in what was written so; a run that is there already stays."),
}
HISTORY_OPTIONS: Final = ("--text", "--agent", "--status", "--since", "--sql")
_COLUMNS: Final = ("run", "agent", "status", "when", "duration", "tokens", "cost", "question")
_LIVE: Final = ("queued", "running", "paused")
_NONE: Final = "–"
_ROWS: Final = 20
# More rows than this are no page any more; `agentnb.runs()` returns as many as there are.
_MOST: Final = 1000


def history(words: Sequence[str], *, mode: Mode) -> Any:
    """Do what stands after ``%agent history``; return what the cell shows.

    Raises:
        RequestError: an option is unknown, lacks its value or contradicts another.
        HistoryError: the history cannot be used.
    """
    if words and words[0] in HISTORY_ACTIONS:
        return _act(words[0], words[1:])
    parser = LineParser(prog="%agent history", add_help=False, allow_abbrev=False)
    parser.add_argument("count", nargs="?")
    parser.add_argument("--text", default="")
    parser.add_argument("--agent", default="")
    parser.add_argument("--status", choices=STATUSES, metavar="STATUS")
    parser.add_argument("--since", metavar="AGE")
    parser.add_argument("--sql", metavar="QUERY")
    found = parser.parse_args(list(words))
    if found.sql is not None:
        if len(words) > 2:
            raise RequestError("--sql stands alone: write the rest as SQL.")
        from agentnb.history.sql import query

        return query(found.sql)
    if found.count is not None and not found.count.isdigit():
        raise RequestError(f"'{found.count}' is no number of runs.")
    asked = PageQuery(
        text=found.text,
        agent=_named(found.agent),
        status=found.status or "",
        since=found.since,
        limit=_ROWS if found.count is None else min(int(found.count), _MOST),
    )
    if mode != "widget" or asked.limit == 0:
        return run_table(asked)

    from agentnb.widgets.history import HistoryWidget

    # For viewers without a kernel, and without a widget manager.
    return HistoryWidget(asked, bundle=run_table(asked).bundle())


def run_table(asked: PageQuery) -> Table:
    """Return the runs that are asked for as a small table, newest first."""
    found = page(asked)
    notes: list[str] = []
    if found.total > len(found.rows) > 0:
        all_ = f"{found.total:,}{'+' if found.more else ''}"
        notes.append(f"{len(found.rows):,} of {all_} runs; agentnb.runs() has them all.")
    return table(
        [_cells(row) for row in found.rows],
        _COLUMNS,
        empty="No run matches." if asked.filtered else "No runs yet.",
        notes=notes,
    )


def going_on(run_id: str | None, mine: Sequence[Any]) -> Table:
    """Return the runs that go on, here and elsewhere, or the one of ``run_id``.

    ``mine`` are the runs of this kernel.

    Raises:
        RequestError: there is no such run.
    """
    if run_id is not None:
        rows = [row_of(run) for run in mine if run_id in (run.id, run.local_id)]
        if not rows and (stored := _stored(run_id)) is not None:
            rows = [stored]
        if not rows:
            raise RequestError(f"There is no run '{run_id}'.", hint="'%agent history' shows them.")
        return table([_cells(row) for row in rows], _COLUMNS)
    going = [run for run in mine if not run.done]
    here = [{**_cells(row_of(run), run.elapsed), "where": "this kernel"} for run in going]
    notes: list[str] = []
    known = {run.local_id for run in mine}
    try:
        others = page(PageQuery(status=_LIVE, limit=100)).rows
    except AgentnbError as error:
        others, notes = (), [str(error)]
    now = datetime.now(UTC).timestamp()
    there = [
        {**_cells(row, row.duration or now - row.started), "where": "elsewhere"}
        for row in others
        if row.key not in known
    ]
    columns = [*_COLUMNS, "where"] if there else _COLUMNS
    return table([*here, *there], columns, empty="No run is going on.", notes=notes)


def stored_sessions(current: set[str]) -> Table:
    """Return the latest conversations; ``current`` are those that cells go on in."""
    from agentnb.history.tables import sessions

    found: Any = sessions(limit=_ROWS)
    rows = [
        {
            "agent": f"{each['platform']}:{each['agent']}",
            "session": each["session_id"],
            "runs": each["runs"],
            "last question": each["last_prompt"],
            "when": _when(each["last_at"].timestamp()),
            "goes on": "yes" if each["session_id"] in current else "",
        }
        for each in found.to_dict("records")
    ]
    columns = ["agent", "session", "runs", "last question", "when", "goes on"]
    return table(rows, columns, empty="No conversations yet.")


def history_checks() -> list[dict[str, str]]:
    """Return what ``%agent doctor`` finds of the history; no key or password is in it."""
    from agentnb.history.store import store
    from agentnb.history.where import place

    try:
        found = place()
        if found.is_off:
            return [{"check": "history", "finding": f"off, as {found.named_by} says"}]
        opened = store(required=True)
        rows = page(PageQuery(limit=0)).total
    except AgentnbError as error:
        return [{"check": "history", "finding": str(error)}]
    path = Path(opened.engine.url.database or "") if opened.dialect == "sqlite" else None
    size = f", {_size(path.stat().st_size)}" if path is not None and path.is_file() else ""
    works = f"works, {rows:,} {'run' if rows == 1 else 'runs'}{size}"
    return [
        {"check": "history", "finding": works},
        {"check": "history is in", "finding": opened.url},
    ]


def _act(action: str, words: Sequence[str]) -> Table:
    parser = LineParser(prog=f"%agent history {action}", add_help=False, allow_abbrev=False)
    match action:
        case "prune":
            parser.add_argument("--older-than", metavar="AGE")
            parser.add_argument("--keep", type=int, metavar="N")
            parser.add_argument("--max-bytes", type=int, metavar="BYTES")
            parser.add_argument("--dry-run", action="store_true")
            found = vars(parser.parse_args(list(words)))
            if all(found[name] is None for name in ("older_than", "keep", "max_bytes")):
                raise RequestError(
                    "What is to be forgotten?",
                    hint="Write --older-than 90d or --keep 10000; --dry-run only counts.",
                )
            from agentnb.history.retention import prune

            gone = prune(**found)
            told = "would be forgotten" if found["dry_run"] else "forgotten"
            return _told(f"runs {told}", f"{gone.runs:,}, about {_size(gone.bytes)}")
        case "vacuum":
            parser.parse_args(list(words))
            from agentnb.history.retention import vacuum

            return _told("given back", _size(vacuum()))
        case _:
            parser.add_argument("path")
            path: str = parser.parse_args(list(words)).path
            from agentnb.history.transfer import export_history, import_history

            if action == "import":
                return _told("runs taken in", f"{import_history(path):,}")
            return _told("written to", str(export_history(path)))


def _told(what: str, value: str) -> Table:
    return table([{what: value}], [what])


def _named(agent: str) -> str:
    """Return an agent as the history names it; an alias is known by what it stands for."""
    from agentnb.config import config
    from agentnb.platforms import registry

    try:
        aliases = config().all_aliases()
    except AgentnbError:
        return agent
    return str(config().resolve(agent, registry.names())) if agent in aliases else agent


def _stored(run_id: str) -> PageRow | None:
    try:
        from agentnb.history.stored import load

        return row_of(load(run_id))
    except (HistoryError, ImportError):
        return None


def _cells(row: PageRow, took: float | None = None) -> dict[str, str]:
    took = row.duration if took is None else took
    return {
        "run": row.run_id or row.key,
        "agent": f"{row.platform}:{row.agent}",
        "status": f"{STATUS_MARKS.get(row.status, '')} {row.status}".strip(),  # pyright: ignore
        "when": _when(row.started),
        "duration": _NONE if took is None else brief_seconds(took),
        "tokens": _NONE if row.tokens is None else f"{row.tokens:,}",
        "cost": _NONE if row.cost is None else dollars(row.cost),
        "question": row.question,
    }


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def _size(count: float) -> str:
    for power, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= power:
            return f"{count / power:,.1f} {unit}"
    return f"{count:.0f} bytes"

"""``%agent history``, and the tables of runs and sessions of other commands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from agentnb import sandbox
from agentnb.config import EMBEDDED, config, suggestion
from agentnb.errors import AgentnbError, HistoryError, RequestError
from agentnb.notebook.display import Mode
from agentnb.notebook.options import LineParser
from agentnb.notebook.tables import Table, table
from agentnb.platforms.base import Capabilities
from agentnb.render.view import STATUS_MARKS, brief_seconds, dollars
from agentnb.run.agent_catalog import known_agents
from agentnb.run.clients import connect
from agentnb.store.filters import STATUSES
from agentnb.tables.pages import PageQuery, agent_names, page, row_of

if TYPE_CHECKING:
    from agentnb.store.record import RunRecord

#: Usage of ``%agent history``.
HISTORY_USAGE: Final = (
    "[COUNT] [--text T] [--agent A] [--status S] [--since 7d] | --sql QUERY [--engine duckdb] "
    "| prune | vacuum | export PATH | import PATH"
)
#: Actions with their usage and description.
HISTORY_ACTIONS: Final = {
    "prune": (
        "[--older-than 90d] [--keep N] [--max-bytes N] [--dry-run]",
        "Forget old runs; --dry-run only counts.",
    ),
    "vacuum": ("", "Give back the room that forgotten runs took."),
    "export": ("PATH", "Write all runs to a path that ends in .parquet or .jsonl."),
    "import": ("PATH", "Take in what was written so; a run that is there already stays."),
}
#: Description of the tables of ``--sql``.
HISTORY_TABLES: Final = (
    "--sql asks the tables runs, tool_calls and sessions; with --engine duckdb also events."
)
_ENGINES: Final = ("store", "duckdb")
_ACTIVE: Final = ("queued", "running", "paused")
_NONE: Final = "–"
_ROWS: Final = 20
# Longest page; `agentnb.runs()` returns all runs.
_MAX_ROWS: Final = 1000


def history(words: Sequence[str], *, mode: Mode) -> Any:
    """Execute ``%agent history``; return the value of the cell.

    Raises:
        RequestError: an option is unknown, lacks its value or contradicts another.
        HistoryError: the history cannot be used.
    """
    if words and words[0] in HISTORY_ACTIONS:
        return _act(words[0], words[1:])
    if words and not words[0].startswith("-"):
        _check_count(words[0])
    found = history_parser().parse_args(list(words))
    if found.sql is not None:
        if any((found.count, found.text, found.agent, found.status, found.since)):
            raise RequestError("--sql stands alone: write the rest as SQL.")
        return _query(found.sql, found.engine or "store")
    if found.engine is not None:
        raise RequestError("--engine says what answers --sql.", hint=HISTORY_TABLES)
    if found.count is not None:
        _check_count(found.count)
    query = PageQuery(
        text=found.text,
        agent=_agent_filter(found.agent),
        status=found.status or "",
        since=found.since,
        limit=_ROWS if found.count is None else min(int(found.count), _MAX_ROWS),
    )
    if mode != "widget":
        return run_table(query)

    from agentnb.widgets.history import HistoryWidget

    # The bundle is for viewers without a kernel or a widget manager.
    return HistoryWidget(query, bundle=run_table(query).bundle())


def history_help(words: Sequence[str]) -> Table:
    """Return the help of ``%agent history``, or of the action that ``words`` begin with."""
    name = words[0] if words else ""
    if name in HISTORY_ACTIONS:
        _, does = HISTORY_ACTIONS[name]
        return table([], empty=does, preformatted=history_parser(name).format_help())
    return table(
        [
            {"command": f"%agent history {action} {takes}".rstrip(), "what it does": does}
            for action, (takes, does) in HISTORY_ACTIONS.items()
        ],
        notes=[HISTORY_TABLES],
        preformatted=history_parser().format_help(),
    )


def history_parser(action: str = "") -> LineParser:
    """Return the parser of ``%agent history``, or of one of its actions."""
    if action not in HISTORY_ACTIONS:
        parser = LineParser("%agent history")
        add = parser.add_argument
        add("count", nargs="?", metavar="COUNT", help="how many runs to show")
        add("--text", default="", help="a part of the question or the answer")
        add("--agent", default="", help="agent, platform:agent or alias")
        add("--status", choices=STATUSES, metavar="STATUS", help=", ".join(STATUSES))
        add("--since", metavar="AGE", help="an age such as 7d or 12h, or a date")
        add("--sql", metavar="QUERY", help="one SELECT; stands alone")
        add(
            "--engine",
            choices=_ENGINES,
            metavar="ENGINE",
            help="what answers --sql: store or duckdb",
        )
        return parser
    parser = LineParser(f"%agent history {action}")
    add = parser.add_argument
    if action == "prune":
        add("--older-than", metavar="AGE", help="such as 90d")
        add("--keep", type=int, metavar="N", help="keep the N newest runs")
        add("--max-bytes", type=int, metavar="N", help="keep about so many bytes")
        add("--dry-run", action="store_true", help="only count")
    elif action != "vacuum":
        add("path", metavar="PATH", help="ends in .parquet or .jsonl")
    return parser


def _check_count(word: str) -> None:
    """Raise if ``word`` is not a number of runs, with a hint at what may be meant."""
    if word.isdecimal() and int(word) > 0:
        return
    if word.lstrip("-").isdecimal():
        raise RequestError(f"'{word}' is no number of runs.", hint="Write one of at least 1.")
    hint = suggestion(word, HISTORY_ACTIONS) or "'%agent history --help' shows what it takes."
    if is_agent_name(word):
        hint = f"For the runs of an agent write '%agent history --agent {word}'."
    raise RequestError(f"'{word}' is no number of runs.", hint=hint)


def is_agent_name(word: str) -> bool:
    """Return whether ``word`` is the name of an agent, perhaps one of the history, or an alias."""
    if ":" in word or word in config().all_aliases():
        return True
    try:
        names = {*known_agents(), *sandbox.agent_names(), *agent_names()}
    except AgentnbError:
        return False
    return word in names or word in {name.partition(":")[2] for name in names}


def _query(sql: str, engine: str) -> Any:
    from agentnb.tables.sql import query

    try:
        return query(sql, engine="duckdb" if engine == "duckdb" else "store")
    except RequestError as error:
        if error.hint:
            raise
        raise RequestError(error.message, hint=HISTORY_TABLES) from error.__cause__


def run_table(query: PageQuery) -> Table:
    """Return the runs that match as a table, newest first."""
    found = page(query)
    notes: list[str] = []
    if found.total > len(found.rows) > 0:
        all_ = f"{found.total:,}{'+' if found.more else ''}"
        notes.append(f"{len(found.rows):,} of {all_} runs; agentnb.runs() has them all.")
    return table(
        [_cells(row) for row in found.rows],
        empty="No run matches." if query.filtered else "No runs yet.",
        notes=notes,
    )


def active_runs(run_id: str | None, mine: Sequence[Any]) -> Table:
    """Return the active runs of this kernel and others, or the one of ``run_id``.

    ``mine`` are the runs of this kernel.

    Raises:
        RequestError: there is no such run.
    """
    if run_id is not None:
        own = [run for run in mine if run_id in (run.id, run.local_id)]
        rows = [_cells(row_of(run), run.elapsed) for run in own]
        if not rows and (stored := _stored(run_id)) is not None:
            rows = [_cells(stored, _elapsed(stored))]
        if not rows:
            raise RequestError(f"There is no run '{run_id}'.", hint="'%agent history' shows them.")
        return table(rows)
    notes: list[str] = []
    known = {run.local_id for run in mine}
    try:
        others = page(PageQuery(status=_ACTIVE, limit=100)).rows
    except AgentnbError as error:
        others, notes = (), [str(error)]
    there = [
        {**_cells(row, _elapsed(row)), "where": "elsewhere"}
        for row in others
        if row.key not in known
    ]
    where = {"where": "this kernel"} if there else {}
    active = [run for run in mine if not run.done]
    here = [_cells(row_of(run), run.elapsed) | where for run in active]
    return table([*here, *there], empty="No run is going on.", notes=notes)


def stop_error(run_id: str, mine: Sequence[Any]) -> RequestError:
    """Return the error that the run cannot be stopped here, with a hint at how it can."""
    for run in mine:
        if run_id in (run.id, run.local_id):
            return RequestError(f"The run '{run_id}' has ended: it is {run.status}.")
    try:
        from agentnb.store.lookup import known_run

        found = known_run(run_id)
    except (HistoryError, ImportError):
        found = None
    if found is None:
        return RequestError(
            f"There is no run '{run_id}' here.", hint="'%agent status' shows what goes on."
        )
    if found.status not in _ACTIVE:
        return RequestError(f"The run '{run_id}' has ended: it is {found.status}.")
    return RequestError(
        f"The run '{run_id}' goes on in another kernel, not in this one.",
        hint=_how_to_stop(found),
    )


def _how_to_stop(run: RunRecord) -> str:
    try:
        # Each kernel has its own of these.
        own = run.platform in ("local", EMBEDDED)
        abilities = Capabilities() if own else connect(run.platform, ask=False).capabilities
    except AgentnbError as error:
        return f"Stop it there; whether {run.platform} can stop it is not known here: {error}"
    if abilities.cancel and abilities.attach:
        session = f", session={run.session_id!r}" if run.session_id else ""
        target = f"{run.platform}:{run.agent or ''}"
        return f"To stop it: agentnb.attach({target!r}, {run.id!r}{session}).cancel()"
    if abilities.cancel:
        return f"agentnb.monitor({run.id!r}) shows it with a button that stops it."
    return "Only there can it be stopped: interrupt its cell, or write '%agent stop' there."


def _elapsed(row: RunRecord) -> float | None:
    if row.duration is not None:
        return row.duration / 1e6
    if row.status not in _ACTIVE:
        return None
    return max(0.0, datetime.now(UTC).timestamp() - row.started_at / 1e6)


def session_table(current: set[str]) -> Table:
    """Return the latest conversations; ``current`` are those that cells continue."""
    from agentnb.tables.runs import sessions

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
    return table(rows, empty="No conversations yet.")


def _act(action: str, words: Sequence[str]) -> Table:
    found = vars(history_parser(action).parse_args(list(words)))
    match action:
        case "prune":
            if all(found[name] is None for name in ("older_than", "keep", "max_bytes")):
                raise RequestError(
                    "What is to be forgotten?",
                    hint="Write --older-than 90d or --keep 10000; --dry-run only counts.",
                )
            from agentnb.store.retention import prune

            pruned = prune(**found)
            label = "would be forgotten" if found["dry_run"] else "forgotten"
            return table([{f"runs {label}": f"{pruned.runs:,}, about {_size(pruned.bytes)}"}])
        case "vacuum":
            from agentnb.store.retention import vacuum

            return table([{"given back": _size(vacuum())}])
        case _:
            from agentnb.store.transfer import export_history, import_history

            if action == "import":
                return table([{"runs taken in": f"{import_history(found['path']):,}"}])
            return table([{"written to": export_history(found["path"])}])


def _agent_filter(agent: str) -> str:
    from agentnb.platforms import registry

    try:
        aliases = config().all_aliases()
    except AgentnbError:
        return agent
    return str(config().resolve(agent, registry.names())) if agent in aliases else agent


def _stored(run_id: str) -> RunRecord | None:
    try:
        from agentnb.store.stored_run import load

        return row_of(load(run_id))
    except (HistoryError, ImportError):
        return None


def _cells(row: RunRecord, took: float | None = None) -> dict[str, str]:
    if took is None and row.duration is not None:
        took = row.duration / 1e6
    return {
        "run": row.id,
        "agent": f"{row.platform}:{row.agent or ''}",
        "status": f"{STATUS_MARKS.get(row.status, '')} {row.status}".strip(),  # pyright: ignore
        "when": _when(row.started_at / 1e6),
        "duration": _NONE if took is None else brief_seconds(took),
        "tokens": _NONE if row.total_tokens is None else f"{row.total_tokens:,}",
        "cost": _NONE if row.cost_usd is None else dollars(row.cost_usd),
        "question": row.prompt or "",
    }


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def _size(count: float) -> str:
    for power, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= power:
            return f"{count / power:,.1f} {unit}"
    return f"{count:.0f} bytes"

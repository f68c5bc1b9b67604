"""From every older schema to the newest, on both databases: nothing is lost, and it is what
`schema` says."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from agentnb.store import migrations
from agentnb.store.recorder import use
from agentnb.store.schema import USAGE, content, metadata, process, run, tool_call
from agentnb.store.store import Store, store
from agentnb.tables.columns import RUN_COLUMNS, SESSION_COLUMNS, TOOL_CALL_COLUMNS
from tests.history.rows import NOON, a_process, a_run, add

# What an older agentnb may have written, by table of the first schema.
ROWS: dict[str, dict[str, Any]] = {
    "process": {**a_process(), "user_name": "ann", "ended_at": 3},
    "run": {
        **a_run("1"),
        "title": "Ä long title",
        "run_id": "run-1",
        "session_id": "s1",
        "model": "m",
        "user_name": "ann",
        "finished_at": NOON + 2_500_000,
        "duration": 2_500_000,
        "first_token": 500_000,
        "input_tokens": 1,
        "output_tokens": 2,
        "total_tokens": 3,
        "cached_tokens": 0,
        "reasoning_tokens": 0,
        "cost_usd": 0.1,
        "tool_calls": 1,
        "tool_errors": 0,
        "events": 2,
        "error": "e",
        "error_code": "c",
        "error_class": "C",
        "pulled_at": 4,
    },
    "content": {
        "run": "1",
        "prompt": "?",
        "text": "!",
        "reasoning": "r",
        "request": "{}",
        "remote": '{"id": 1}',
    },
    "event_chunk": {"run": "1", "first": 0, "count": 2, "payload": '["a", "b"]'},
    "tool_call": {
        "run": "1",
        "position": 0,
        "call_id": "c",
        "name": "search",
        "status": "completed",
        "started": 1_000_000,
        "finished": 1_250_000,
        "arguments": "{}",
        "result": "found",
        "error": None,
    },
    "cursor": {"platform": "sandbox", "scope": "", "newest": 5, "pulled_at": 6},
}

OPEN = """
    import sys
    from agentnb.store.recorder import use
    from agentnb.store.store import store
    use(sys.argv[1])
    sys.stdin.readline()
    with store(required=True).connect() as connection:
        print(connection.exec_driver_sql("SELECT version_num FROM alembic_version").all())
"""


@contextmanager
def first_schema(url: str) -> Generator[sa.Connection]:
    """The store as the first version made it, with a row in every table."""
    engine = sa.create_engine(url)
    try:
        with engine.begin() as connection:
            migrations.upgrade(connection, "0001")
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def fill(connection: sa.Connection) -> None:
    for name, row in ROWS.items():
        table = metadata.tables[name]
        connection.execute(table.insert().values(row))


@pytest.fixture
def migrated(history_url: str) -> Iterator[Store]:
    with first_schema(history_url) as connection:
        fill(connection)
    use(history_url)
    try:
        yield store(required=True)
    finally:
        use(None)


def test_the_steps_are_those_that_are_named() -> None:
    folder = Path(migrations.__file__).parent
    steps = list(ScriptDirectory(str(folder)).walk_revisions())
    assert tuple(step.revision for step in reversed(steps)) == migrations.REVISIONS
    # One line of steps, and their numbers are their order.
    assert [step.down_revision for step in reversed(steps)] == [None, *migrations.REVISIONS[:-1]]
    assert list(migrations.REVISIONS) == sorted(migrations.REVISIONS)


def test_nothing_is_lost(migrated: Store) -> None:
    with migrated.connect() as connection:
        for name, row in ROWS.items():
            # Every column of the first schema is in it, so that none is forgotten here.
            found = connection.execute(sa.select(metadata.tables[name])).mappings().all()
            assert [{key: each[key] for key in row} for each in found] == [row]
            later = {key: value for key, value in found[0].items() if key not in row}
            new = {"run": {"reconnects": None}, "content": {"refusal": None, "state": None}}
            assert later == new.get(name, {})


@pytest.mark.parametrize("fixture", ["history_store", "migrated"])
def test_the_steps_make_what_the_schema_says(
    request: pytest.FixtureRequest, fixture: str, history_url: str
) -> None:
    found: Store = request.getfixturevalue(fixture)
    options = {"compare_type": True, "compare_server_default": True}
    with found.connect() as connection, warnings.catch_warnings():
        # Of SQLite, an index over an expression cannot be read back; it has a test of its own.
        warnings.filterwarnings("ignore", message=".*expression-based index")
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


def test_a_difference_would_be_found(history_store: Store) -> None:
    other = sa.MetaData()
    for table in metadata.tables.values():
        table.to_metadata(other)
    other.tables["run"].append_column(sa.Column("more", sa.Text))
    with history_store.connect() as connection, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*expression-based index")
        context = MigrationContext.configure(connection)
        assert len(compare_metadata(context, other)) == 1


def test_usage_is_read_from_its_index_alone(tmp_path: Path) -> None:
    names = ", ".join(f"max({column.name})" for column in USAGE.columns)
    use(tmp_path / "history.sqlite")
    try:
        with store(required=True).connect() as connection:
            (plan,) = connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN SELECT started_at / 3600000000, agent, count(*), {names}"
                " FROM run GROUP BY 1, 2"
            ).all()
    finally:
        use(None)
    assert plan[3] == "SCAN run USING COVERING INDEX ix_run_usage"


@pytest.mark.slow
@pytest.mark.parametrize("is_old", [False, True], ids=["empty", "old"])
def test_several_that_open_it_at_once(history_url: str, is_old: bool) -> None:
    if is_old:
        with first_schema(history_url) as connection:
            fill(connection)
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(OPEN), history_url]
    kernels = [
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    try:
        for kernel in kernels:
            assert kernel.stdin is not None
            kernel.stdin.write("\n")
            kernel.stdin.flush()
        outputs = [kernel.communicate(timeout=120) for kernel in kernels]
    finally:
        for kernel in kernels:
            kernel.kill()
            kernel.wait()
    # Had a second one tried, too, its tables would have been there already: an error.
    assert outputs == [(f"[('{migrations.HEAD}',)]\n", "")] * 4
    if is_old:
        use(history_url)
        try:
            with store(required=True).connect() as connection:
                assert connection.execute(sa.select(run.c.title)).scalar() == "Ä long title"
        finally:
            use(None)


def test_the_views_have_the_columns_of_the_tables(history_store: Store) -> None:
    with history_store.connect() as connection:
        inspector = sa.inspect(connection)
        assert set(inspector.get_view_names()) == {"runs", "sessions", "tool_calls"}

        def names(view: str) -> list[str]:
            return [column["name"] for column in inspector.get_columns(view)]

        assert names("tool_calls") == list(TOOL_CALL_COLUMNS)
        assert names("sessions") == list(SESSION_COLUMNS)
        # What only the platform knows is one column of JSON.
        own = names("runs")
        assert own == [*list(RUN_COLUMNS)[: len(own) - 1], "remote"]
        assert own[-2] == "local_id"


def test_what_the_views_show(history_store: Store) -> None:
    add(history_store, process, a_process())
    add(history_store, run, ROWS["run"])
    add(history_store, run, a_run("2", session_id="s1", started_at=NOON + 60_000_000))
    add(history_store, content, ROWS["content"], {**ROWS["content"], "run": "2", "prompt": "so?"})
    add(history_store, tool_call, ROWS["tool_call"])
    with history_store.connect() as connection:
        first, second = connection.exec_driver_sql(
            "SELECT * FROM runs ORDER BY started_at"
        ).mappings()
        (call,) = connection.exec_driver_sql("SELECT * FROM tool_calls").mappings()
        (session,) = connection.exec_driver_sql("SELECT * FROM sessions").mappings()
    assert [_text(first[name]) for name in ("started_at", "finished_at")] == [
        "2026-01-01 12:00:00.000001",
        "2026-01-01 12:00:02.500001",
    ]
    names = ("run_id", "prompt", "duration", "time_to_first_token", "total_tokens", "cost_source")
    assert [first[name] for name in names] == ["run-1", "?", 2.5, 0.5, 3, "platform"]
    # Nothing is known of it; its own id stands for the platform's.
    assert second["finished_at"] is None
    assert (second["run_id"], second["duration"], second["cost_source"]) == ("2", None, None)
    assert _text(call["started_at"]) == "2026-01-01 12:00:01.000001"
    assert (call["run_id"], call["duration"]) == ("run-1", 0.25)
    assert (session["runs"], session["total_tokens"], session["cost_usd"]) == (2, 3, 0.1)
    assert (session["first_prompt"], session["last_prompt"]) == ("?", "so?")
    assert _text(session["last_at"]) == "2026-01-01 12:01:00.000001"
    assert isinstance(first["duration"], float)
    assert isinstance(session["total_tokens"], int)


def _text(moment: Any) -> str:
    """SQLite gives text in UTC; PostgreSQL a moment, in the zone of the session."""
    if isinstance(moment, str):
        return moment
    from datetime import UTC

    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")

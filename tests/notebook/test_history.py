"""``%agent history`` and what other commands tell from the history, in a real kernel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.notebook.conftest import Kernel

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def seeded(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """The kernel with a store of its own, of three runs."""
    folder = tmp_path_factory.mktemp("history")
    cell = kernel.run(
        f"""
        agentnb.history.use({str(folder / "history.sqlite")!r})
        folder = {str(folder)!r}
        for prompt in ("one", "two", "three"):
            greeter.run(prompt)
        broken.run("four", check=False)
        """
    )
    assert cell.ok, cell.reply
    yield kernel
    kernel.run("agentnb.history.use(None)")


def text(kernel: Kernel, line: str, **options: Any) -> str:
    cell = kernel.run(line, **options)
    assert cell.ok, cell.reply
    return cell.result["text/plain"]


def error(kernel: Kernel, line: str) -> str:
    cell = kernel.run(line)
    assert not cell.ok
    return f"{cell.reply['ename']}: {cell.reply['evalue']}"


def test_it_is_a_widget_where_somebody_looks_and_a_table_elsewhere(seeded: Kernel) -> None:
    shown = seeded.run("%agent history").result
    assert WIDGET in shown
    assert "<table>" in shown["text/html"]
    static = seeded.run("%agent history 2", attended=False).result
    assert WIDGET not in static
    lines = static["text/plain"].splitlines()
    assert lines[0].split() == [
        "run", "agent", "status", "when", "duration", "tokens", "cost", "question",
    ]  # fmt: skip
    assert [line.split()[-1] for line in lines[1:3]] == ["four", "three"]
    assert lines[3] == "2 of 4 runs; agentnb.runs() has them all."


def test_options_filter(seeded: Kernel) -> None:
    def found(line: str) -> list[str]:
        lines = text(seeded, f"%agent history {line}", attended=False).splitlines()
        return [each.split()[-1] for each in lines[1:]]

    assert found("--status failed") == ["four"]
    assert found("--text **TWO**") == ["two"]
    assert found("--agent local:greeter --since 1h") == ["three", "two", "one"]
    assert text(seeded, "%agent history --agent nobody", attended=False) == "No run matches."


def test_what_cannot_be_understood_is_said_in_a_line(seeded: Kernel) -> None:
    assert "no number of runs" in error(seeded, "%agent history many")
    assert "moment" in error(seeded, "%agent history --since yesterdayish")
    assert "--status" in error(seeded, "%agent history --status asleep")
    assert "--sql stands alone" in error(seeded, "%agent history 5 --sql 'select 1'")
    assert "at least 1" in error(seeded, "%agent history 0")
    assert "at least 1" in error(seeded, "%agent history -3")
    assert "Did you mean 'prune'?" in error(seeded, "%agent history prun")
    assert "--agent finance_agent" in error(seeded, "%agent history finance_agent")
    assert "--agent greeter" in error(seeded, "%agent history greeter")
    assert "Did you mean 'completed'?" in error(seeded, "%agent history --status complete")
    assert "Did you mean '--dry-run'?" in error(seeded, "%agent history prune --dryrun")
    assert "--engine says" in error(seeded, "%agent history --engine duckdb")
    assert "Did you mean" in error(seeded, "%agent history --tex x")
    assert "What is to be forgotten?" in error(seeded, "%agent history prune")


def test_sql_is_answered_with_a_table(seeded: Kernel) -> None:
    line = '%agent history --sql "select agent, count(*) as n from runs group by agent order by n"'
    assert text(seeded, line).split() == ["agent", "n", "0", "broken", "1", "1", "greeter", "3"]


def test_sql_can_be_answered_by_duckdb(seeded: Kernel) -> None:
    line = '%agent history --engine duckdb --sql "select count(*) > 3 as n from events"'
    assert text(seeded, line).split() == ["n", "0", "True"]


@pytest.mark.parametrize("engine", ["store", "duckdb"])
def test_wrong_sql_is_told_with_the_tables_that_there_are(seeded: Kernel, engine: str) -> None:
    said = error(seeded, f'%agent history --engine {engine} --sql "select 1 from rums"')
    assert "rums" in said
    for table in ("runs", "tool_calls", "sessions", "events"):
        assert table in said
        line = f'%agent history --sql "select count(*) from {table}" --engine {engine}'
        if table != "events" or engine == "duckdb":
            assert text(seeded, line)


def test_help_of_one_command(seeded: Kernel) -> None:
    shown = text(seeded, "%agent history --help")
    assert "%agent history prune" in shown
    assert "tool_calls" in shown
    assert "--since AGE" in shown
    pruning = text(seeded, "%agent history prune --help")
    assert "--older-than" in pruning
    assert "--since" not in pruning
    assert "%agent status [RUN]" in text(seeded, "%agent status --help")


def test_it_is_exported_taken_in_pruned_and_vacuumed(seeded: Kernel) -> None:
    written = text(seeded, "%agent history export {folder}/runs.jsonl")
    assert "runs.jsonl" in written
    counted = text(seeded, "%agent history prune --keep 1 --dry-run")
    assert "runs would be forgotten" in counted
    assert "3, about" in counted
    assert "runs forgotten" in text(seeded, "%agent history prune --keep 1")
    assert "given back" in text(seeded, "%agent history vacuum")
    assert "four" in text(seeded, "%agent history", attended=False)
    assert text(seeded, "%agent history import {folder}/runs.jsonl").split()[-1] == "3"
    assert "4 runs" in text(seeded, "%agent doctor")


def test_other_commands_tell_of_it(seeded: Kernel) -> None:
    checks = text(seeded, "%agent doctor")
    assert "works, " in checks
    assert "history.sqlite" in checks
    sessions = text(seeded, "%agent sessions")
    assert "local:greeter" in sessions
    assert "three" in sessions
    help_ = text(seeded, "%agent help")
    assert "%agent history prune" in help_
    going = seeded.run("going = slow.start('for long')").ok
    assert going
    assert "local:slow" in text(seeded, "%agent status")
    stopped = seeded.run("going.cancel(); going.wait(check=False)\nprint(going.id)")
    run_id = stopped.stdout.strip()
    assert text(seeded, "%agent status") == "No run is going on."
    assert "cancelled" in text(seeded, f"%agent status {run_id}")
    assert "There is no run" in error(seeded, "%agent status nobody")


def test_status_knows_what_goes_on_elsewhere(seeded: Kernel) -> None:
    done = seeded.run(
        """
        from agentnb.store.schema import run as _runs
        from agentnb.store.store import store as _store
        far = dict(key="e" * 32, source="platform", platform="seekr", agent="far", run_id="run_far",
                   status="running", started_at=1795333947000000)
        with _store(required=True).begin() as connection:
            connection.execute(_runs.insert().values(far))
        """
    )
    assert done.ok, done.reply
    (line,) = text(seeded, "%agent status").splitlines()[1:]
    assert "seekr:far" in line
    assert line.endswith("elsewhere")
    (one,) = text(seeded, "%agent status run_far").splitlines()[1:]
    assert "running" in one
    # For how long it has gone on: some seconds or more, not that nothing is known.
    assert re.search(r"running +\d{4}-\d\d-\d\d \d\d:\d\d +\d", one)
    said = error(seeded, "%agent stop run_far")
    assert "goes on in another kernel" in said
    assert "No API key" in said
    assert "There is no run" in error(seeded, "%agent stop nobody")


def test_how_a_run_is_stopped_that_goes_on_elsewhere(seeded: Kernel) -> None:
    done = seeded.run(
        """
        import os
        os.environ["OPERATIVUS_API_KEY"] = os.environ["RUNTOOLS_API_KEY"] = "k" * 12
        base = dict(source="recorded", status="running", started_at=1795333947000000)
        with _store(required=True).begin() as connection:
            for key, platform, run_id in (
                ("1" * 32, "operativus", "run_op"), ("2" * 32, "local", None),
            ):
                connection.execute(_runs.insert().values(
                    key=key, platform=platform, agent="far", run_id=run_id, **base
                ))
        """
    )
    assert done.ok, done.reply
    assert "agentnb.attach('operativus:far', 'run_op').cancel()" in error(
        seeded, "%agent stop run_op"
    )
    assert "Only there can it be stopped" in error(seeded, f"%agent stop {'2' * 32}")
    watched = seeded.run(
        f"print([(r.status, r.final, r.detail) for r in agentnb.monitor({'2' * 32!r}).rows()])"
    )
    assert "another kernel" in watched.stdout
    ended = seeded.run("gone = greeter.run('x'); gone.id").result["text/plain"].strip("'")
    assert "has ended: it is completed" in error(seeded, f"%agent stop {ended}")
    seeded.run("del os.environ['OPERATIVUS_API_KEY'], os.environ['RUNTOOLS_API_KEY']")


def test_completion(seeded: Kernel) -> None:
    def completed(line: str) -> list[str]:
        return seeded.run(
            f"from agentnb.notebook.completion_choices import complete\ncomplete({line!r})"
        ).result["text/plain"]  # pyright: ignore

    assert "'prune'" in completed("%agent history ")
    assert "'--status'" in completed("%agent history --st")
    assert "'failed'" in completed("%agent history --status f")
    assert "'--dry-run'" in completed("%agent history prune --d")


def test_a_history_that_is_off_and_one_that_cannot_be_used(seeded: Kernel, tmp_path: Path) -> None:
    file = tmp_path / "broken.sqlite"
    file.write_bytes(b"this is no database" * 500)
    seeded.run("agentnb.history.use('off')")
    # This kernel's own runs are what there is.
    assert "four" in text(seeded, "%agent history", attended=False)
    assert "off" in text(seeded, "%agent doctor")
    seeded.run(
        f"import warnings; warnings.simplefilter('ignore'); agentnb.history.use({str(file)!r})"
    )
    assert "four" in text(seeded, "%agent history", attended=False)
    assert "not an SQLite database" in text(seeded, "%agent doctor")

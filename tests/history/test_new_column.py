"""A new column is a field of the record and a migration, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import agentnb
from agentnb import history

MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade():
    op.add_column("run", sa.Column("words", sa.Integer()))
"""
# What a change of `record.RunRecord` and `migrations.REVISIONS` would do.
CHANGE = """
import shutil, sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

import agentnb
from agentnb import history
from agentnb.store import migrations, record

folder, migration = Path(sys.argv[1]), sys.argv[2]

@dataclass(slots=True, kw_only=True)
class RunRecord(record.RunRecord):
    words: int | None = record.column("integer", "Int64")

    @classmethod
    def from_run(cls, run, *, process, user):
        made = super(RunRecord, cls).from_run(run, process=process, user=user)
        made.words = len(run.transcript.text.split())
        return made

record.RunRecord = RunRecord
record.column_info.cache_clear()
shutil.copytree(migrations.FOLDER, folder / "migrations")
(folder / "migrations" / "versions" / "0006_words.py").write_text(migration)
migrations.FOLDER = folder / "migrations"
migrations.REVISIONS = (*migrations.REVISIONS, "0006")
migrations.HEAD = "0006"
"""
USE = """
def count(prompt):
    return "one two three"

agentnb.agent(count).run("how many?")

def column(table):
    return [None if pd.isna(value) else int(value) for value in table["words"]]

# In the store, also of a run from before the migration.
assert column(agentnb.runs(order="started_at")) == [None, 3], agentnb.runs()
for name in ("run", "runs"):
    stored = history.query(f"SELECT words FROM {name} ORDER BY started_at")
    assert column(stored) == [None, 3]
# In exports, and read from them.
for name in ("runs.jsonl", "runs.parquet"):
    history.export_history(folder / name)
    history.use(folder / f"{name}.sqlite")
    assert history.import_history(folder / name) == 2
    assert column(agentnb.runs(order="started_at")) == [None, 3]
    history.use(None)
# In lists of runs, and without a store.
assert column(history.RunList(history.recent_runs()).DataFrame()) == [3]
history.use("off")
assert column(agentnb.runs()) == [3]
"""


def test_store_export_and_table(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    history.use(path)

    def answer(prompt: str) -> str:
        return "before"

    try:
        agentnb.agent(answer).run("first")
        assert history.flush(30)
    finally:
        history.use("off")
    subprocess.run(
        [sys.executable, "-c", CHANGE + USE, str(tmp_path), MIGRATION],
        env={**os.environ, "AGENTNB_HISTORY": str(path)},
        check=True,
        timeout=120,
    )

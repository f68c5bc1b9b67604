"""How often a run's stream was taken up again: counted, kept, written out and read back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pandas as pd
import pytest

import agentnb
from agentnb import history
from agentnb._http.retry import Retries
from agentnb.errors import StreamCutError
from agentnb.event.types import Event, RunFinished, TextDelta
from agentnb.platforms.base import RunRequest
from agentnb.store.schema import process, run
from agentnb.store.store import Store
from agentnb.store.stored_run import load, read_export
from agentnb.store.transfer import export_history, import_history
from tests.history.recorded import recorded
from tests.history.rows import a_process, a_run, add
from tests.played import LONG, STARTED, Batches, PlayedPlatform, player


class Piecewise(PlayedPlatform):
    """Breaks off after each word; ``answers`` are what the further attempts bring, None nothing."""

    def __init__(self, *answers: str | None) -> None:
        super().__init__(self._begin)
        self.answers = list(answers)

    async def _begin(self, request: RunRequest) -> Batches:
        yield [STARTED, TextDelta("first ")]
        raise StreamCutError("The connection broke off.")

    async def resume(
        self,
        request: RunRequest,
        *,
        run_id: str | None,
        session_id: str | None,
        delivered: Sequence[Event],
    ) -> AsyncGenerator[list[Event], None]:
        if (word := self.answers.pop(0)) is not None:
            yield [TextDelta(word)]
        if self.answers:
            raise StreamCutError("The connection broke off.")
        if word is not None:
            yield [RunFinished()]


def asked(*answers: str | None, retries: Retries | None = None) -> agentnb.Run:
    return player(Piecewise(*answers)).start("q", retries=retries).wait(LONG, check=False)


def column() -> pd.Series:
    return agentnb.runs()["reconnects"]


def test_what_brought_nothing_is_not_counted(history_store: Store, tmp_path: Path) -> None:
    done = asked("second ", None, "third")
    assert (done.status, done.text) == ("completed", "first second third")
    assert done.reconnects == 2
    assert recorded(history_store, done).run["reconnects"] == 2
    assert column().tolist() == [2]
    assert column().dtype == "Int64"
    with history_store.connect() as connection:
        (seen,) = connection.exec_driver_sql("SELECT reconnects FROM runs").scalars()
    assert seen == 2
    assert load(done.local_id).reconnects == 2
    assert read_export(done.export(tmp_path / "run.json")).reconnects == 2


def test_none_and_what_nobody_counted(history_store: Store) -> None:
    lost = asked(None, retries=Retries(reconnects=1))
    assert (lost.status, lost.reconnects) == ("truncated", 0)
    assert recorded(history_store, lost).run["reconnects"] == 0
    # As an older agentnb left them.
    add(history_store, process, a_process())
    add(history_store, run, a_run("older"))
    assert column().isna().tolist() == [False, True]
    assert load("older").reconnects is None


@pytest.mark.parametrize("name", ["runs.jsonl", "runs.parquet"])
def test_it_goes_out_to_files_and_comes_back(
    history_store: Store, tmp_path: Path, name: str
) -> None:
    recorded(history_store, asked("second"))
    add(history_store, process, a_process())
    add(history_store, run, a_run("older"))
    export_history(tmp_path / name)
    history.use(tmp_path / "other.sqlite")
    assert import_history(tmp_path / name) == 2
    assert column().fillna(-1).tolist() == [1, -1]


def test_without_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTNB_HISTORY", "off")
    history.use(None)
    done = asked("second")
    assert agentnb.runs(limit=1).set_index("local_id")["reconnects"].to_dict() == {done.local_id: 1}

"""What is done is not done again, and each row is in the table once."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentnb
from agentnb import BatchError, ConfigError, RequestError
from agentnb.batch.checkpoint import Checkpoint
from agentnb.batch.rows import RowResult

Function = Callable[..., Any]


class Agents:
    """An agent that counts how often it is asked what."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.bad: set[str] = set()

    async def answer(self, prompt: str) -> str:
        self.asked.append(prompt)
        if prompt in self.bad:
            raise ValueError("it broke")
        return f"{prompt} #{len(self.asked)}"

    def map(self, data: Any, prompt: Any = None, **options: Any) -> pd.DataFrame:
        return agentnb.agent(self.answer).map(data, prompt, progress=False, **options)


@pytest.fixture
def agents() -> Agents:
    return Agents()


class TestGoingOn:
    def test_only_missing_and_failed_rows_are_run(self, agents: Agents) -> None:
        agents.bad = {"b"}
        first = agents.map(["a", "b", "c"], checkpoint="done.sqlite")
        assert list(first["status"]) == ["completed", "failed", "completed"]
        agents.bad, agents.asked = set(), []
        second = agents.map(["a", "b", "c", "d"], checkpoint="done.sqlite")
        assert sorted(agents.asked) == ["b", "d"]
        assert list(second["status"]) == ["completed"] * 4
        kept = [
            "answer",
            "run_id",
            "local_id",
            "started_at",
            "duration",
            "attempts",
            "total_tokens",
        ]
        pd.testing.assert_frame_equal(first.loc[[0, 2], kept], second.loc[[0, 2], kept])

    def test_the_order_may_be_another(self, agents: Agents) -> None:
        agents.map(["a", "b"], checkpoint="done.sqlite")
        again = agents.map(pd.Series(["b", "x", "a"]), checkpoint="done.sqlite")
        assert [answer[0] for answer in again["answer"]] == ["b", "x", "a"]
        assert agents.asked == ["a", "b", "x"]

    def test_equal_rows_are_rows_of_their_own(self, agents: Agents) -> None:
        first = agents.map(["a", "a", "a"], checkpoint="done.sqlite")
        assert first["run_id"].nunique() == 3
        again = agents.map(["a"] * 4, checkpoint="done.sqlite")
        assert list(again["run_id"][:3]) == list(first["run_id"])
        assert len(agents.asked) == 4

    def test_other_settings_are_other_rows(self, agents: Agents) -> None:
        agents.map(["a"], checkpoint="done.sqlite")
        agents.map(["a"], checkpoint="done.sqlite", tone="dry")
        agents.map(["a"], checkpoint="done.sqlite", media=b"1")
        agents.map(["a"], checkpoint="done.sqlite", media=b"2")
        agents.map(["a"], checkpoint="done.sqlite", output_type=str)
        assert len(agents.asked) == 5
        agents.map(["a"], checkpoint="done.sqlite", media=b"2", timeout=60, concurrency=2)

        def ask(item: int) -> str:
            return "a"

        agents.map([1], ask, checkpoint="done.sqlite")
        assert len(agents.asked) == 5

    def test_so_are_those_of_another_agent(self, echo: agentnb.Agent, agents: Agents) -> None:
        agents.map(["a"], checkpoint="done.sqlite")
        table = echo.map(["a"], checkpoint="done.sqlite", progress=False)
        assert list(table["answer"]) == ["a"]

    def test_a_file_is_recognized_by_its_content(self, agents: Agents, tmp_path: Path) -> None:
        picture = tmp_path / "picture.png"
        picture.write_bytes(b"1")
        agents.map(["a"], media=picture, checkpoint="done.sqlite")
        agents.map(["a"], media=str(picture), checkpoint="done.sqlite")
        assert len(agents.asked) == 1
        picture.write_bytes(b"2")
        agents.map(["a"], media=picture, checkpoint="done.sqlite")
        assert len(agents.asked) == 2

    def test_structured_answers_are_parsed_again(self) -> None:
        calls: list[str] = []

        async def number(prompt: str) -> str:
            calls.append(prompt)
            return prompt

        schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
        agent = agentnb.agent(number)
        for _ in range(2):
            table = agent.map(
                ['{"n": 3}'], checkpoint="done.sqlite", output_type=schema, progress=False
            )
            assert list(table["parsed_n"]) == [3]
        assert len(calls) == 1

    def test_resume_after_a_row_ended_the_map(self, agents: Agents) -> None:
        agents.bad = {"c"}
        with pytest.raises(BatchError, match=r"done\.sqlite"):
            agents.map(["a", "b", "c"], concurrency=1, on_error="raise", checkpoint="done.sqlite")
        agents.bad = set()
        table = agents.map(["a", "b", "c"], on_error="raise", checkpoint="done.sqlite")
        assert list(table["status"]) == ["completed"] * 3
        assert sorted(agents.asked) == ["a", "b", "c", "c"]


class TestTheFile:
    def test_only_the_user_reads_it(self, agents: Agents, tmp_path: Path) -> None:
        agents.map(["a"], checkpoint=tmp_path / "new" / "folder" / "done.sqlite")
        path = tmp_path / "new" / "folder" / "done.sqlite"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert list(path.parent.iterdir()) == [path]

    def test_neither_prompts_nor_keys_are_in_it(self, tmp_path: Path) -> None:
        key = "sk-of-this-test-0123456789"

        async def leak(prompt: str) -> str:
            return f"the key is {key}"

        agent = agentnb.agent(leak, token=key)
        agent.map(["an unlikely prompt"], checkpoint="done.sqlite", progress=False, hint=key)
        content = (tmp_path / "done.sqlite").read_bytes()
        assert b"an unlikely prompt" not in content
        # What an agent says by itself is an answer; what was given as a setting is not kept.
        assert content.count(key.encode()) == 1

    def test_one_of_another_kind_is_left_alone(self, agents: Agents, tmp_path: Path) -> None:
        other = tmp_path / "other.sqlite"
        connection = sqlite3.connect(other)
        connection.execute("CREATE TABLE mine (x)")
        connection.commit()
        connection.close()
        text = tmp_path / "text.csv"
        text.write_text("a,b\n" * 500)
        for path, before in [(other, other.read_bytes()), (text, text.read_bytes())]:
            with pytest.raises(ConfigError, match="cannot be used"):
                agents.map(["a"], checkpoint=path)
            assert path.read_bytes() == before
        with pytest.raises(ConfigError, match="cannot be used"):
            agents.map(["a"], checkpoint=tmp_path)
        assert agents.asked == []

    def test_one_that_cannot_be_written_costs_no_row(self, agents: Agents, tmp_path: Path) -> None:
        path = tmp_path / "done.sqlite"
        agents.map(["a"], checkpoint=path)
        connection = sqlite3.connect(path)
        connection.execute("DROP TABLE row")
        connection.execute("CREATE TABLE row (settings, key, result CHECK (result IS NULL))")
        connection.commit()
        connection.close()
        with pytest.warns(RuntimeWarning, match="cannot be written"):
            table = agents.map(["b", "c"], checkpoint=path)
        assert list(table["status"]) == ["completed"] * 2


# Row -> what becomes of it when it is first asked.
outcomes = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["done", "failed", "lost"])), max_size=12
)


@given(outcomes, st.integers(1, 4))
def test_each_row_is_in_the_table_once_whatever_was_lost(
    rows: list[tuple[str, str]], concurrency: int
) -> None:
    """As after a process that ended anywhere: some rows are in the file, some are not."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "done.sqlite"
        prompts = [prompt for prompt, _ in rows]
        agents = Agents()
        whole = agents.map(prompts, checkpoint=path, concurrency=concurrency)
        if rows:
            # What was lost, and what failed, was never written.
            with sqlite3.connect(path) as connection:
                keys = {run: key for key, run in _runs(connection)}
                gone = [
                    (keys[run_id],)
                    for run_id, (_, what) in zip(whole["run_id"], rows, strict=True)
                    if what != "done"
                ]
                connection.executemany("DELETE FROM row WHERE key = ?", gone)
            connection.close()
        agents.asked.clear()
        again = agents.map(prompts, checkpoint=path, concurrency=concurrency)
        assert not rows or list(again["item"]) == prompts
        assert set(again["status"]) <= {"completed"}
        assert again["run_id"].is_unique
        missing = [prompt for prompt, what in rows if what != "done"]
        assert sorted(agents.asked) == sorted(missing)
        for before, after, (_, what) in zip(whole["run_id"], again["run_id"], rows, strict=True):
            assert (before == after) is (what == "done")


def _runs(connection: sqlite3.Connection) -> list[tuple[bytes, str]]:
    found = connection.execute("SELECT key, json_extract(result, '$.run_id') FROM row")
    return [(key, run) for key, run in found]


texts = st.text(max_size=20)


@given(
    st.builds(
        RowResult,
        position=st.just(-1),
        status=st.just("completed"),
        answer=st.none() | texts | st.just("\ud800 alone"),
        run_id=st.none() | texts,
        started_at=st.none() | st.integers(-(2**62), 2**62),
        duration=st.none() | st.floats(0, 1e9),
        total_tokens=st.none() | st.integers(0, 2**70),
        cost_usd=st.none() | st.floats(0, 1e6),
        attempts=st.integers(1, 9),
        error=st.none() | texts,
        key=st.just(b"k"),
    )
)
def test_stored_results_are_read_back(result: RowResult) -> None:
    with TemporaryDirectory() as folder:
        first = Checkpoint(Path(folder) / "x", b"s")
        first.put(result)
        first.close()
        again = Checkpoint(Path(folder) / "x", b"s")
        assert again.take(b"k") == result
        # Once: another row has another key.
        assert again.take(b"k") is None
        assert Checkpoint(Path(folder) / "x", b"other").take(b"k") is None


def test_a_row_without_a_key_fails(agents: Agents, tmp_path: Path) -> None:
    def gone(item: str) -> Path:
        return tmp_path / "gone.png"

    table = agents.map(["a"], media=gone, checkpoint="done.sqlite")
    assert list(table["status"]) == ["failed"]
    with pytest.raises(RequestError):
        agents.map(["a"], media=5, checkpoint="done.sqlite")

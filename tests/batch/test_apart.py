"""A map beside other things: forks, recordings, keys, what shows it, and many rows."""

from __future__ import annotations

import io
import logging
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import agentnb
from agentnb import Deadlines
from agentnb.batch import mapping
from agentnb.batch import progress as progress_module
from agentnb.batch.progress import Progress, create_display
from agentnb.batch.rows import Row, RowResult
from agentnb.sandbox import Sandbox
from tests.children import python


class RecordingDisplay:
    """Records the updates."""

    def __init__(self) -> None:
        self.updates: list[Progress] = []
        self.lines: list[str | None] = []

    def update(self, progress: Progress) -> None:
        self.updates.append(progress)

    def close(self, progress: Progress, line: str | None) -> None:
        self.updates.append(progress)
        self.lines.append(line)


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> RecordingDisplay:
    made = RecordingDisplay()

    def make(name: str) -> RecordingDisplay:
        return made

    monkeypatch.setattr(progress_module, "_make", make)
    return made


async def shout(prompt: str) -> str:
    if prompt == "bad":
        raise ValueError("it broke")
    return prompt.upper()


class TestProgress:
    def test_it_grows_to_the_end(self, display: RecordingDisplay) -> None:
        data = ["a", "bad", *map(str, range(30))]
        agentnb.agent(shout).map(data, concurrency=2)
        done = [progress.done for progress in display.updates]
        assert done == sorted(done)
        last = display.updates[-1]
        assert (last.done, last.total, last.failed, last.state) == (32, 32, 1, "done")
        assert (last.running, last.left, last.waiting, last.cost_usd) == (0, None, None, None)
        assert display.lines == [None]

    def test_reused_rows_and_unknown_totals(self, display: RecordingDisplay) -> None:
        agentnb.agent(shout).map(["a", "b"], checkpoint="done.sqlite", progress=False)
        assert display.updates == []
        agentnb.agent(shout).map(iter(["a", "b", "c"]), checkpoint="done.sqlite")
        last = display.updates[-1]
        assert (last.done, last.reused, last.total) == (3, 2, None)

    def test_cost(self, display: RecordingDisplay) -> None:
        agent = agentnb.agent("sandbox:echo", base_url="sandbox")
        agentnb.set_prices({"sandbox-echo-1": {"input": 1_000_000, "output": 2_000_000}})
        try:
            table = agent.map(["hello", "you there"])
        finally:
            agentnb.set_prices({"sandbox-echo-1": None})
        assert (table["cost_usd"] == table["input_tokens"] + 2 * table["output_tokens"]).all()
        assert display.updates[-1].cost_usd == table["cost_usd"].sum()

    def test_how_it_broke_off(self, display: RecordingDisplay) -> None:
        def source() -> Iterator[str]:
            yield "a"
            raise OSError("gone")

        with pytest.raises(OSError, match="gone"):
            agentnb.agent(shout).map(source())
        assert display.updates[-1].state == "failed"
        (line,) = display.lines
        assert line is not None
        assert line.startswith(("No row is done.", "1 row is done, see agentnb.last_map()."))

    def test_no_display_without_a_start(self, display: RecordingDisplay) -> None:
        with pytest.raises(agentnb.RequestError):
            agentnb.agent(shout).map(["a"], "{{b}}")
        assert display.updates == []
        assert display.lines == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def progress(**figures: Any) -> Progress:
    base: dict[str, Any] = {
        "done": 3,
        "total": 10,
        "failed": 1,
        "reused": 0,
        "running": 2,
        "elapsed": 1.0,
    }
    base |= {"rate": 3.0, "left": 2.0, "waiting": 12.4, "cost_usd": 0.5, "state": "running"}
    return Progress(**{**base, **figures})


def test_a_terminal_has_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    bar = create_display("seekr:finance_agent")
    bar.update(progress())
    bar.close(progress(done=10, waiting=None), "go on like this")
    last = terminal.getvalue().rpartition("\r")[2]
    for words in ("seekr:finance_agent", "10/10", "1 failed", "$0.5000"):
        assert words in last
    assert "waiting 12 s for the rate limit" in terminal.getvalue()
    assert terminal.getvalue().endswith("go on like this\n")


def test_no_bar_outside_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    bar = create_display("x")
    bar.update(progress())
    bar.close(progress(), "go on like this")
    assert file.getvalue() == ""


class TestTravelling:
    def test_rows_and_results_are_plain(self) -> None:
        row = Row(position=1, prompt="p", media=(b"1",), key=b"k")
        result = RowResult(position=1, status="completed", answer="a")
        assert pickle.loads(pickle.dumps((row, result))) == (row, result)

    def test_the_recipe_of_an_agent(self, sandbox: Sandbox) -> None:
        url = sandbox.base_url("operativus")
        agent = agentnb.agent(
            "operativus:echo",
            base_url=url,
            api_key=sandbox.api_key,
            deadlines=Deadlines(total=60),
            user_id="me",
        )
        recipe, rebuild = agent.again()
        assert sandbox.api_key.get_secret_value() not in repr(recipe)
        assert pickle.loads(pickle.dumps(recipe)) == recipe
        assert pickle.loads(pickle.dumps(rebuild)) is rebuild
        assert (recipe.name, recipe.base_url, recipe.has_own_key) == ("operativus:echo", url, True)
        assert recipe.params == {"user_id": "me"}
        assert recipe.deadlines == Deadlines(total=60)

    def test_it_makes_the_agent_again(self) -> None:
        agent = agentnb.agent("runtools:echo", base_url="sandbox", temperature=0.5)
        recipe, rebuild = agent.again()
        assert (recipe.base_url, recipe.has_own_key) == ("sandbox", False)
        made = rebuild(recipe)
        assert isinstance(made, agentnb.Agent)
        assert made.platform is agent.platform
        assert (made.name, made.params) == (agent.name, agent.params)
        function, again = agentnb.agent(shout).again()
        assert again(function).prepare("a").prompt == "a"


def test_a_key_is_nowhere(
    sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture, display: RecordingDisplay
) -> None:
    key = sandbox.api_key.get_secret_value()
    agent = agentnb.agent(
        "operativus:echo", base_url=sandbox.base_url("operativus"), api_key=sandbox.api_key
    )
    with caplog.at_level(logging.DEBUG, logger="agentnb"):
        table = agent.map([f"say {key}", "b"], checkpoint="done.sqlite")
    assert key not in table["answer"].str.cat()
    assert "***" in table["answer"][0]
    assert key not in caplog.text + repr(display.updates)
    assert key.encode() not in (tmp_path / "done.sqlite").read_bytes()


def test_recorded_and_played_back(tmp_path: Path) -> None:
    tape = tmp_path / "answers.jsonl"
    agent = agentnb.agent("sandbox:echo", base_url="sandbox")
    data = [f"hello {n % 3}" for n in range(9)]
    with agentnb.record(tape):
        recorded = agent.map(data, concurrency=4, progress=False)
    with agentnb.playback(tape) as playing:
        played = agent.map(data, concurrency=4, progress=False)
        assert playing.left == 0
        missing = agent.map(["never recorded"], retries=2, progress=False)
    assert list(played["answer"]) == list(recorded["answer"])
    assert sorted(played["session_id"]) == sorted(recorded["session_id"])
    assert list(missing["status"]) == ["failed"]
    assert list(missing["attempts"]) == [1]


def test_in_a_forked_process() -> None:
    python(
        """
        import os
        import warnings

        import agentnb

        async def shout(prompt):
            return prompt.upper()

        agent = agentnb.agent(shout)
        assert list(agent.map(["a"], progress=False).answer) == ["A"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            child = os.fork()
        table = agent.map(["b", "c"], progress=False, checkpoint="forked.sqlite")
        assert list(table.answer) == ["B", "C"]
        if not child:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        """
    )


def test_many_rows_leave_only_their_results() -> None:
    """No row is lost, and no run is kept by the map: the history's list has the latest 1,000."""
    import gc

    from agentnb.run.run import Run

    def source() -> Iterator[str]:
        for number in range(3_000):
            yield f"row {number}"

    table = agentnb.agent(shout).map(source(), concurrency=256, progress=False)
    assert list(table["answer"]) == [f"ROW {number}" for number in range(3_000)]
    assert table["run_id"].is_unique
    agentnb.history.flush(60)
    gc.collect()
    alive = [each for each in gc.get_objects() if isinstance(each, Run)]
    assert sum(each.prompt.startswith("row ") for each in alive) <= 1_000 + 256
    assert mapping.last_map() is not None

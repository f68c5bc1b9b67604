"""A map on a cluster of Dask: what travels, what comes back, and what is refused at once."""

from __future__ import annotations

import getpass
import os
import sys
import threading
from collections.abc import Iterator
from importlib import import_module, reload
from pathlib import Path

import pandas as pd
import pytest
from distributed import Client
from pandas.testing import assert_frame_equal
from pydantic import SecretStr

import agentnb
from agentnb.errors import ConfigError
from agentnb.platforms.local import FunctionContext
from tests.batch.dask_cluster import (
    KEY,
    WORKERS,
    Surroundings,
    aside,
    known_to_a_worker,
    known_to_the_scheduler,
    numbered,
    surroundings,
)
from tests.played import LONG, until

TABLE = pd.DataFrame({"ticker": ["NVDA", "AMD", "INTC", "TSM"]}, index=[7, 5, 3, 1])
# What differs from one run to the next.
OF_A_RUN = [
    *("run_id", "session_id", "local_id", "started_at", "finished_at"),
    *("duration", "time_to_first_token"),
]


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    with surroundings(tmp_path_factory.mktemp("dask")) as found:
        yield found


@pytest.fixture(autouse=True)
def parrot_rests(around: Surroundings) -> Iterator[None]:
    yield
    around.parrot.reset()


def parrot() -> agentnb.Agent:
    return agentnb.agent("seekr:parrot")


def test_the_table_is_the_same_as_without_it(around: Surroundings) -> None:
    here = parrot().map(TABLE, "Look at {{ticker}}!", progress=False)
    there = around.map(parrot(), TABLE, "Look at {{ticker}}!")
    assert list(there["answer"]) == [f"You said: Look at {name}!" for name in TABLE["ticker"]]
    assert list(there["status"]) == ["completed"] * 4
    assert_frame_equal(there.drop(columns=OF_A_RUN), here.drop(columns=OF_A_RUN))
    assert list(there.dtypes) == list(here.dtypes)


def test_its_runs_are_in_the_workers_history_afterwards(around: Surroundings) -> None:
    table = around.map(parrot(), ["for the record"])
    runs = agentnb.runs().set_index("local_id")
    assert runs["prompt"][table["local_id"][0]] == "for the record"


def test_all_workers_have_rows_and_more_than_they_have_threads(around: Surroundings) -> None:
    around.parrot.holds = lambda prompt: True
    done = aside(lambda: around.map(parrot(), numbered(12), concurrency=8))
    until(lambda: len(around.parrot.asked) == 8)
    shares = [len(keys) for keys in around.client.processing().values()]
    assert len(shares) == WORKERS
    assert sum(shares) == 8
    assert min(shares) > 1
    around.parrot.holds = lambda prompt: False
    assert list(done.result(LONG)["status"]) == ["completed"] * 12
    assert sorted(around.parrot.asked) == sorted(numbered(12))


def test_the_key_is_nowhere_but_in_the_workers_environment(
    around: Surroundings, tmp_path: Path
) -> None:
    around.parrot.holds = lambda prompt: True
    file = tmp_path / "rows.sqlite"
    done = aside(lambda: around.map(parrot(), ["telling words"] * 4, checkpoint=file))
    until(lambda: len(around.parrot.asked) == 4)
    seen = [
        around.client.run_on_scheduler(known_to_the_scheduler),
        *around.client.run(known_to_a_worker).values(),
    ]
    # It is looked at where it would be seen.
    assert all(b"telling words" in each for each in seen)
    around.parrot.holds = lambda prompt: False
    table = done.result(LONG)
    # It was used: the platform answers nobody without.
    assert list(table["status"]) == ["completed"] * 4
    seen += [path.read_bytes() for path in tmp_path.iterdir()]
    seen += [repr(around.client.get_worker_logs()).encode(), table.to_csv().encode()]
    assert not [each for each in seen if KEY.encode() in each]


def test_checkpointed_rows_are_not_run_again(around: Surroundings, tmp_path: Path) -> None:
    file = tmp_path / "rows.sqlite"
    around.map(parrot(), ["one", "two"], checkpoint=file)
    table = around.map(parrot(), ["zero", "one", "two"], checkpoint=file)
    assert list(table["answer"]) == [f"You said: {n}" for n in ("zero", "one", "two")]
    assert sorted(around.parrot.asked) == ["one", "two", "zero"]


def test_a_function_is_sent_with_its_globals(around: Surroundings) -> None:
    factor = 3

    def times(prompt: str) -> str:
        if prompt == "two":
            raise ValueError("no number")
        return f"{int(prompt) * factor} {os.getpid()}"

    table = around.map(agentnb.agent(times), ["1", "two", "3"])
    assert [str(answer).partition(" ")[0] for answer in table["answer"]] == ["3", "", "9"]
    assert list(table["error"][[1]]) == ["ValueError: no number"]
    assert int(table["answer"][0].partition(" ")[2]) in around.pids().values()


def test_attachments_travel_with_their_content(around: Surroundings, tmp_path: Path) -> None:
    def look(prompt: str, context: FunctionContext) -> str:
        [media] = context.media
        return f"{media.name} {media.data!r} {media.path}"

    (tmp_path / "a.txt").write_bytes(b"content")
    table = around.map(agentnb.agent(look), ["see"], media=tmp_path / "a.txt")
    assert list(table["answer"]) == ["a.txt b'content' None"]


def test_each_worker_has_a_sandbox_with_the_agents_that_were_added(around: Surroundings) -> None:
    @agentnb.sandbox.agent("shouter")
    def shout(prompt: str) -> str:
        return f"{prompt.upper()} {os.getpid()}"

    agent = agentnb.agent("operativus:shouter", base_url="sandbox")
    table = around.map(agent, ["a", "b"])
    assert [answer[0] for answer in table["answer"]] == ["A", "B"]
    assert {int(answer[2:]) for answer in table["answer"]} <= set(around.pids().values())


@pytest.mark.anyio
async def test_a_client_of_async_code(around: Surroundings) -> None:
    async with Client(
        around.cluster.scheduler_address, asynchronous=True, set_as_default=False
    ) as client:
        table = await parrot().amap(["one", "two"], progress=False, client=client)
        assert list(table["answer"]) == ["You said: one", "You said: two"]
        with pytest.raises(ConfigError, match=r"await agent\.amap"):
            parrot().map(["one"], progress=False, client=client)
    with pytest.raises(ConfigError, match="The Dask client is closed"):
        parrot().map(["one"], progress=False, client=client)


class TestWhatIsRefused:
    """In one line, before anything is sent."""

    def refused(self, around: Surroundings, agent: agentnb.Agent, words: str) -> None:
        with pytest.raises(ConfigError, match=words) as caught:
            around.map(agent, ["one"])
        assert "\n" not in str(caught.value)
        assert KEY not in str(caught.value)
        assert around.parrot.asked == []

    def test_a_key_in_code(self, around: Surroundings) -> None:
        agent = agentnb.agent("seekr:parrot", api_key=KEY)
        self.refused(around, agent, "seekr:parrot was given in code.*environment")

    def test_a_key_in_a_function(self, around: Surroundings) -> None:
        parrot()  # by which the key is known here
        used = KEY

        def agent(prompt: str) -> str:
            return used[:3]

        self.refused(around, agentnb.agent(agent), "holds a key.*function")

    def test_a_secret_that_is_not_known_here(self, around: Surroundings) -> None:
        secret = SecretStr("of-another-service-0123456789")

        def agent(prompt: str) -> str:
            return secret.get_secret_value()[:3]

        self.refused(around, agentnb.agent(agent), "holds a key.*function")

    def test_objects_that_cannot_be_pickled(self, around: Surroundings) -> None:
        lock = threading.Lock()

        def agent(prompt: str) -> str:
            return str(lock)

        self.refused(around, agentnb.agent(agent), "cannot travel.*lock")

    def test_modules_that_workers_lack(
        self, around: Surroundings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "only_here.py").write_text("def agent(prompt):\n    return prompt\n")
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
        agent = agentnb.agent(import_module("only_here").agent)
        self.refused(around, agent, "worker tcp://.*ModuleNotFoundError.*only_here.*installed")

    def test_a_worker_without_the_key(
        self, around: Surroundings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPERATIVUS_API_KEY", "sk-of-this-process-alone-0")
        agent = agentnb.agent("operativus:parrot", base_url=around.sandbox.base_url("operativus"))

        def sit_down() -> None:
            def typed(question: str) -> str:
                return "sk-typed-at-the-worker-0"

            getpass.getpass = typed

        def leave() -> None:
            reload(getpass)

        # Nobody is asked for it, though somebody could be.
        around.client.run(sit_down)
        try:
            self.refused(around, agent, "worker tcp://.*No API key.*OPERATIVUS_API_KEY")
        finally:
            around.client.run(leave)

    def test_a_worker_of_another_version(self, around: Surroundings) -> None:
        worker = next(iter(around.pids()))

        def become(version: str) -> None:
            agentnb.__version__ = version

        around.client.run(become, "0.0.9", workers=[worker])
        try:
            self.refused(around, parrot(), f"worker {worker} .*agentnb 0.0.9.*same version")
        finally:
            around.client.run(become, agentnb.__version__, workers=[worker])

    def test_a_worker_without_agentnb(self, around: Surroundings) -> None:
        worker = next(iter(around.pids()))

        def hide() -> None:
            sys.modules["hidden"] = sys.modules.pop("agentnb")
            sys.modules["agentnb"] = None  # pyright: ignore[reportArgumentType]

        def show() -> None:
            sys.modules["agentnb"] = sys.modules.pop("hidden")

        around.client.run(hide, workers=[worker])
        try:
            self.refused(around, parrot(), f"worker {worker} .*has no agentnb.*Install")
        finally:
            around.client.run(show, workers=[worker])

    def test_invalid_clients(self) -> None:
        with pytest.raises(ConfigError, match=r"takes a dask\.distributed Client, not str"):
            parrot().map(["one"], progress=False, client="tcp://127.0.0.1:8786")

    def test_dask_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "distributed", None)
        with pytest.raises(ConfigError, match=r"pip install 'jupyter-agentnb\[dask\]'"):
            parrot().map(["one"], progress=False, client=object())


def test_a_key_in_a_prompt_fails_its_row(around: Surroundings) -> None:
    table = around.map(parrot(), ["one", f"It is {KEY}"])
    assert list(table["status"]) == ["completed", "failed"]
    assert "holds a key" in table["error"][1]
    assert around.parrot.asked == ["one"]


def test_errors_of_workers_hold_no_key(around: Surroundings) -> None:
    def agent(prompt: str) -> str:
        error = SystemExit if "exit" in prompt else RuntimeError
        raise error(f"cannot use {os.environ['SEEKR_API_KEY']} for {prompt}")

    table = around.map(agentnb.agent(agent), ["telling words", "exit"])
    assert list(table["error_code"]) == ["RuntimeError", "SystemExit"]
    assert "cannot use *** for telling words" in table["error"][0]
    client = around.client
    logs = [client.get_worker_logs(), client.get_scheduler_logs(), client.get_events()]
    known = [client.run_on_scheduler(known_to_the_scheduler)]
    known += client.run(known_to_a_worker).values()
    assert not [each for each in known if KEY.encode() in each]
    assert KEY not in f"{logs}{table.to_csv()}"


@pytest.mark.parametrize("name", ["plain.png", f"{KEY}.png"])
def test_a_key_in_an_attachment_fails_its_row(
    around: Surroundings, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_text("nothing" if KEY in name else f"It is {KEY}.")
    # The key of a cluster is known once it was used.
    around.map(parrot(), ["zero"])

    def attached(item: str) -> list[Path]:
        return [path] if item == "two" else []

    table = around.map(parrot(), ["one", "two"], media=attached)
    # A key in a name is masked before the row travels; one in the content refuses the row.
    is_refused = KEY not in name
    assert list(table["status"]) == ["completed", "failed" if is_refused else "completed"]
    assert ("attachments hold a key" in str(table["error"][1])) is is_refused
    assert KEY not in table.to_string()

"""`Comparison`: one question to several agents, and what came of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import agentnb
from agentnb import Comparison, ConfigError, RequestError, UnsupportedError, history
from agentnb.agents import Agent
from agentnb.comparison import COMPARISON_COLUMNS, ask_all
from agentnb.errors import RunCancelledError, RunFailedError
from agentnb.event.types import (
    ApprovalRequested,
    Event,
    RunFinished,
    RunStarted,
    TextDelta,
    Usage,
    UsageReported,
)
from agentnb.platforms.base import RunRequest
from tests.played import Batches, PlayedPlatform, until

pytestmark = pytest.mark.anyio

USED = Usage(input_tokens=7, output_tokens=3, total_tokens=10, cost_usd=0.02)


async def tell(request: RunRequest) -> Batches:
    yield [RunStarted(run_id="r1"), TextDelta(f"told {request.prompt}")]
    yield [UsageReported(usage=USED), RunFinished()]


async def shout(prompt: str) -> str:
    return prompt.upper()


def break_off(prompt: str) -> Any:
    yield "so far"
    raise ValueError("the tool broke")


def teller(title: str = "teller") -> Agent:
    return Agent(PlayedPlatform(tell), title)


@pytest.fixture
def mixed() -> Comparison:
    return ask_all([teller(), shout, break_off], "hello").wait(check=False)


class TestAsking:
    def test_names_functions_and_agents(self) -> None:
        compared = agentnb.compare(["sandbox:echo", shout, teller()], "hello").wait()
        assert isinstance(compared, Comparison)
        assert compared.prompt == "hello"
        assert [run.platform for run in compared.runs] == ["sandbox", "local", "played"]
        assert compared.labels == ["echo", "shout", "teller"]
        assert "hello" in compared.runs[0].text
        assert [run.text for run in compared.runs[1:]] == ["HELLO", "told hello"]

    def test_they_run_at_the_same_time(self) -> None:
        meeting = threading.Barrier(3)

        def meet(prompt: str) -> str:
            meeting.wait(timeout=30)
            return "met"

        compared = ask_all([meet, meet], "hello")
        assert not compared.done
        meeting.wait(timeout=30)
        assert [run.text for run in compared.wait().runs] == ["met", "met"]
        assert compared.done

    def test_labels_differ(self) -> None:
        compared = ask_all([shout, teller(), shout, teller("shout"), shout], "hello").wait()
        assert compared.labels == [
            "local:shout",
            "teller",
            "local:shout (2)",
            "played:shout",
            "local:shout (3)",
        ]
        assert ask_all([shout, shout], "hello").wait().labels == ["shout", "shout (2)"]

    def test_the_prompt_goes_to_all(self) -> None:
        one, two = teller(), teller()
        ask_all([one, two], "hello", depth=2).wait()
        for each in (one, two):
            assert isinstance(each.platform, PlayedPlatform)
            (request,) = each.platform.requests
            assert request.params == {"depth": 2}

    def test_the_runs_are_in_the_history(self, mixed: Comparison) -> None:
        assert history.recent_runs()[-3:] == mixed.runs

    @pytest.mark.parametrize(
        ("others", "options", "error"),
        [
            (["nowhere:agent"], {}, ConfigError),
            ([shout, 5], {}, ConfigError),
            ([shout], {"output_type": {"type": "object"}}, UnsupportedError),
            ([shout], {"media": b"x"}, UnsupportedError),
            ([shout], {"session": "s1"}, RequestError),
        ],
        ids=["name", "no agent", "output type", "media", "session"],
    )
    def test_an_invalid_agent_raises_before_any_request(
        self, others: Any, options: Any, error: type[Exception]
    ) -> None:
        first = teller()
        before = history.recent_runs()
        with pytest.raises(error):
            ask_all([first, *others], "hello", **options)
        assert isinstance(first.platform, PlayedPlatform)
        assert first.platform.requests == []
        assert history.recent_runs() == before

    @pytest.mark.parametrize(
        "agents", ["echo", shout, [], [shout]], ids=["name", "one", "none", "1"]
    )
    def test_it_takes_two(self, agents: Any) -> None:
        with pytest.raises(RequestError, match="two agents or more"):
            ask_all(agents, "hello")

    def test_an_empty_question(self) -> None:
        with pytest.raises(RequestError, match="empty"):
            ask_all([shout, shout], " ")


class TestWaiting:
    def test_one_that_fails_leaves_the_others_whole(self, mixed: Comparison) -> None:
        assert [run.status for run in mixed.runs] == ["completed", "completed", "failed"]
        with pytest.raises(RunFailedError) as caught:
            mixed.wait()
        assert caught.value.run is mixed.runs[2]
        assert caught.value.__notes__ == ["Agent: break_off, one of 3 agents."]

    async def test_awaiting_it(self) -> None:
        compared = ask_all([shout, shout], "hello")
        assert await compared is compared
        assert compared.done
        with pytest.raises(RunFailedError):
            await ask_all([shout, break_off], "hello")

    def test_too_short_a_wait_then_cancelling(self) -> None:
        entered = threading.Event()

        def stall(prompt: str) -> Any:
            yield "so far"
            entered.wait(30)
            yield "more"

        compared = ask_all([stall, shout], "hello")
        with pytest.raises(TimeoutError, match="has not ended after 0 s"):
            compared.wait(0)
        compared.runs[1].wait()
        compared.cancel()
        entered.set()
        with pytest.raises(RunCancelledError):
            compared.wait()
        assert [run.status for run in compared.runs] == ["cancelled", "completed"]
        assert repr(compared) == "<Comparison of 2 agents: 1 cancelled, 1 completed>"

    def test_listening(self) -> None:
        compared = ask_all([shout, shout], "hello")
        ended = threading.Event()

        def look() -> None:
            if compared.done:
                ended.set()

        unsubscribe = compared.subscribe(look)
        look()
        assert ended.wait(30)
        unsubscribe()


class TestTable:
    def test_a_row_for_each(self, mixed: Comparison) -> None:
        table = mixed.DataFrame()
        assert list(table["label"]) == ["teller", "shout", "break_off"]
        assert list(table["platform"]) == ["played", "local", "local"]
        assert list(table["status"]) == ["completed", "completed", "failed"]
        assert list(table["text"]) == ["told hello", "HELLO", "so far"]
        assert list(table["run_id"]) == [run.id for run in mixed.runs]
        first = table.iloc[0]
        assert (first["input_tokens"], first["output_tokens"], first["total_tokens"]) == (7, 3, 10)
        assert first["cost_usd"] == 0.02
        assert bool(table["cost_usd"].isna()[1])
        assert table["error"][2] == "ValueError: the tool broke"
        durations = [run.duration for run in mixed.runs]
        assert table["duration"].dt.total_seconds().tolist() == pytest.approx(durations, abs=1e-5)

    def test_the_dtypes_hold_whatever_came(self, mixed: Comparison) -> None:
        def broken(prompt: str) -> str:
            raise ValueError

        failed = ask_all([broken, broken], "hello").wait(check=False)
        for compared in (mixed, failed):
            table = compared.DataFrame()
            assert {name: str(dtype) for name, dtype in table.dtypes.items()} == COMPARISON_COLUMNS


class TestKeeping:
    def test_json(self, mixed: Comparison, tmp_path: Path) -> None:
        told = json.loads(mixed.export(tmp_path / "c.json").read_text(encoding="utf-8"))
        assert (told["format"], told["prompt"]) == ("agentnb.comparison/1", "hello")
        assert [run["label"] for run in told["runs"]] == mixed.labels
        assert [run["text"] for run in told["runs"]] == ["told hello", "HELLO", "so far"]

    def test_markdown(self, mixed: Comparison, tmp_path: Path) -> None:
        text = mixed.export(str(tmp_path / "c.MD")).read_text(encoding="utf-8")
        assert text == mixed.to_markdown()
        assert text.startswith("# Comparison of 3 agents\n\n> hello\n\n| Agent |")

    def test_html(self, mixed: Comparison, tmp_path: Path) -> None:
        text = mixed.export(tmp_path / "c.html").read_text(encoding="utf-8")
        assert text.startswith("<!DOCTYPE html>")
        assert "default-src 'none'" in text
        assert "told hello" in text

    def test_another_suffix(self, mixed: Comparison, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"not as '\.pdf'"):
            mixed.export(tmp_path / "c.pdf")

    def test_its_outputs(self, mixed: Comparison) -> None:
        shown: Any = mixed._repr_mimebundle_()  # pyright: ignore[reportPrivateUsage]
        assert set(shown) == {"text/plain", "text/html"}
        assert "HELLO" in shown["text/plain"]


class TestDeciding:
    """One of the agents waits for an approval."""

    @pytest.fixture
    def waiting(self) -> Iterator[tuple[Comparison, threading.Event]]:
        decided = threading.Event()

        def careful(prompt: str) -> Iterator[Event | str]:
            yield "before "
            yield ApprovalRequested(approval_id="a1", message="May I?")
            decided.wait(30)
            yield "after"

        yield ask_all([careful, shout], "hello").wait(check=False), decided
        decided.set()

    def test_its_status(self, waiting: tuple[Comparison, threading.Event]) -> None:
        compared, decided = waiting
        paused = compared.runs[0]
        assert compared.done
        assert list(compared.DataFrame()["status"]) == ["paused", "completed"]
        goes_on = paused.approve()
        assert not compared.done
        with pytest.raises(TimeoutError):
            compared.wait(0.01)
        decided.set()
        assert compared.wait().runs[0] is goes_on
        assert compared.done
        assert list(compared.DataFrame()["text"]) == ["before after", "HELLO"]
        assert repr(compared) == "<Comparison of 2 agents: 2 completed>"
        assert "before after" in compared.to_markdown()
        assert "before after" in compared.bundle()["text/html"]
        assert compared.to_dict()["runs"][0]["status"] == "completed"

    def test_subscribers_are_called(self, waiting: tuple[Comparison, threading.Event]) -> None:
        compared, decided = waiting
        seen: list[str] = []
        stop = compared.subscribe(lambda: seen.append(compared.runs[0].status))
        compared.runs[0].approve()
        decided.set()
        until(lambda: seen[-1:] == ["completed"])
        stop()

    def test_unsubscribed_ones_are_not(self, waiting: tuple[Comparison, threading.Event]) -> None:
        compared, decided = waiting
        seen: list[str] = []
        compared.subscribe(lambda: seen.append(compared.runs[0].status))()
        compared.runs[0].approve()
        decided.set()
        compared.wait()
        assert seen == []

    def test_cancel_while_running(self, waiting: tuple[Comparison, threading.Event]) -> None:
        compared, _ = waiting
        compared.runs[0].approve()
        compared.cancel()
        assert compared.wait(check=False).runs[0].status == "cancelled"

"""What broke before a run was asked for is a request that failed; what broke after it is a run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

import agentnb
from agentnb._http.retry import Retries
from agentnb.agents import Agent
from agentnb.errors import DeadlineError, StreamCutError, TransportError
from agentnb.event.types import Event, RunFinished, RunStarted, TextDelta
from agentnb.platforms.base import Capabilities, RemoteRun, RunRequest
from agentnb.run import reconnect
from tests.platforms.scripted import CUT, Reply, scripted_server
from tests.platforms.seekr.records import RUN, THREAD
from tests.played import LONG, STARTED, Batches, PlayedPlatform, player

PLACED = RunStarted(session_id="session_1")
CUT_OFF = StreamCutError("It broke off.")
SILENT = DeadlineError("Nothing came.", deadline="idle", seconds=1.0)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    def pause(attempt: int, *, jitter: object) -> float:
        return 0.01

    monkeypatch.setattr(reconnect, "DEFAULT_BACKOFF", reconnect.Backoff(delay=pause))


class ResumingPlatform(PlayedPlatform):
    """One that takes a stream up again, with the rest of the answer."""

    resumed = 0

    async def resume(
        self,
        request: RunRequest,
        *,
        run_id: str | None,
        session_id: str | None,
        delivered: Sequence[Event],
    ) -> Batches:
        self.resumed += 1
        yield [STARTED, TextDelta("the rest"), RunFinished()]


def broken(*batches: list[Event], by: TransportError) -> ResumingPlatform:
    async def script(request: RunRequest) -> Batches:
        for batch in batches:
            yield batch
        raise by

    state = RemoteRun(id="run_1", status="completed", output="somebody else's")
    abilities = Capabilities(attach=True, run_status=True)
    return ResumingPlatform(script, capabilities=abilities, state=state)


@pytest.mark.parametrize("error", [CUT_OFF, SILENT], ids=["cut", "silent"])
@pytest.mark.parametrize("before", [[], [[PLACED]], [[PLACED], [PLACED]]], ids=len)
def test_a_run_that_was_not_asked_for_is_looked_for_nowhere(
    before: list[list[Event]], error: TransportError
) -> None:
    platform = broken(*before, by=error)
    run = player(platform).run("hi", check=False)
    assert (run.status, run.error) == ("failed", error.message)
    assert run.exception is error
    assert (platform.resumed, platform.asked) == (0, [])


@pytest.mark.parametrize("error", [CUT_OFF, SILENT], ids=["cut", "silent"])
@pytest.mark.parametrize(
    "word",
    [[], [STARTED], [TextDelta("")], [PLACED, STARTED]],
    ids=["frames", "id", "text", "both"],
)
def test_one_whose_stream_was_there_is_taken_up_again(
    word: list[Event], error: TransportError
) -> None:
    platform = broken([PLACED], word, by=error)
    assert player(platform).run("hi").text == "the rest"
    assert platform.resumed == 1


def test_one_that_was_joined_was_there_before() -> None:
    platform = broken(by=CUT_OFF)
    assert Agent(platform, "player").attach("run_1").wait(LONG).text == "the rest"


@pytest.mark.anyio
async def test_a_message_that_breaks_off_brings_no_run_of_anybody_else() -> None:
    other = {**RUN, "id": "run_other"}
    async with asyncio.timeout(LONG), scripted_server() as server:
        server.routes |= {
            "GET /v1/threads/thread_1": Reply({**THREAD, "active_run_id": "run_other"}),
            "POST /v1/threads/thread_1/messages": Reply(pieces=[b'{"id', CUT]),
            "GET /v1/threads/thread_1/runs": Reply([other]),
            "GET /v1/threads/thread_1/runs/run_other": Reply(other),
        }
        retries = Retries(requests=0, reconnects=2)
        agent = agentnb.agent("seekr:a", base_url=server.url, api_key="k", retries=retries)
        run = await agent.arun("hi", session="thread_1", check=False)
    assert run.status == "failed"
    assert run.id != "run_other"
    assert not [line for line in server.lines if "run_other" in line or "attach" in line]

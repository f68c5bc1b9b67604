"""Whether an answer is held back on its way: by a relay that does, and by one that does not."""

from __future__ import annotations

import asyncio
import re
import threading
from concurrent.futures import Future
from itertools import accumulate

import pytest

from agentnb import _loop
from agentnb.config import Config, config
from agentnb.doctor import Finding
from agentnb.doctor.streaming import Arrivals, assess, check_sandbox, check_stream
from agentnb.platforms.base import PlatformSettings
from agentnb.platforms.runagent.client import RunAgentPlatform
from agentnb.sandbox import Sandbox
from tests.doctor.conftest import Look
from tests.relayed import Relay, relay

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


class Buffering(Relay):
    """Passes an answer on when it has all of it, as a proxy that buffers does."""

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, count: bool = False
    ) -> None:
        if count:
            await super()._pass(reader, writer, count=True)
            return
        held = b""
        while data := await reader.read(65536):
            held += data
            if is_whole(held):
                writer.write(held)
                await writer.drain()
                held = b""
        writer.write(held)
        writer.close()


def is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    length = _LENGTH.search(head + b"\r\n")
    return len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")


def streamed(agent: str | None = "finance_agent") -> Finding:
    current = config(reload=True)
    (one,) = check_stream(name="operativus", agent=agent, current=current)
    return one


@pytest.mark.parametrize("kind", [Relay, Buffering])
def test_a_relay_in_between(
    kind: type[Relay], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPERATIVUS_API_KEY", sandbox.api_key.get_secret_value())
    with relay(sandbox.base_url("operativus"), kind) as between:
        monkeypatch.setenv("OPERATIVUS_BASE_URL", between.url)
        found = streamed()
    assert found.check == "operativus: stream"
    asked = [line for line in between.lines if line.startswith("POST")]
    if "stood still" in found.says:
        assert found.level == "note", "of a machine that is busy nothing more can be said"
    elif kind is Buffering:
        assert found.level == "problem", found
        assert "arrived at once" in found.says
        assert "buffering" in found.hint
        assert len(asked) == 2, "what is called a problem was seen twice"
    else:
        assert found.level == "ok", found
        assert "held back" not in found.says or "not held back" in found.says


def test_by_default_the_first_listed_agent_is_used(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPERATIVUS_API_KEY", sandbox.api_key.get_secret_value())
    monkeypatch.setenv("OPERATIVUS_BASE_URL", sandbox.base_url("operativus"))
    assert streamed(None).level in ("ok", "note")


def test_a_client_is_closed_even_without_a_request(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, look: Look
) -> None:
    """A platform without a list of its agents."""
    open_ones: set[int] = set()
    closing = RunAgentPlatform.aclose
    making = RunAgentPlatform.__init__

    def make(client: RunAgentPlatform, settings: PlatformSettings) -> None:
        making(client, settings)
        open_ones.add(id(client))

    async def close(client: RunAgentPlatform) -> None:
        await closing(client)
        open_ones.discard(id(client))

    monkeypatch.setattr(RunAgentPlatform, "__init__", make)
    monkeypatch.setattr(RunAgentPlatform, "aclose", close)
    monkeypatch.setenv("RUNAGENT_API_KEY", sandbox.api_key.get_secret_value())
    monkeypatch.setenv("RUNAGENT_BASE_URL", sandbox.base_url("runagent"))
    assert look("runagent")["access"].says.startswith("not checked")
    found = list(check_stream(name="runagent", agent=None, current=config(reload=True)))
    assert found[0].says == "not measured: no agent is known"
    assert open_ones == set()


def test_an_agent_that_there_is_not(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATIVUS_API_KEY", sandbox.api_key.get_secret_value())
    monkeypatch.setenv("OPERATIVUS_BASE_URL", sandbox.base_url("operativus"))
    found = streamed("nobody")
    assert found.level == "problem"
    assert found.says.startswith("not measured: ")
    assert "404" in found.says


def test_the_sandbox_of_this_process_streams() -> None:
    found = list(check_sandbox(current=Config()))
    answers, streams = found
    assert answers.level == "ok"
    assert "answers, " in answers.says
    # On a busy machine it is a note.
    assert streams.level != "problem"
    assert re.match("12 (of 12 )?pieces ", streams.says)


def test_a_loop_that_is_blocked_while_the_sandbox_answers_is_no_proxy() -> None:
    found: list[Finding] = []
    blocked: list[Future[None]] = []

    async def block() -> None:
        # Until the question is on its way.
        await asyncio.sleep(0.03)
        threading.Event().wait(0.9)

    for finding in check_sandbox(current=Config(), timeout=60.0):
        found.append(finding)
        if finding.check == "sandbox":
            blocked.append(_loop.submit(block()))
    blocked[0].result(30)
    streams = found[-1]
    assert streams.check == "sandbox: stream"
    assert streams.level != "problem"
    assert "proxy" not in streams.hint


def test_a_loop_that_is_always_blocked_is_named() -> None:
    found: list[Finding] = []
    over = threading.Event()
    blocked: list[Future[None]] = []

    async def block() -> None:
        while not over.is_set():
            threading.Event().wait(0.4)
            await asyncio.sleep(0)

    try:
        for finding in check_sandbox(current=Config(), timeout=60.0):
            found.append(finding)
            if finding.check == "sandbox":
                blocked.append(_loop.submit(block()))
    finally:
        over.set()
        blocked[0].result(30)
    streams = found[-1]
    assert streams.level == "note"
    assert "though sent 40 ms apart" in streams.says
    assert "blocks the loop" in streams.hint


def arrivals(*gaps: float, first: float = 0.5, stalled: float = 0.0) -> Arrivals:
    return Arrivals(times=list(accumulate(gaps, initial=first)), stalled=stalled)


def test_pieces_that_come_apart_are_well() -> None:
    for gaps in ([0.02] * 30, [0.3] * 6, [2.0] * 8, [0.1, 0.0] * 10):
        assert assess("s", arrivals(*gaps)).level == "ok"
    # Where the loop was blocked for a moment.
    assert assess("s", arrivals(*[0.02] * 30, stalled=0.15)).level == "ok"
    # From a model that writes faster than a clock tells apart.
    assert assess("s", arrivals(*[0.005] * 100)).level == "ok"
    # After it has thought, or called a tool.
    found = assess("s", arrivals(*[0.02] * 30, 2.0, *[0.02] * 30))
    assert found.level == "ok"
    assert "at most 2.0 s apart" in found.says


def test_pieces_that_come_at_once_after_a_while_were_held() -> None:
    assert assess("s", arrivals(*[0.0] * 30, first=4.0)).level == "problem"
    assert assess("s", arrivals(*[0.0001] * 30, first=4.0)).level == "problem"
    # In two reads, the second of which waits until the first is processed.
    reads = arrivals(*[0.0] * 15, 0.034, *[0.0] * 15, first=4.0, stalled=0.02)
    assert assess("s", reads).level == "problem"
    # The first ones may slip through, before it begins to collect.
    found = assess("s", arrivals(0.02, 5.0, *[0.0] * 30))
    assert found.level == "problem"
    assert found.says.startswith("31 of 33 pieces of an answer arrived at once, after 5.0 s")


def test_what_took_no_time_could_not_be_held() -> None:
    found = assess("s", arrivals(*[0.0] * 30, first=0.05))
    assert found.level == "ok"
    assert "within 50 ms of the question" in found.says


def test_what_the_sandbox_sent_apart_and_came_together_shows_a_busy_machine() -> None:
    for at_once in (arrivals(*[0.0] * 11, first=0.2), arrivals(0.04, 0.9, *[0.0] * 9)):
        found = assess("s", at_once, is_sandbox=True)
        assert found.level == "note", found
        assert "idle" in found.hint
    assert assess("s", arrivals(*[0.04] * 11), is_sandbox=True).level == "ok"


def test_a_blocked_loop_is_not_taken_for_a_proxy() -> None:
    found = assess("s", arrivals(*[0.0] * 30, first=4.0, stalled=3.0))
    assert found.level == "note"
    assert "stood still for 3.0 s" in found.says
    assert "proxy" not in found.hint
    # Too short to explain it.
    assert assess("s", arrivals(*[0.0] * 30, first=4.0, stalled=1.0)).level == "problem"


@pytest.mark.parametrize(("bursts", "pieces", "silence"), [(3, 41, 1.5), (6, 10, 2.0)])
def test_bursts_are_worth_knowing(bursts: int, pieces: int, silence: float) -> None:
    one = [silence, *[0.0] * (pieces - 1)]
    found = assess("s", arrivals(*(one * bursts)[1:]))
    assert found.level == "note"
    count = bursts * pieces
    expected = f"{count} of {count} pieces arrived in {bursts} bursts, after up to {silence} s"
    assert expected in found.says
    assert "nothing holds them back" not in found.says


def test_what_comes_together_now_and_then_is_not_hidden() -> None:
    found = assess("s", arrivals(*[0.1] * 30, 2.0, *[0.0] * 9))
    assert found.level == "ok"
    assert "10 of them in bursts" in found.says


def test_few_pieces_tell_nothing() -> None:
    assert assess("s", Arrivals()).level == "note"
    assert "1 piece, " in assess("s", arrivals()).says
    failed = assess("s", Arrivals(times=[0.1], failure="out of money"))
    assert failed.level == "problem"
    assert "out of money" in failed.says

"""Whether an answer is held back on its way: by a relay that does, and by one that does not."""

from __future__ import annotations

import asyncio
import re
from itertools import accumulate

import pytest

from agentnb.config import Config, config
from agentnb.doctor import Finding
from agentnb.doctor.streaming import Arrivals, judge, look_at_sandbox, look_at_stream
from agentnb.sandbox import Sandbox
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
    found: list[Finding] = []
    current = config(reload=True)
    look_at_stream(found.append, name="operativus", agent=agent, current=current)
    (one,) = found
    return one


@pytest.mark.parametrize(("kind", "level"), [(Relay, "ok"), (Buffering, "problem")])
def test_a_relay_in_between(
    kind: type[Relay], level: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPERATIVUS_API_KEY", sandbox.api_key.get_secret_value())
    with relay(sandbox.base_url("operativus"), kind) as between:
        monkeypatch.setenv("OPERATIVUS_BASE_URL", between.url)
        found = streamed()
    assert found.level == level, found
    assert found.check == "operativus: stream"
    if level == "problem":
        assert "arrived at once" in found.says
        assert "buffering" in found.hint
    else:
        assert "nothing holds them back" in found.says
    asked = [line for line in between.lines if line.startswith("POST")]
    assert len(asked) == 1, "one question was asked, and no second one"


def test_without_a_name_the_first_agent_of_the_list_is_asked(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPERATIVUS_API_KEY", sandbox.api_key.get_secret_value())
    monkeypatch.setenv("OPERATIVUS_BASE_URL", sandbox.base_url("operativus"))
    assert streamed(None).level == "ok"


def test_an_agent_that_there_is_not(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATIVUS_API_KEY", sandbox.api_key.get_secret_value())
    monkeypatch.setenv("OPERATIVUS_BASE_URL", sandbox.base_url("operativus"))
    found = streamed("nobody")
    assert found.level == "problem"
    assert found.says.startswith("not measured: ")
    assert "404" in found.says


def test_the_sandbox_of_this_process_streams() -> None:
    found: list[Finding] = []
    look_at_sandbox(found.append, current=Config())
    assert [f.level for f in found] == ["ok", "ok"]
    assert "answers, " in found[0].says
    assert found[1].says.startswith("12 pieces over ")


def arrivals(*gaps: float, first: float = 0.5) -> Arrivals:
    return Arrivals(times=list(accumulate(gaps, initial=first)))


def test_pieces_that_come_apart_are_well() -> None:
    assert judge("s", arrivals(*[0.02] * 30)).level == "ok"
    assert judge("s", arrivals(*[0.3] * 6)).level == "ok"
    # From a model that writes faster than a clock tells apart.
    assert judge("s", arrivals(*[0.005] * 100)).level == "ok"


def test_pieces_that_come_at_once_after_a_while_were_held() -> None:
    assert judge("s", arrivals(*[0.0] * 30, first=4.0)).level == "problem"
    assert judge("s", arrivals(*[0.001] * 30, first=4.0)).level == "problem"


def test_what_took_no_time_could_not_be_held() -> None:
    assert judge("s", arrivals(*[0.0] * 30, first=0.05)).level == "ok"


def test_what_was_sent_slowly_was_held_however_soon_it_came() -> None:
    assert judge("s", arrivals(*[0.0] * 11, first=0.2), paced=0.5).level == "problem"
    assert judge("s", arrivals(*[0.04] * 11), paced=0.5).level == "ok"


def test_bursts_are_worth_knowing() -> None:
    burst = [0.0] * 40
    found = judge("s", arrivals(*burst, 1.5, *burst, 1.5, *burst))
    assert found.level == "note"
    assert "3 bursts, up to 1.5 s apart" in found.says


def test_few_pieces_tell_nothing() -> None:
    assert judge("s", Arrivals()).level == "note"
    assert "1 piece, " in judge("s", arrivals()).says
    failed = judge("s", Arrivals(times=[0.1], failure="out of money"))
    assert failed.level == "problem"
    assert "out of money" in failed.says

"""A platform of one's own on `agentnb.plugin`, as a third party writes it, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import agentnb
from agentnb.errors import ConfigError, MissingKeyError, UnsupportedError
from agentnb.event.types import ApprovalRequested, Event, RawEvent, RunFinished, TextDelta
from agentnb.platforms import registry
from agentnb.plugin import BaseDecoder, HttpCall, HttpPlatform, MalformedError, RunRequest
from agentnb.sse import ServerSentEvent
from agentnb.store.recorder import use
from agentnb.testing import fuzz_decoder
from tests.children import python
from tests.platforms.scripted import ONCE, Reply, ScriptedServer, scripted_server, stream

pytestmark = pytest.mark.anyio
REQUEST = RunRequest(agent="a", prompt="q")


class Decoder(BaseDecoder):
    ignored = frozenset({"ping"})

    def on(self, name: str, data: Any) -> list[Event] | None:
        match name:
            case "delta":
                return [TextDelta(data["choices"][0])]
            case "ask":
                return [ApprovalRequested(message=data["message"])]
            case "done":
                return [RunFinished()]
            case "odd":
                raise MalformedError("it is odd")
            case _:
                return None


class Keyless(HttpPlatform):
    key = "none"
    remembers = False
    decoder = Decoder

    def call(self, request: RunRequest) -> HttpCall:
        messages = [*request.history, {"role": "user", "content": request.prompt}]
        return HttpCall(path=f"/{request.agent}", json={"messages": messages})


class Keyed(HttpPlatform):
    default_url = "https://api.example.com"
    decoder = Decoder


@pytest.fixture(autouse=True)
def platforms(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Keyless", "Keyed"):
        path = f"{__name__}:{name}"
        monkeypatch.setitem(registry._MODULES, name.lower(), path)  # pyright: ignore[reportPrivateUsage]


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


def answer(*texts: str) -> Reply:
    deltas = [{"type": "delta", "choices": [text]} for text in texts]
    return stream({"type": "ping"}, *deltas, {"type": "done"})


def frame(text: str, event: str = "message") -> ServerSentEvent:
    return ServerSentEvent(event=event, data=text, id="", retry=None)


def test_a_decoder_never_raises() -> None:
    decoder = Decoder(REQUEST)
    assert decoder.decode(frame('{"type": "ping"}')) == []
    assert decoder.decode(frame('{"choices": ["a"]}', "delta")) == [TextDelta("a")]
    problems = {
        '{"type": "delta"}': "KeyError: 'choices'",
        '{"type": "delta", "choices": []}': "IndexError: list index out of range",
        '{"type": "delta", "choices": [1]}': "TypeError: TextDelta.text must be text",
        '{"type": "odd"}': "it is odd",
        '{"type": "new"}': None,
        '{"type": ["delta"]}': None,
        "[" * 5_000: "nested too deeply",
    }
    for text, problem in problems.items():
        (raw,) = decoder.decode(frame(text))
        assert isinstance(raw, RawEvent)
        assert raw.data == text
        assert raw.problem == problem or (problem and (raw.problem or "").startswith(problem))


def test_what_is_no_event_is_reported() -> None:
    class Careless(BaseDecoder):
        def on(self, name: str, data: Any) -> Any:
            return [data]

        def on_end(self) -> Any:
            raise ValueError("no end")

    (raw,) = Careless(REQUEST).decode(frame('{"type": "x"}'))
    assert isinstance(raw, RawEvent)
    assert raw.problem == "TypeError: dict is no event"
    (raw,) = Careless(REQUEST).finish()
    assert isinstance(raw, RawEvent)
    assert raw.problem == "ValueError: no end"


def test_fuzzing_damages_a_stream_that_is_nested_too_deeply() -> None:
    fuzz_decoder(Decoder, b"data: " + b"[" * 5_000 + b"\n\n", rounds=20)


def test_fuzzing_finds_a_decoder_that_fails() -> None:
    recorded = b'data: {"type": "delta", "choices": ["a"]}\n\ndata: {"type": "done"}\n\n'

    class Fragile(Decoder):
        def decode(self, frame: ServerSentEvent) -> list[Event]:
            json.loads(frame.data)
            return super().decode(frame)

    with pytest.raises(AssertionError, match=r"JSONDecodeError.*stream:"):
        fuzz_decoder(Fragile, recorded)


async def test_a_platform_without_a_key_keeps_its_conversation_here(
    server: ScriptedServer,
) -> None:
    server.routes["POST /a"] = [answer("One", "."), answer("Two.")]
    agent = agentnb.agent("keyless:a", base_url=server.url)
    first = await agent.arun("First?")
    second = await agent.arun("Second?", session=first)
    assert (first.text, second.text) == ("One.", "Two.")
    assert first.session_id == second.session_id
    assert "authorization" not in server.requests[0].headers
    assert server.requests[0].json == {"messages": [{"role": "user", "content": "First?"}]}
    assert [(m["role"], m["content"]) for m in server.requests[1].json["messages"]] == [
        ("user", "First?"),
        ("assistant", "One."),
        ("user", "Second?"),
    ]


async def test_a_run_that_waits_for_a_decision_at_the_end_of_its_response(
    server: ScriptedServer,
) -> None:
    asking = {"type": "ask", "message": "Delete it?"}
    server.routes["POST /a"] = stream(asking, {"type": "done"})
    run = await agentnb.agent("keyless:a", base_url=server.url).arun("q")
    assert (run.status, run.error) == ("paused", None)
    assert [each.message for each in run.transcript.pending_approvals] == ["Delete it?"]


async def test_a_conversation_begins_with_its_history(server: ScriptedServer) -> None:
    server.routes["POST /a"] = [answer("One."), answer("Two.")]
    agent = agentnb.agent("keyless:a", base_url=server.url)
    earlier = [{"role": "system", "content": "Be brief."}]
    first = await agent.arun("First?", history=earlier)
    await agent.arun("Second?", session=first)
    contents = [m["content"] for m in server.requests[1].json["messages"]]
    assert contents == ["Be brief.", "First?", "One.", "Second?"]


async def test_a_conversation_that_is_unknown(server: ScriptedServer) -> None:
    agent = agentnb.agent("keyless:a", base_url=server.url)
    run = await agent.arun("Second?", session="lost", check=False)
    assert "agentnb knows no conversation 'lost' with a" in str(run.error)
    assert server.requests == []


async def test_an_error_inside_an_event_stream_keeps_its_message(server: ScriptedServer) -> None:
    server.routes["POST /a"] = Reply(
        b'event: error\ndata: {"error": {"message": "The model is on holiday."}}\n\n',
        status=500,
        headers={"content-type": "text/event-stream"},
    )
    agent = agentnb.agent("keyless:a", base_url=server.url, retries=ONCE)
    run = await agent.arun("q", check=False)
    assert "keyless answered 500: The model is on holiday." in str(run.error)


async def test_what_is_not_overridden_is_refused(server: ScriptedServer) -> None:
    agent = agentnb.agent("keyless:a", base_url=server.url)
    for call in (agent.agents, agent.remote_runs, lambda: agent.attach("r")):
        with pytest.raises(UnsupportedError, match="keyless"):
            call()
    run = await agentnb.agent("keyed:a", api_key="k" * 20).arun("q", check=False)
    assert "keyed cannot start a run" in str(run.error)


def test_an_address_and_a_key_that_are_missing() -> None:
    with pytest.raises(ConfigError, match=r"keyless has no address.*KEYLESS_BASE_URL"):
        agentnb.agent("keyless:a")
    with pytest.raises(MissingKeyError, match="KEYED_API_KEY"):
        agentnb.agent("keyed:a")


ANOTHER_PROCESS = """
import agentnb
from agentnb.platforms import registry
registry._MODULES["keyless"] = "tests.platforms.test_kit:Keyless"
run = agentnb.agent("keyless:a", base_url={url!r}).run("First?")
agentnb.history.flush()
print(run.session_id)
"""


async def test_a_conversation_of_an_earlier_process_continues(
    server: ScriptedServer, tmp_path: Path
) -> None:
    server.routes["POST /a"] = [answer("One."), answer("Two.")]
    place = str(tmp_path / "history.sqlite")
    code = ANOTHER_PROCESS.format(url=server.url)
    environment = {"AGENTNB_HISTORY": place}
    done = await asyncio.to_thread(python, code, "-W", "default", environment=environment)
    use(place)
    try:
        agent = agentnb.agent("keyless:a", base_url=server.url)
        run = await agent.arun("Second?", session=done.stdout.strip())
    finally:
        use(None)
    assert run.text == "Two."
    contents = [m["content"] for m in server.requests[1].json["messages"]]
    assert contents == ["First?", "One.", "Second?"]

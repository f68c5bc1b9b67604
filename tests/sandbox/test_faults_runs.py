"""A run whose connections fail: it goes on, is taken up again, and each connection counts."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from agentnb.sandbox import Sandbox
from tests.children import python
from tests.sandbox.rawclient import PLATFORMS, Answer, new_thread, post, stream

# Most of it comes after its first connection has been cut.
SLOW = {"deltas": 30, "delay_ms": 15}


@pytest.fixture
def own() -> Iterator[Sandbox]:
    """A sandbox whose settings a test may change."""
    with Sandbox(pace=0) as running:
        yield running


@pytest.fixture
def gate(own: Sandbox) -> Iterator[threading.Event]:
    """Add the agent ``gated`` to that sandbox: half of its answer comes when this is set."""
    opened = threading.Event()

    @own.agent("gated")
    async def gated(prompt: str) -> AsyncIterator[str]:  # pyright: ignore[reportUnusedFunction]
        for number in range(30):
            if number == 15:
                while not opened.is_set():  # noqa: ASYNC110 - another thread sets it
                    await asyncio.sleep(0.01)
            yield f"{number:04d} "

    yield opened
    opened.set()


def opening(gate: threading.Event) -> Callable[[Answer], bool]:
    """Let the agent go on when the head of an answer has come."""

    def look(answer: Answer) -> bool:
        gate.set()
        return False

    return look


@pytest.fixture(params=PLATFORMS)
def platform(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def wait_for(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.02)


def data_of(answer: Answer) -> list[Any]:
    """Return the data of each event but for one that was cut."""
    whole, _, _ = answer.text.rpartition("\n\n")
    found = [frame.partition("data: ")[2] for frame in whole.split("\n\n")]
    return [json.loads(data) for data in found if data != "[DONE]"]


def numbers(texts: list[str]) -> list[int]:
    return [int(text) for text in texts if text.strip().isdecimal()]


# --- taken up again ---


def test_runagent_goes_on_at_an_index(sandbox: Sandbox) -> None:
    cut = stream(sandbox, "runagent", SLOW, fault="drop events=6 times=1", session="taken")
    assert cut.end == "reset"
    got = [d["index"] for d in data_of(cut) if "index" in d]
    assert got == [0, 1, 2, 3, 4]
    body = {"query": "any", "session_id": "taken", "parameters": {"resume_from_index": 5}}
    rest = post(sandbox, "runagent", "/v1/agents/echo/stream", body)
    assert [d["index"] for d in data_of(rest) if "index" in d] == list(range(5, 30))
    assert rest.frames[-1].startswith("event: done")


def test_runagent_goes_on_before_the_first_index(sandbox: Sandbox) -> None:
    cut = stream(sandbox, "runagent", SLOW, fault="drop events=1 times=1", session="first")
    assert len(cut.frames) == 1
    body = {"query": "any", "session_id": "first", "parameters": {"resume_from_index": 0}}
    rest = post(sandbox, "runagent", "/v1/agents/echo/stream", body)
    # The same run: a new one would echo the question.
    assert numbers([d.get("content", "") for d in data_of(rest)]) == list(range(30))


@pytest.mark.parametrize("vercel", [False, True])
def test_seekr_attaches_and_replays_from_the_start(
    own: Sandbox, gate: threading.Event, vercel: bool
) -> None:
    thread = new_thread(own)
    post(own, "seekr", f"{thread}/messages", {"content": "hello"})
    path = f"{thread}/runs/stream" + ("/vercel" if vercel else "")
    cut = post(own, "seekr", path, {"agent_id": "gated"}, fault="drop after=900 times=1")
    assert (len(cut.body), cut.end) == (900, "reset")
    run_id = post(own, "seekr", thread, method="GET").json["active_run_id"]
    path = f"{thread}/runs/{run_id}/attach"
    again = post(own, "seekr", path, method="GET", silent=opening(gate))
    whole_of_cut = cut.text.rpartition("\n\n")[0]
    assert again.text.startswith(whole_of_cut)
    pieces = [d.get("text") or d.get("delta") or "" for d in data_of(again)]
    assert numbers(pieces) == list(range(30))


def test_seekr_can_attach_to_what_is_yet_to_come(own: Sandbox, gate: threading.Event) -> None:
    thread = new_thread(own)
    post(own, "seekr", f"{thread}/messages", {"content": "hello"})
    fault = "drop after=1100 times=1; live"
    path = f"{thread}/runs/stream"
    cut = post(own, "seekr", path, {"agent_id": "gated"}, fault=fault)
    assert len(cut.body) == 1100
    run_id = post(own, "seekr", thread, method="GET").json["active_run_id"]
    path = f"{thread}/runs/{run_id}/attach"
    rest = post(own, "seekr", path, method="GET", silent=opening(gate))
    had = numbers([d.get("text", "") for d in data_of(cut)])
    come = numbers([d.get("text", "") for d in data_of(rest)])
    assert come
    assert come[-1] == 29
    assert not set(come) & set(had)
    assert data_of(rest)[-1]["type"] == "end_node"


def operativus_run(cut: Answer) -> str:
    started: str = json.loads(data_of(cut)[0]["data"])["runId"]
    return started


def test_operativus_tells_its_events_since_an_id(sandbox: Sandbox) -> None:
    cut = stream(sandbox, "operativus", SLOW, fault="drop events=5 times=1")
    path = f"/api/v1/runs/{operativus_run(cut)}/events?sinceId=5"
    rest = post(sandbox, "operativus", path, method="GET")
    assert rest.frames[0].startswith("id: 6\n")
    assert numbers([d["data"] for d in data_of(rest)]) == list(range(4, 30))
    assert data_of(rest)[-1]["event"] == "STOP"


def test_operativus_can_tell_what_happened_without_what_was_said(sandbox: Sandbox) -> None:
    told = {**SLOW, "tools": 2, "tool_error": True}
    cut = stream(sandbox, "operativus", told, fault="drop events=7 times=1; record")
    path = f"/api/v1/runs/{operativus_run(cut)}/events"
    record = post(sandbox, "operativus", path, method="GET")
    assert [d["eventType"] for d in data_of(record)] == [
        "RUN_START",
        "TOOL_INVOKED",
        "TOOL_COMPLETED",
        "TOOL_INVOKED",
        "TOOL_COMPLETED",
        "RUN_COMPLETE",
    ]
    assert data_of(record)[4]["payload"]["status"] == "error"
    assert "0007" not in record.text
    since = post(sandbox, "operativus", f"{path}?sinceId=4", method="GET")
    assert [f.partition("\n")[0] for f in since.frames] == ["id: 5", "id: 6"]


def test_runtools_keeps_the_events_of_a_thread(sandbox: Sandbox) -> None:
    cut = stream(sandbox, "runtools", SLOW, fault="drop events=4 times=1", session="kept")
    assert len(cut.frames) == 4

    def kept() -> list[Any]:
        events: list[Any] = post(sandbox, "runtools", "/v1/threads/kept/events", method="GET").json[
            "data"
        ]
        return events

    wait_for(lambda: kept()[-1]["type"] == "complete")
    events = kept()
    assert [e["sequence"] for e in events] == list(range(1, len(events) + 1))
    assert {e["runId"] for e in events} == {cut.headers["x-run-id"]}
    assert numbers([e["payload"].get("content", "") for e in events]) == list(range(30))


def test_a_run_too_long_to_be_counted_is_not_taken_up(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentnb.sandbox.event_log.EventLog.__init__.__kwdefaults__", {"keep": 20})
    stream(sandbox, "runagent", {"deltas": 60}, session="long")
    body = {"query": "any", "session_id": "long", "parameters": {"resume_from_index": 3}}
    gone = post(sandbox, "runagent", "/v1/agents/echo/stream", body)
    assert (gone.status, gone.json["error"]["code"]) == (410, "EVENTS_GONE")


# --- how long a run goes on ---


def two_events(answer: Answer) -> bool:
    return answer.text.count("\n\n") == 2


@pytest.mark.parametrize(
    "fault", ["drop events=2", "end events=2", "stall events=2", "drip events=2", "type text/html"]
)
def test_a_run_goes_on_when_a_fault_has_broken_its_stream(
    own: Sandbox, gate: threading.Event, fault: str
) -> None:
    stream(own, "runtools", {}, agent="gated", fault=fault, silent=two_events, enough=500)
    assert own.active_runs == 1
    gate.set()
    wait_for(lambda: not own.active_runs)
    (run,) = post(own, "runtools", "/v1/run", method="GET").json["data"]
    assert run["status"] == "completed"


@pytest.mark.parametrize("fault", [None, "compress", "stall events=3 seconds=0.1", "duplicate"])
def test_a_run_ends_when_its_client_leaves_by_itself(own: Sandbox, fault: str | None) -> None:
    stream(own, "runtools", {"deltas": 500, "delay_ms": 20}, fault=fault, enough=900)
    wait_for(lambda: not own.active_runs)
    (run,) = post(own, "runtools", "/v1/run", method="GET").json["data"]
    assert run["status"] == "cancelled"


def test_a_run_that_nobody_takes_up_ends_in_the_end(
    own: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentnb.sandbox.fault_injector._GRACE", 1.0)
    stream(own, "runagent", {"deltas": 5000, "delay_ms": 20}, fault="drop events=2")
    assert own.active_runs == 1
    wait_for(lambda: not own.active_runs)


def test_a_run_that_was_taken_up_ends_with_that_client(
    own: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentnb.sandbox.fault_injector._GRACE", 1.0)
    told = {"deltas": 80, "delay_ms": 20}
    stream(own, "runagent", told, fault="drop events=2 times=1", session="up")
    body = {"query": "any", "session_id": "up", "parameters": {"resume_from_index": 1}}
    rest = post(own, "runagent", "/v1/agents/echo/stream", body)
    # Longer than it would have been left alone for.
    assert rest.frames[-1].startswith("event: done")
    wait_for(lambda: not own.active_runs)


def test_runs_can_be_kept_whose_clients_leave(own: Sandbox, gate: threading.Event) -> None:
    own.keep = 20
    stream(own, "runtools", {}, agent="gated", enough=600)
    assert own.active_runs == 1
    gate.set()
    wait_for(lambda: not own.active_runs)
    (run,) = post(own, "runtools", "/v1/run", method="GET").json["data"]
    assert run["status"] == "completed"


def test_stopping_ends_what_a_fault_holds_up() -> None:
    # In a process of its own, whose log nobody has set up, as in a kernel.
    done = python("""
        import json, socket
        from contextlib import suppress
        from itertools import product
        from agentnb.sandbox import Sandbox

        faults = ["stall", "stall after=5", "slow-head seconds=60", "drip seconds=0.01"]
        for fault, streams in product(faults, [True, False]):
            with Sandbox(pace=0) as sandbox:
                body = json.dumps({"agent": "echo", "prompt": "x", "stream": streams})
                head = (
                    f"POST /runtools/v1/run HTTP/1.1\\r\\nX-Sandbox-Fault: {fault}\\r\\n"
                    f"Host: 127.0.0.1:{sandbox.port}\\r\\nContent-Length: {len(body)}\\r\\n"
                    f"X-API-Key: {sandbox.api_key.get_secret_value()}\\r\\n\\r\\n"
                )
                connection = socket.create_connection(("127.0.0.1", sandbox.port), timeout=5)
                connection.sendall((head + body).encode())
                connection.settimeout(0.3)
                with suppress(TimeoutError):
                    connection.recv(4096)
            print(fault, streams, sandbox.is_running, sandbox.active_runs)
            connection.close()
    """)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 8
    assert done.stdout.count("False 0\n") == 8


# --- counting ---


def test_each_connection_of_a_run_counts(sandbox: Sandbox) -> None:
    fault = "drop events=3 times=2; compress on=join"
    cut = stream(sandbox, "runagent", SLOW, parameter=fault, session="counted")
    answers = [cut]
    for first in (2, 4, 6):
        body = {
            "query": "any",
            "session_id": "counted",
            "parameters": {"resume_from_index": first, "fault": fault},
        }
        answers.append(post(sandbox, "runagent", "/v1/agents/echo/stream", body))
    assert [a.end for a in answers] == ["reset", "reset", "end", "end"]
    assert ["content-encoding" in a.headers for a in answers] == [False, True, True, True]


def test_a_run_keeps_the_script_that_it_began_with(sandbox: Sandbox) -> None:
    cut = stream(sandbox, "operativus", SLOW, parameter="drop events=3 times=2")
    path = f"/api/v1/runs/{operativus_run(cut)}/events"
    ends = [post(sandbox, "operativus", path, method="GET").end for _ in range(3)]
    assert ends == ["reset", "end", "end"]


def test_a_request_that_was_refused_and_comes_again_is_known(sandbox: Sandbox) -> None:
    def ask() -> int:
        return stream(sandbox, "runagent", {"text": "me"}, parameter="status 429 times=2").status

    assert [ask() for _ in range(3)] == [429, 429, 200]
    # The next run of the same question is another.
    assert [ask() for _ in range(3)] == [429, 429, 200]


def test_an_idempotency_key_says_which_request_comes_again(sandbox: Sandbox) -> None:
    def ask(key: str) -> int:
        body = {"agent": "echo", "prompt": "same", "metadata": {"fault": "status 500 times=1"}}
        return post(sandbox, "runtools", "/v1/run", body, headers={"Idempotency-Key": key}).status

    assert [ask("a"), ask("b"), ask("a"), ask("b")] == [500, 500, 200, 200]


# --- where a script comes from ---


def test_the_body_can_carry_a_script(sandbox: Sandbox, platform: str) -> None:
    answer = stream(sandbox, platform, SLOW, parameter="drop after=400")
    assert (len(answer.body), answer.end) == (400, "reset")


def test_operativus_takes_one_as_a_model(sandbox: Sandbox) -> None:
    body = {"message": "hi", "options": {"model": "fault: drop after=77"}}
    answer = post(sandbox, "operativus", "/api/agents/echo/runs/stream", body)
    assert len(answer.body) == 77
    body["options"] = {"model": "gpt"}
    assert post(sandbox, "operativus", "/api/agents/echo/runs/stream", body).whole


def test_a_sandbox_misbehaves_as_a_whole_until_told_otherwise(own: Sandbox, platform: str) -> None:
    own.faults("drop after=300 times=1")
    for _ in range(2):
        assert len(stream(own, platform, SLOW).body) == 300
    own.faults(None)
    assert stream(own, platform, {"deltas": 3}).whole


def test_a_block_ends_with_what_was_before(own: Sandbox) -> None:
    own.faults("drop after=10")
    with own.faults("drop after=20") as sandbox, own.faults("drop after=30") as inner:
        assert inner is sandbox is own
        assert len(stream(own, "runagent", SLOW).body) == 30
    assert len(stream(own, "runagent", SLOW).body) == 10
    assert "drop after=10" in repr(own.faults("drop after=10"))


def test_the_nearest_script_wins(own: Sandbox) -> None:
    own.faults("drop after=10")
    assert len(stream(own, "runagent", SLOW, parameter="drop after=20").body) == 20
    nearest = stream(own, "runagent", SLOW, parameter="drop after=20", fault="drop after=30")
    assert len(nearest.body) == 30


def test_only_runs_are_concerned_unless_told_otherwise(own: Sandbox) -> None:
    own.faults("status 503")
    assert post(own, "seekr", "/v1/threads", {}).status == 200
    assert post(own, "runtools", "/v1/run", method="GET").status == 200
    own.faults("status 503 on=other times=1")
    assert post(own, "runtools", "/v1/run", method="GET").status == 503
    assert post(own, "runtools", "/v1/run", method="GET").status == 200
    assert stream(own, "runtools", {"deltas": 1}).status == 200
    own.faults("status 503 on=any")
    assert post(own, "seekr", "/v1/threads", {}).status == 503


def test_taking_up_can_be_refused(own: Sandbox) -> None:
    own.faults("drop events=3 on=start; status 503 on=join times=1")
    cut = stream(own, "operativus", SLOW)
    path = f"/api/v1/runs/{operativus_run(cut)}/events"
    assert [post(own, "operativus", path, method="GET").status for _ in range(2)] == [503, 200]

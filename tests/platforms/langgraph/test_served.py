"""Against LangGraph's development server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

import agentnb
from agentnb.errors import InvalidRequestError, NotFoundError
from agentnb.event import RawEvent, TextDelta, Usage
from agentnb.run.run import Run
from agentnb.testing import PlatformContract
from tests.patience import PAUSE, looks
from tests.platforms.served import first_turn

pytestmark = [pytest.mark.slow]

Graph = Callable[..., agentnb.Agent]
ONE_CALL = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}


class TestContract(PlatformContract):
    """What every platform does alike."""

    prompt = "tea?"
    long_prompt = "go on"


def wait_for_text(run: Run, text: str) -> None:
    for _ in looks():
        if text in run.text:
            return
        assert not run.done, run.error
        time.sleep(PAUSE)
    raise AssertionError(f"no {text} in {run.text}")


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_an_answer_is_streamed_with_its_usage(agent: agentnb.Agent) -> None:
    run = await agent.arun("tea?")
    assert (run.text, run.status) == ("You said: hahaha tea? (1)", "completed")
    texts = [event.text for event in run.events if isinstance(event, TextDelta)]
    assert texts == ["You ", "said: ", "ha", "ha", "ha ", "tea? (1)"]
    assert not [event for event in run.events if isinstance(event, RawEvent)]
    assert run.usage == Usage(**ONE_CALL, cached_tokens=3, reasoning_tokens=1)
    assert run.transcript.model == "scripted-1"
    second = await agent.arun("more", session=run)
    assert second.text == "You said: hahaha more (2)"


@pytest.mark.anyio
@pytest.mark.parametrize("subgraphs", [None, False, True])
async def test_a_tool_is_called(graph: Graph, subgraphs: bool | None) -> None:
    agent = graph("helper" if subgraphs is None else "outer")
    run = await agent.arun("use a tool", stream_subgraphs=bool(subgraphs))
    (call,) = run.transcript.tool_calls
    assert (call.name, json.loads(call.arguments), call.result) == ("add", {"a": 1, "b": 2}, "3")
    assert run.text == "Let me add. \n\nIt is 3."
    deltas = [event.text for event in run.events if isinstance(event, TextDelta)]
    assert len(deltas) == (2 if subgraphs is False else 3)
    steps = [(step.name, step.status) for step in run.steps]
    assert steps == ([("inner", "completed")] if subgraphs else [])
    depths = {part["kind"]: part.get("depth", 0) for part in run.transcript.to_dict()["parts"]}
    assert (depths["tool"], depths["text"]) == ((1, 1) if subgraphs else (0, 0))
    # The sum of both calls of the model.
    assert run.usage
    assert (run.usage.input_tokens, run.usage.total_tokens) == (10, 14)


@pytest.mark.anyio
async def test_a_tool_fails(agent: agentnb.Agent) -> None:
    (call,) = (await agent.arun("use a tool and deny it")).transcript.tool_calls
    assert (call.status, call.error) == ("failed", "No.")


@pytest.mark.anyio
async def test_reasoning(agent: agentnb.Agent) -> None:
    run = await agent.arun("think")
    assert (run.reasoning, run.text) == ("Hm", "So.")


@pytest.mark.anyio
async def test_attachments_and_earlier_messages(agent: agentnb.Agent) -> None:
    media = [agentnb.Media(data=b"PNG", mime_type="image/png"), "https://example.com/tea.pdf"]
    run = await agent.arun("see", media=media)
    assert run.text == "You said: hahaha text image_url file (1)"


@pytest.mark.anyio
async def test_a_state_without_messages(graph: Graph) -> None:
    agent = graph("fields", prompt_field="question")
    run = await agent.arun("tea", input={"log": ["zero"]}, stream_mode=["custom", "values"])
    assert json.loads(run.text) == {
        "question": "tea",
        "answer": "TEA",
        "log": ["zero", "one", "two"],
    }
    raw = [event for event in run.events if isinstance(event, RawEvent)]
    assert [json.loads(event.data) for event in raw if event.name == "updates"] == [
        {"one": {"log": ["one"]}},
        {"two": {"answer": "TEA", "log": ["two"]}},
    ]
    assert [event.value for event in run.custom_events] == [{"progress": 50}]
    assert run.state == json.loads(run.text)
    picked = await graph("fields", prompt_field="question", answer_field="answer").arun("tea")
    assert picked.text == "TEA"
    # A later run of the thread does not change what an earlier one returned.
    later = await agent.arun("milk", session=picked)
    assert json.loads(later.text)["answer"] == "MILK"
    again = graph("fields", answer_field="answer").attach(picked.id, session=picked.session_id)
    assert again.wait().text == "TEA"


@pytest.mark.anyio
async def test_other_graphs(graph: Graph) -> None:
    assert (await graph("echo", prompt_field="").arun("tea")).text == "echo tea"
    # A message without a class is not among those that are streamed.
    assert (await graph("plainly").arun("tea")).text == "Plain."
    assert (await graph("toning").arun("tea", context={"tone": "dry"})).text == "Tone: dry."


# --- failures -------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_graph_that_raises(agent: agentnb.Agent) -> None:
    run = await agent.arun("break", check=False)
    assert (run.status, run.text, run.error) == ("failed", "Part.", "the model broke")
    assert run.transcript.failure is not None
    assert run.transcript.failure.error_type == "ValueError"
    # The record of the thread's next run is another one.
    await agent.arun("tea?", session=run)
    again = agent.attach(run.id, session=run.session_id)
    again.wait(check=False)
    assert again.status == "failed"
    assert "the model broke" in (again.error or "")


@pytest.mark.anyio
async def test_the_limit_of_steps(agent: agentnb.Agent) -> None:
    run = await agent.arun("use a tool", check=False, config={"recursion_limit": 1})
    assert run.status == "failed"
    assert "Recursion limit of 1" in (run.error or "")


@pytest.mark.anyio
async def test_errors_before_the_stream(graph: Graph, agent: agentnb.Agent) -> None:
    run = await graph("nobody").arun("tea?", check=False)
    assert isinstance(run.exception, InvalidRequestError)
    assert "Invalid assistant: 'nobody'" in (run.error or "")
    run = await agent.arun("tea?", check=False, session=str(uuid4()))
    assert isinstance(run.exception, NotFoundError)
    attached = agent.attach(str(uuid4()), session=str(uuid4()))
    attached.wait(check=False)
    assert isinstance(attached.exception, NotFoundError)


def test_stopping_a_run_and_its_status(agent: agentnb.Agent) -> None:
    run = agent.start("go on")
    wait_for_text(run, " 3")
    assert run.session_id
    states = agent.remote_status([run.id, str(uuid4())], session=run.session_id)
    assert {key: state.status for key, state in states.items()} == {run.id: "running"}
    run.cancel()
    run.wait(check=False)
    assert run.status == "cancelled"
    status = ""
    for _ in looks():
        status = agent.remote_status([run.id], session=run.session_id)[run.id].status
        if status != "running":
            break
        time.sleep(PAUSE)
    assert status == "cancelled"
    other = agent.attach(run.id, session=run.session_id)
    other.wait(check=False)
    assert other.status == "cancelled"
    assert other.text.startswith(run.text)


# --- sessions and agents --------------------------------------------------------------------------


def test_a_thread_outlives_the_process(url: str, agent: agentnb.Agent, tmp_path: Path) -> None:
    session = first_turn("langgraph:helper", url, tmp_path / "runs.db")
    assert agent.run("more", session=session).text == "You said: hahaha more (2)"


def test_graphs_are_listed(agent: agentnb.Agent) -> None:
    found = {info.id for info in agent.agents()}
    assert {"helper", "outer", "asking", "fields", "echo"} <= found

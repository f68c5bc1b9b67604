"""Subgraphs as steps of the run, on LangGraph's development server."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import agentnb
from agentnb.event import StepFinished
from agentnb.event.transcript import Passage, Step

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

Graph = Callable[..., agentnb.Agent]


def texts(run: agentnb.Run, step: Step) -> str:
    """Return the answer's text of a step."""
    parts = [part for part in run.transcript.parts if isinstance(part, Passage)]
    return "".join(str(part.text) for part in parts if part.step is step).strip()


async def test_a_subgraph_of_a_subgraph_is_a_step_of_its_step(graph: Graph) -> None:
    run = await graph("nested").arun("use a tool", stream_subgraphs=True)
    assert [(step.name, step.depth, step.status) for step in run.steps] == [
        ("middle", 0, "completed"),
        ("inner", 1, "completed"),
    ]
    assert [texts(run, step) for step in run.steps] == ["", "Let me add. \n\nIt is 3."]
    assert [call.depth for call in run.tool_calls] == [2]


async def test_tasks_of_one_node_are_steps_that_end_together(graph: Graph) -> None:
    run = await graph("spread").arun("tea?", stream_subgraphs=True)
    assert run.status == "completed"
    assert [(step.name, step.status) for step in run.steps] == [("inner", "completed")] * 2
    ends = [number for number, each in enumerate(run.events) if isinstance(each, StepFinished)]
    assert ends[1] == ends[0] + 1
    assert sorted(texts(run, step) for step in run.steps) == [
        "Let me add. \n\nIt is 3.",
        "You said: hahaha two (1)",
    ]


async def test_a_subgraph_that_waits_goes_on_as_the_same_step(graph: Graph) -> None:
    run = await graph("within").arun("tea?", stream_subgraphs=True)
    assert (run.status, [step.status for step in run.steps]) == ("paused", ["running"])
    for _ in range(2):
        run = await run.approve_async()
        await run.wait_async(check=False)
    assert (run.status, run.text) == ("completed", "First.\n\nTea: True, milk: True.")
    (step,) = run.steps
    assert (step.name, step.status, texts(run, step)) == ("inner", "completed", run.text)

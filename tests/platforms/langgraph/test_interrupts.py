"""Graphs that wait for decisions, on LangGraph's development server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import agentnb
from agentnb.errors import RequestError
from agentnb.event import ApprovalRequested
from agentnb.run.run import Run

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

Graph = Callable[..., agentnb.Agent]


async def settled(run: Run) -> Run:
    await run.wait_async(check=False)
    return run


def pending(run: Run) -> list[ApprovalRequested]:
    assert run.status == "paused", run.error
    return list(run.transcript.pending_approvals)


async def test_a_graph_that_interrupts_twice(graph: Graph) -> None:
    run = await graph("asking").arun("tea?")
    (approval,) = pending(run)
    assert (approval.message, run.text) == ("Tea?", "First.")
    assert json.loads(approval.arguments)["kinds"] == ["green", "black"]
    run = await settled(await run.approve_async())
    (approval,) = pending(run)
    assert approval.message == "Milk?"
    run = await settled(await run.deny_async(approval.approval_id))
    assert (run.status, run.text) == ("completed", "First.\n\nTea: True, milk: False.")
    assert len(run.transcript.approvals) == 2


async def test_other_values_of_decisions(graph: Graph) -> None:
    agent = graph("asking", approve_with="green", deny_with={"no": ["milk"]})
    run = await settled(await (await agent.arun("tea?")).approve_async())
    run = await settled(await run.deny_async())
    assert run.text.endswith("Tea: green, milk: {'no': ['milk']}.")


@pytest.mark.parametrize(("approve", "kind"), [(True, "approve"), (False, "reject")])
async def test_a_tool_call_that_waits(graph: Graph, approve: bool, kind: str) -> None:
    run = await graph("acting").arun("buy")
    (approval,) = pending(run)
    assert (approval.tool, approval.message) == ("buy", "Buy tea.")
    assert json.loads(approval.arguments) == {"n": 2}
    run = await settled(await (run.approve_async() if approve else run.deny_async()))
    assert run.text == str({"decisions": [{"type": kind}]})


async def test_an_interrupt_returns_the_payload(graph: Graph) -> None:
    run = await graph("asking", answer_schema={"type": "string"}).arun("tea?")
    (approval,) = pending(run)
    assert (approval.message, approval.answer_schema) == ("Tea?", '{"type": "string"}')
    run = await settled(await run.approve_async(payload="oolong"))
    (approval,) = pending(run)
    assert (approval.message, approval.arguments) == ("Milk?", "")
    assert json.loads(approval.answer_schema or "")["required"] == ["fat"]
    with pytest.raises(RequestError, match="'fat' is no number"):
        await run.approve_async(payload={"fat": "much"})
    run = await settled(await run.approve_async(payload={"fat": 3.5}))
    assert run.text.endswith("Tea: oolong, milk: {'fat': 3.5}.")


async def test_a_tool_call_with_other_arguments(graph: Graph) -> None:
    run = await graph("acting").arun("buy")
    (approval,) = pending(run)
    assert json.loads(approval.answer_schema or "")["properties"] == {"n": {"type": "number"}}
    run = await settled(await run.approve_async(payload={"n": 3}))
    edited = {"type": "edit", "edited_action": {"name": "buy", "args": {"n": 3}}}
    assert run.text == str({"decisions": [edited]})
    run = await settled(await (await graph("acting").arun("buy")).deny_async(payload="Too much."))
    assert run.text == str({"decisions": [{"type": "reject", "message": "Too much."}]})
    own = {"decisions": [{"type": "respond", "message": "Ask me later."}]}
    run = await settled(await (await graph("acting").arun("buy")).deny_async(payload=own))
    assert run.text == str(own)


async def test_several_interrupts_at_once(graph: Graph) -> None:
    run = await graph("both").arun("go")
    left, right = pending(run)
    with pytest.raises(RequestError, match="several"):
        await run.approve_async()
    run = await settled(await run.deny_async(right))
    assert run.text == "Right: False."
    assert pending(run) == [left]
    run = await settled(await run.approve_async(left))
    assert (run.status, run.text) == ("completed", "Right: False.\n\nLeft: True.")


async def test_a_breakpoint(graph: Graph) -> None:
    run = await graph("stopping").arun("tea?")
    (approval,) = pending(run)
    assert approval.approval_id is None
    with pytest.raises(RequestError, match="breakpoint cannot be denied"):
        await run.deny_async()
    run = await settled(await run.approve_async())
    assert run.text.startswith("First.\n\nYou said: ")
    given = await graph("helper").arun("tea?", interrupt_before=["model"])
    assert pending(given)


async def test_a_decision_in_another_process(graph: Graph, url: str) -> None:
    run = await graph("acting").arun("buy", config={"recursion_limit": 7})
    # A platform of its own knows only the ids.
    other = agentnb.agent("langgraph:acting", base_url=url, options={"approve_with": 1})
    attached = await settled(other.attach(run.id, session=run.session_id))
    assert pending(attached) == pending(run)
    assert other.remote_status([run.id], session=run.session_id)[run.id].status == "paused"
    attached = await settled(await attached.approve_async())
    assert attached.status == "completed"
    sent: Any = other.remote_status([attached.id], session=run.session_id)[attached.id].raw
    assert sent["kwargs"]["config"]["recursion_limit"] == 7
    with pytest.raises(RequestError, match="no such decision"):
        await run.approve_async()

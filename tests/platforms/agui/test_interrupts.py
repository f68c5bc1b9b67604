"""Interrupts of AG-UI, decided on a real server of Pydantic AI."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import agentnb
from agentnb.errors import RequestError
from agentnb.event import ApprovalRequested, RunStarted
from agentnb.platforms.agui.interrupts import read_interrupt, resume_entry
from agentnb.plugin import Decision
from agentnb.run.run import Run
from tests.platforms.agui.served import Served, served_agents

ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "approved": {"type": "boolean"},
        "editedArgs": {"type": "object"},
        "reason": {"type": "string"},
    },
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served_agents(tmp_path_factory.mktemp("agui")) as running:
        yield running


@pytest.fixture
def agent(served: Served) -> agentnb.Agent:
    return agentnb.agent("agui:helper", base_url=served.url)


async def settled(run: Run) -> Run:
    await run.wait_async(check=False)
    return run


def pending(run: Run) -> list[ApprovalRequested]:
    assert run.status == "paused", run.error
    return list(run.transcript.pending_approvals)


@pytest.mark.slow
@pytest.mark.anyio
class TestServed:
    async def test_an_approved_call_is_made_in_the_same_run(self, agent: agentnb.Agent) -> None:
        run = await agent.arun("ask me")
        (approval,) = pending(run)
        assert (approval.approval_id, approval.tool) == ("int-c1", "delete")
        assert approval.arguments == '{"path": "a.txt"}'
        assert json.loads(approval.answer_schema or "")["properties"] == {
            "path": {"type": "string"}
        }
        done = await settled(await run.approve_async())
        assert (done.status, done.text) == ("completed", "It is a.txt is deleted.")
        assert (done.id, done.session_id) == (run.id, run.session_id)
        assert [(call.call_id, call.status) for call in done.tool_calls] == [("c1", "completed")]
        assert done.usage is not None
        assert run.usage is not None
        assert (done.usage.input_tokens or 0) > (run.usage.input_tokens or 0)
        following = await agent.arun("count", session=done)
        assert following.text == ("user=ask me|assistant=It is a.txt is deleted.|user=count")

    async def test_other_arguments(self, agent: agentnb.Agent) -> None:
        run = await agent.arun("ask me")
        with pytest.raises(RequestError, match="'path' is no string"):
            await run.approve_async(payload={"path": 1})
        done = await settled(await run.approve_async(payload={"path": "z.txt"}))
        assert done.text == "It is z.txt is deleted."

    async def test_a_denied_call_and_its_reason(self, agent: agentnb.Agent) -> None:
        run = await agent.arun("ask me")
        done = await settled(await run.deny_async(payload="Not this one."))
        assert (done.status, done.text) == ("completed", "It is Not this one..")
        plain = await settled(await (await agent.arun("ask me")).deny_async())
        assert plain.status == "completed"
        assert "is deleted" not in plain.text

    @pytest.mark.parametrize("first", [0, 1])
    async def test_several_are_sent_when_all_are_decided(
        self, agent: agentnb.Agent, first: int
    ) -> None:
        run = await agent.arun("ask me twice")
        approvals = pending(run)
        assert [each.approval_id for each in approvals] == ["int-c1", "int-c2"]
        waiting = await settled(await run.approve_async(approvals[first]))
        assert pending(waiting) == [approvals[1 - first]]
        assert waiting.text == "Two files."
        done = await settled(await waiting.deny_async())
        assert done.status == "completed"
        assert f"{'bc'[first]}.txt is deleted" in done.text
        assert f"{'cb'[first]}.txt" not in done.text
        assert len(done.transcript.approvals) == 2
        ids = [event.run_id for event in done.events if isinstance(event, RunStarted)]
        assert {each for each in ids if each} == {run.id}


def test_a_call_without_a_schema_is_approved_by_a_bool() -> None:
    approval = read_interrupt({"id": "i"}, "delete", "{}")
    assert (approval.tool, approval.answer_schema) == ("delete", None)
    for approved in (True, False):
        entry = resume_entry(approval, Decision("i", approved))
        assert entry == {
            "interruptId": "i",
            "status": "resolved",
            "payload": {"approved": approved},
        }


def test_the_server_s_own_answers_are_sent_as_they_are() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    interrupt = {"id": "i", "reason": "input", "responseSchema": schema, "expiresAt": "2030-01-01"}
    approval = read_interrupt(interrupt, "", "")
    assert (approval.message, approval.expires_at) == ("input", "2030-01-01")
    assert json.loads(approval.answer_schema or "") == schema
    answered = resume_entry(approval, Decision("i", True, {"city": "Bern"}))
    assert answered == {"interruptId": "i", "status": "resolved", "payload": {"city": "Bern"}}
    assert resume_entry(approval, Decision("i", True)) == {"interruptId": "i", "status": "resolved"}
    denied = {"interruptId": "i", "status": "cancelled"}
    assert resume_entry(approval, Decision("i", False)) == denied
    # Of a call, too: what is sent are no arguments.
    of_call = read_interrupt(interrupt, "book", '{"city": "?"}')
    assert (of_call.tool, of_call.arguments) == (None, '{"city": "?"}')


def test_an_approval_without_a_call() -> None:
    approval = read_interrupt({"id": "i", "responseSchema": ANSWER}, "", "")
    denied = {"interruptId": "i", "status": "resolved", "payload": {"approved": False}}
    assert resume_entry(approval, Decision("i", False)) == denied
    own = {"approved": True, "reason": "ok"}
    assert resume_entry(approval, Decision("i", True, own))["payload"] == own


def test_one_without_an_id_cannot_be_answered() -> None:
    with pytest.raises(RequestError, match="no id"):
        resume_entry(read_interrupt({}, "", ""), Decision(None, True))

"""Runs of several requests: their agents call tools of this process, or wait for decisions."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import uuid4

from agentnb.errors import UnsupportedError
from agentnb.event.approvals import Decision
from agentnb.event.transcript import ToolCall, Transcript
from agentnb.event.types import (
    TERMINAL_EVENTS,
    ApprovalRequested,
    Event,
    RunFailed,
    RunFinished,
    RunStarted,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from agentnb.platforms.base import (
    AgentInfo,
    Capabilities,
    ClientToolCall,
    Platform,
    RemoteRun,
    RunRequest,
    ToolRound,
)
from agentnb.platforms.base_platform import BasePlatform, OfflinePlatform
from agentnb.run.tools import Tool

_MAX_ROUNDS: Final = 50
_DENIED: Final = "The user denied this call."


@dataclass(slots=True)
class _State:
    """A run between its requests."""

    request: RunRequest
    #: Everything that was yielded so far.
    events: list[Event] = field(default_factory=list[Event])
    run_id: str | None = None
    #: The text of the round, the calls of the client's tools that it ended with, and their results.
    text: str = ""
    calls: list[ToolCall] = field(default_factory=list[ToolCall])
    results: list[ClientToolCall] = field(default_factory=list[ClientToolCall])
    #: The ids of the calls of earlier rounds, and those of this round that are new ones instead.
    earlier_ids: set[str] = field(default_factory=set[str])
    new_ids: dict[str, str] = field(default_factory=dict[str, str])
    #: The decision about the next call: None before it.
    decision: bool | None = None
    #: The payload of the decision: other arguments, or the reason why it was denied.
    payload: Any = None
    #: The usage of the rounds before this one, and that of all.
    earlier: Usage | None = None
    usage: Usage | None = None
    #: What the platform waits for at the end of the round, and the decisions so far, by their ids.
    approvals: list[ApprovalRequested] = field(default_factory=list[ApprovalRequested])
    decisions: dict[str | None, Decision] = field(default_factory=dict[str | None, Decision])

    @property
    def undecided(self) -> list[ApprovalRequested]:
        return [each for each in self.approvals if each.approval_id not in self.decisions]

    def repeated(self) -> list[Event]:
        """Return the events so far; the approvals that the run still waits for come last."""
        waiting = self.undecided
        ids = set(map(id, waiting))
        return [*(event for event in self.events if id(event) not in ids), *waiting]

    @property
    def next_call(self) -> ToolCall | None:
        done = len(self.results)
        return self.calls[done] if done < len(self.calls) else None

    @property
    def approval_id(self) -> str | None:
        return None if self.next_call is None else f"call:{self.unique_id(self.next_call.call_id)}"

    def unique_id(self, call_id: str) -> str:
        """Return the id of a call in the whole run: a server may number those of each response."""
        if call_id in self.earlier_ids:
            number = len(self.request.tool_rounds) + 1
            return self.new_ids.setdefault(call_id, f"{call_id} ({number})")
        return call_id


def with_rounds(platform: Platform, tools: Sequence[Tool]) -> Platform:
    """Return the platform for one run, which may take more than one request."""
    may_need_rounds = tools or platform.capabilities.decides_by_request
    if not may_need_rounds or isinstance(platform, OfflinePlatform):
        return platform
    return RoundPlatform(platform, tools)


class RoundPlatform(BasePlatform):
    """A platform for one run, whose agent may call ``tools`` and wait for decisions.

    Where a response ends with calls of the tools, they are made one after the other, and their
    results sent with the next request.  Before the call of a tool that is not trusted, the stream
    ends, and the run waits for a decision; `attach` then repeats its events and continues.  So it
    does where the platform takes decisions with the next request.
    """

    def __init__(self, platform: Platform, tools: Sequence[Tool]) -> None:
        super().__init__(platform.name)
        #: The platform that the requests are sent to.
        self.platform = platform
        self._tools = {tool.spec.name: tool for tool in tools}
        self._state: _State | None = None

    @property
    def capabilities(self) -> Capabilities:
        abilities = self.platform.capabilities
        return replace(abilities, approvals=True, approval_payloads=True, attach=True)

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        """Start the run and yield its events."""
        specs = [tool.spec for tool in self._tools.values()]
        self._state = _State(replace(request, tools=specs))
        async with aclosing(self._events(self._state)) as batches:
            async for batch in batches:
                yield batch

    async def attach(
        self, run_id: str, *, agent: str | None = None, session_id: str | None = None
    ) -> AsyncGenerator[list[Event], None]:
        """Yield the events of the run so far, then make the call that was decided, and go on."""
        state = self._state
        if state is None or (state.decision is None and not state.decisions):
            batches = self.platform.attach(run_id, agent=agent, session_id=session_id)
        else:
            yield state.repeated()
            batches = self._events(state)
        async with aclosing(batches):
            async for batch in batches:
                yield batch

    async def decide(
        self,
        run_id: str,
        approval_id: str | None,
        *,
        approved: bool,
        payload: Any = None,
        agent: str | None = None,
        session_id: str | None = None,
    ) -> None:
        """Decide about the call that the run waits for, or about an approval of the platform.

        The ``payload`` of a call are the arguments that it is made with; of a denied one, a reason.
        """
        state = self._state
        if state is not None and approval_id is not None and approval_id == state.approval_id:
            state.decision, state.payload = approved, payload
            return
        if state is not None and approval_id in {each.approval_id for each in state.undecided}:
            state.decisions[approval_id] = Decision(approval_id, approved, payload)
            return
        if payload is not None and not self.platform.capabilities.approval_payloads:
            raise UnsupportedError(f"{self.name} takes decisions without a payload only.")
        given = {} if payload is None else {"payload": payload}
        await self.platform.decide(
            run_id, approval_id, approved=approved, agent=agent, session_id=session_id, **given
        )

    async def cancel(
        self, run_id: str | None, *, agent: str | None = None, session_id: str | None = None
    ) -> None:
        """Stop the run on the platform."""
        await self.platform.cancel(run_id, agent=agent, session_id=session_id)

    async def status(
        self, run_ids: Sequence[str], *, agent: str | None = None, session_id: str | None = None
    ) -> dict[str, RemoteRun]:
        """Return the state of runs on the platform."""
        return await self.platform.status(run_ids, agent=agent, session_id=session_id)

    async def agents(self) -> list[AgentInfo]:
        """Return the agents of the platform."""
        return await self.platform.agents()

    # --- rounds -----------------------------------------------------------------------------------

    async def _events(self, state: _State) -> AsyncGenerator[list[Event], None]:
        """Yield the events that follow, to the run's end or to a call that has to be decided."""
        while True:
            if state.undecided:
                return
            while (call := state.next_call) is not None:
                tool = self._tools.get(call.name)
                if tool is not None and not tool.trusted and state.decision is None:
                    yield self._noted(state, self._approval(state, call))
                    return
                end = await self._called(state, tool, call)
                state.decision = state.payload = None
                yield self._noted(state, [end])
            if state.calls or state.approvals:
                if len(state.request.tool_rounds) >= _MAX_ROUNDS:
                    message = f"The agent called tools in {_MAX_ROUNDS} rounds without an answer."
                    yield self._noted(state, [RunFailed(message=message, code="tool_rounds")])
                    return
                self._begin_round(state)
            async with aclosing(self._round(state)) as batches:
                async for batch in batches:
                    yield self._noted(state, batch)
            if not state.calls and not state.approvals:
                return

    async def _round(self, state: _State) -> AsyncGenerator[list[Event], None]:
        """Yield the events of one request; those of the client's tools that it calls are kept."""
        transcript = Transcript(state=state.request.state)
        finished: RunFinished | None = None
        async with aclosing(self.platform.stream(state.request)) as batches:
            async for batch in batches:
                transcript.apply_all(e for e in batch if not isinstance(e, TERMINAL_EVENTS))
                finished = next((e for e in batch if isinstance(e, RunFinished)), finished)
                rest = [e for e in batch if not isinstance(e, RunFinished)]
                yield [changed for event in rest for changed in self._changed(state, event)]
        pending = transcript.pending_approvals
        if finished is None and pending and self.platform.capabilities.decides_by_request:
            state.text, state.approvals = transcript.text, [*pending]
            state.results = [*map(_as_called, transcript.tool_calls)]
            state.request = replace(state.request, state=transcript.state)
        if finished is None:
            return
        calls = [call for call in transcript.tool_calls if call.status == "running"]
        # A server also leaves calls of its own tools without a result.
        if any(call.name in self._tools for call in calls):
            state.text, state.calls, state.results = transcript.text, calls, []
            state.request = replace(state.request, state=transcript.state)
        else:
            yield [finished]

    def _changed(self, state: _State, event: Event) -> list[Event]:
        """Return an event of a round as one of the whole run."""
        match event:
            case RunStarted() if not state.request.tool_rounds:
                state.run_id = event.run_id or state.run_id
            case RunStarted():
                # Each response has an id of its own; the run has that of the first.
                return [RunStarted(model=event.model)] if event.model else []
            case UsageReported():
                total = state.earlier
                state.usage = event.usage if total is None else total.plus(event.usage)
                return [UsageReported(usage=state.usage, model=event.model)]
            case ToolCallStarted() | ToolCallDelta() | ToolCallFinished():
                return [replace(event, call_id=state.unique_id(event.call_id))]
            case _:
                pass
        return [event]

    def _begin_round(self, state: _State) -> None:
        answered = ToolRound(text=state.text, calls=tuple(state.results))
        rounds = (*state.request.tool_rounds, answered)
        decisions = [(each, state.decisions[each.approval_id]) for each in state.approvals]
        state.request = replace(state.request, tool_rounds=rounds, decisions=decisions)
        # A call that waited for a decision continues in the next round.
        done = {call.call_id for call in state.results if call.output is not None}
        state.earlier_ids |= done | {*state.new_ids.values()}
        state.new_ids.clear()
        state.calls, state.results, state.earlier = [], [], state.usage
        state.approvals, state.decisions = [], {}

    # --- calls ------------------------------------------------------------------------------------

    async def _called(self, state: _State, tool: Tool | None, call: ToolCall) -> ToolCallFinished:
        arguments = str(call.arguments_text)
        call_id = state.unique_id(call.call_id)
        note = ""
        if tool is None:
            end = ToolCallFinished(call_id=call_id, error=f"There is no tool {call.name}.")
        elif state.decision is False:
            reason = f" {state.payload}" if isinstance(state.payload, str) else ""
            end = ToolCallFinished(call_id=call_id, error=f"{_DENIED}{reason}")
        elif state.payload is not None:
            arguments = json.dumps(state.payload, ensure_ascii=False)
            # A server that keeps the conversation has the call as the agent made it.
            note = f"The user changed the arguments to {arguments}.\n"
            end = replace(await tool.call(call_id, arguments), arguments=arguments)
        else:
            end = await tool.call(call_id, arguments)
        output = note + (end.result or "" if end.error is None else f"Error: {end.error}")
        state.results.append(
            ClientToolCall(
                call_id=call.call_id, name=call.name, arguments=arguments or "{}", output=output
            )
        )
        return end

    def _approval(self, state: _State, call: ToolCall) -> list[Event]:
        events: list[Event] = []
        if state.run_id is None:
            # A decision names the run.
            state.run_id = f"run-{uuid4()}"
            events.append(RunStarted(run_id=state.run_id))
        message = f"The agent wants to call {call.name} in this kernel."
        return [
            *events,
            ApprovalRequested(
                approval_id=state.approval_id,
                message=message,
                tool=call.name,
                arguments=str(call.arguments_text),
                answer_schema=json.dumps(self._tools[call.name].spec.parameters),
            ),
        ]

    def _noted(self, state: _State, events: list[Event]) -> list[Event]:
        state.events += events
        return events


def _as_called(call: ToolCall) -> ClientToolCall:
    output = call.result or "" if call.error is None else f"Error: {call.error}"
    return ClientToolCall(
        call_id=call.call_id,
        name=call.name,
        arguments=call.arguments or "{}",
        output=None if call.status == "running" else output,
    )

"""Runs whose agent calls tools of this process, between its requests to the platform."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import uuid4

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
from agentnb.platforms.base_platform import BasePlatform
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
    #: The usage of the rounds before this one, and that of all.
    earlier: Usage | None = None
    usage: Usage | None = None

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


class ToolPlatform(BasePlatform):
    """A platform for one run, whose agent may call ``tools``.

    Where a response ends with calls of them, they are made one after the other, and their results
    sent with the next request.  Before the call of a tool that is not trusted, the stream ends, and
    the run waits for a decision; `attach` then repeats its events and continues.
    """

    def __init__(self, platform: Platform, tools: Sequence[Tool]) -> None:
        super().__init__(platform.name)
        self._platform = platform
        self._tools = {tool.spec.name: tool for tool in tools}
        self._state: _State | None = None

    @property
    def capabilities(self) -> Capabilities:
        return replace(self._platform.capabilities, approvals=True, attach=True)

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
        if state is None or state.decision is None:
            batches = self._platform.attach(run_id, agent=agent, session_id=session_id)
        else:
            yield list(state.events)
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
        agent: str | None = None,
        session_id: str | None = None,
    ) -> None:
        """Decide about the call that the run waits for, or about an approval of the platform."""
        state = self._state
        if state is not None and approval_id is not None and approval_id == state.approval_id:
            state.decision = approved
            return
        await self._platform.decide(
            run_id, approval_id, approved=approved, agent=agent, session_id=session_id
        )

    async def cancel(
        self, run_id: str | None, *, agent: str | None = None, session_id: str | None = None
    ) -> None:
        """Stop the run on the platform."""
        await self._platform.cancel(run_id, agent=agent, session_id=session_id)

    async def status(
        self, run_ids: Sequence[str], *, agent: str | None = None, session_id: str | None = None
    ) -> dict[str, RemoteRun]:
        """Return the state of runs on the platform."""
        return await self._platform.status(run_ids, agent=agent, session_id=session_id)

    async def agents(self) -> list[AgentInfo]:
        """Return the agents of the platform."""
        return await self._platform.agents()

    # --- rounds -----------------------------------------------------------------------------------

    async def _events(self, state: _State) -> AsyncGenerator[list[Event], None]:
        """Yield the events that follow, to the run's end or to a call that has to be decided."""
        while True:
            while (call := state.next_call) is not None:
                tool = self._tools.get(call.name)
                if tool is not None and not tool.trusted and state.decision is None:
                    yield self._noted(state, self._approval(state, call))
                    return
                denied, state.decision = state.decision is False, None
                yield self._noted(state, [await self._called(state, tool, call, denied=denied)])
            if state.calls:
                if len(state.request.tool_rounds) >= _MAX_ROUNDS:
                    message = f"The agent called tools in {_MAX_ROUNDS} rounds without an answer."
                    yield self._noted(state, [RunFailed(message=message, code="tool_rounds")])
                    return
                self._begin_round(state)
            async with aclosing(self._round(state)) as batches:
                async for batch in batches:
                    yield self._noted(state, batch)
            if not state.calls:
                return

    async def _round(self, state: _State) -> AsyncGenerator[list[Event], None]:
        """Yield the events of one request; those of the client's tools that it calls are kept."""
        transcript = Transcript(state=state.request.state)
        finished: RunFinished | None = None
        async with aclosing(self._platform.stream(state.request)) as batches:
            async for batch in batches:
                transcript.apply_all(e for e in batch if not isinstance(e, TERMINAL_EVENTS))
                finished = next((e for e in batch if isinstance(e, RunFinished)), finished)
                rest = [e for e in batch if not isinstance(e, RunFinished)]
                yield [changed for event in rest for changed in self._changed(state, event)]
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
        state.request = replace(state.request, tool_rounds=rounds)
        state.earlier_ids |= {call.call_id for call in state.calls} | {*state.new_ids.values()}
        state.new_ids.clear()
        state.calls, state.results, state.earlier = [], [], state.usage

    # --- calls ------------------------------------------------------------------------------------

    async def _called(
        self, state: _State, tool: Tool | None, call: ToolCall, *, denied: bool
    ) -> ToolCallFinished:
        arguments = str(call.arguments_text)
        call_id = state.unique_id(call.call_id)
        if tool is None:
            end = ToolCallFinished(call_id=call_id, error=f"There is no tool {call.name}.")
        elif denied:
            end = ToolCallFinished(call_id=call_id, error=_DENIED)
        else:
            end = await tool.call(call_id, arguments)
        output = end.result or "" if end.error is None else f"Error: {end.error}"
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
            ),
        ]

    def _noted(self, state: _State, events: list[Event]) -> list[Event]:
        state.events += events
        return events

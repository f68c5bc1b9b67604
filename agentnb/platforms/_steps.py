"""`Steps`: which step or sub-agent of a run each event belongs to."""

from __future__ import annotations

from collections.abc import Sequence

from agentnb.event import (
    Event,
    ReasoningDelta,
    StepFinished,
    StepStarted,
    TextDelta,
    ToolCallStarted,
)

_CONTENT = (TextDelta, ReasoningDelta, ToolCallStarted)


class Steps:
    """The open steps of a run and of its sub-agents, whose events may alternate.

    A sub-agent is a step, too, and has an id; the id of the run's own agent is "".
    """

    def __init__(self) -> None:
        # Names and ids.
        self._open: dict[str, list[tuple[str, str]]] = {}
        self._count = 0
        # The agent whose step is the current one; None where that is to be set.
        self._agent: str | None = ""

    def placed(self, agent: str, events: Sequence[Event]) -> Sequence[Event]:
        """Return the events of an agent within its step."""
        if agent == self._agent or not any(isinstance(event, _CONTENT) for event in events):
            return events
        return [*self._enter(agent), *events]

    def start(self, agent: str, name: str) -> list[Event]:
        """Return the start of a step of an agent."""
        entered = self._enter(agent)
        self._count += 1
        step_id = f"step {self._count}"
        start = StepStarted(step_id=step_id, name=name, parent_id=self._innermost(agent))
        self._open.setdefault(agent, []).append((name, step_id))
        return [*entered, start]

    def finish(self, agent: str, name: str) -> list[Event]:
        """Return the end of the last step of this name."""
        steps = self._open.get(agent, [])
        for step in reversed(steps):
            if step[0] == name:
                steps.remove(step)
                self._agent = None
                return [StepFinished(step_id=step[1])]
        return []

    def start_agent(self, agent: str, name: str, *, parent: str) -> list[Event]:
        """Return the start of a sub-agent."""
        entered = self._enter(parent)
        self._agent = agent
        return [
            *entered,
            StepStarted(step_id=agent, name=name, parent_id=self._innermost(parent)),
        ]

    def finish_agent(self, agent: str, error: str | None = None) -> list[Event]:
        """Return the end of a sub-agent."""
        self._agent = None
        return [StepFinished(step_id=agent, error=error)]

    def _innermost(self, agent: str) -> str | None:
        steps = self._open.get(agent)
        return steps[-1][1] if steps else agent or None

    def _enter(self, agent: str) -> list[Event]:
        if agent == self._agent:
            return []
        self._agent = agent
        return [StepStarted(step_id=self._innermost(agent))]

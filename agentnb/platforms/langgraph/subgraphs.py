"""The subgraphs of a LangGraph run as its steps."""

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
_Path = tuple[str, ...]


class Subgraphs:
    """The subgraphs that have started, each a step.

    The server names one by its path: a segment ``node:task`` for itself and each graph around it.
    The events of several may alternate.
    """

    def __init__(self) -> None:
        self._started: set[_Path] = set()
        # In the order of their starts.
        self._open: list[_Path] = []
        self._current: _Path = ()

    def place(self, path: _Path, events: Sequence[Event]) -> Sequence[Event]:
        """Return the events of the graph at ``path`` within its step."""
        if path == self._current or not any(isinstance(event, _CONTENT) for event in events):
            return events
        starts: list[Event] = []
        for length in range(1, len(path) + 1):
            outer = path[:length]
            if outer not in self._started:
                self._started.add(outer)
                self._open.append(outer)
                name = outer[-1].partition(":")[0]
                parent = _step_id(outer[:-1])
                starts.append(StepStarted(step_id=_step_id(outer), name=name, parent_id=parent))
                self._current = outer
        if path != self._current:
            starts.append(StepStarted(step_id=_step_id(path)))
            self._current = path
        return [*starts, *events]

    def finish(self, path: _Path, node: str) -> list[Event]:
        """Return the end of the first open subgraph that is this node of the graph at ``path``."""
        for each in self._open:
            if each[:-1] == path and each[-1].partition(":")[0] == node:
                return self._finish([one for one in self._open if one[: len(each)] == each])
        return []

    def finish_all(self) -> list[Event]:
        """Return the ends of all open ones."""
        return self._finish(list(self._open))

    def _finish(self, paths: Sequence[_Path]) -> list[Event]:
        ends: list[Event] = []
        for path in reversed(paths):
            self._open.remove(path)
            ends.append(StepFinished(step_id="|".join(path)))
            if self._current[: len(path)] == path:
                self._current = path[:-1]
        return ends


def _step_id(path: _Path) -> str | None:
    return "|".join(path) or None

"""The subgraphs of a LangGraph run as its steps."""

from __future__ import annotations

from collections.abc import Sequence

from agentnb.event import Event
from agentnb.plugin import Steps

_Path = tuple[str, ...]


class Subgraphs:
    """The subgraphs that have started, each a step.

    The server names a subgraph by its path: a segment ``node:task`` for each graph around it and
    for itself.
    """

    def __init__(self) -> None:
        self._steps = Steps()
        self._started: set[_Path] = set()
        # Each in the order of its start, and how many updates of its node have arrived.
        self._running: dict[_Path, int] = {}

    def place(self, path: _Path, events: Sequence[Event]) -> list[Event]:
        """Return the events of the graph at ``path`` within its step."""
        starts: list[Event] = []
        for length in range(1, len(path) + 1):
            graph = path[:length]
            if graph not in self._started:
                self._started.add(graph)
                self._running[graph] = 0
                starts += self._steps.start_agent(
                    _step_id(graph), _node(graph), parent=_step_id(graph[:-1])
                )
        return [*starts, *self._steps.placed(_step_id(path), events)]

    def finish(self, path: _Path, node: str) -> list[Event]:
        """Return the ends of the subgraphs at a node of the graph at ``path``, which has ended.

        The server names the node, not the task: tasks of one node that run at the same time end
        here with the last of them.
        """
        tasks = [each for each in self._running if each[:-1] == path and _node(each) == node]
        for task in tasks:
            self._running[task] += 1
        if not tasks or self._running[tasks[0]] < len(tasks):
            return []
        return self._finish([each for each in self._running if each[: len(path) + 1] in set(tasks)])

    def finish_all(self) -> list[Event]:
        """Return the ends of all that are running."""
        return self._finish([*self._running])

    def _finish(self, paths: Sequence[_Path]) -> list[Event]:
        ends: list[Event] = []
        for path in reversed(paths):
            del self._running[path]
            ends += self._steps.finish_agent(_step_id(path))
        return ends


def _step_id(path: _Path) -> str:
    return "|".join(path)


def _node(path: _Path) -> str:
    return path[-1].partition(":")[0]

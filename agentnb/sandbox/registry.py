"""The agents that a sandbox serves, by name."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar, overload

from agentnb._support.fork import renew_lock_after_fork

F = TypeVar("F", bound=Callable[..., Any])

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredAgent:
    """A function and its entry in the platforms' lists of agents.

    ``pace`` multiplies the sandbox's own: 0 adds no pauses, 1 those of a language model.
    """

    name: str
    function: Callable[..., Any]
    description: str
    model: str
    pace: float


class AgentRegistry:
    """Agents by name, falling back to the parent's.  Thread-safe."""

    def __init__(self, parent: AgentRegistry | None = None) -> None:
        self._parent = parent
        self._lock = threading.Lock()
        renew_lock_after_fork(self)
        self._agents: dict[str, RegisteredAgent] = {}

    @overload
    def agent(self, name: F, /) -> F: ...
    @overload
    def agent(
        self,
        name: str | None = None,
        /,
        *,
        description: str | None = None,
        model: str = "python",
        pace: float = 0.0,
    ) -> Callable[[F], F]: ...
    def agent(
        self,
        name: str | F | None = None,
        /,
        *,
        description: str | None = None,
        model: str = "python",
        pace: float = 0.0,
    ) -> F | Callable[[F], F]:
        """Register the decorated function as an agent; return the function unchanged.

        ``name`` defaults to the function's own.  An agent of the same name is replaced, so that a
        cell can be run again.

        Raises:
            ValueError: the name has other characters than letters, digits, ``_``, ``.`` and ``-``.
        """
        if name is not None and not isinstance(name, str):
            return self.agent()(name)

        def register(function: F) -> F:
            chosen = name if name is not None else getattr(function, "__name__", "")
            if not _NAME.fullmatch(chosen):
                raise ValueError(
                    f"{chosen!r} cannot name an agent: letters, digits, '_', '.' and '-' can."
                )
            doc = inspect.getdoc(function) or ""
            entry = RegisteredAgent(
                name=chosen,
                function=function,
                description=description if description is not None else doc.partition("\n")[0],
                model=model,
                pace=pace,
            )
            self.add(entry)
            return function

        return register

    def add(self, agent: RegisteredAgent) -> None:
        """Add an agent, replacing one of the same name."""
        with self._lock:
            self._agents[agent.name] = agent

    def find(self, name: str) -> RegisteredAgent | None:
        with self._lock:
            found = self._agents.get(name)
        if found is None and self._parent is not None:
            return self._parent.find(name)
        return found

    def list(self) -> list[RegisteredAgent]:
        """Return every agent, the parent's first, in the order they were registered."""
        merged = {} if self._parent is None else {a.name: a for a in self._parent.list()}
        with self._lock:
            merged.update(self._agents)
        return list(merged.values())


shared: Final = AgentRegistry()
"""The agents of every sandbox of this process."""

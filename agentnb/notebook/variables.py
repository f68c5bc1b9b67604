"""Variables of a notebook that are agents, or functions usable as agents."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final, cast

from agentnb.agents import Agent, agent
from agentnb.config import config

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

# Functions imported from these are not agents, and may do harm when called.
_FOREIGN: Final = frozenset({*sys.stdlib_module_names, "agentnb", "IPython", "ipykernel"}) - {
    "__main__"
}
# Name -> function and its agent, so that the next cell continues its conversation.
_agents: dict[str, tuple[object, Agent]] = {}


def agent_variable(name: str, shell: InteractiveShell | None) -> Agent | None:
    """Return the agent in the variable ``name``, or one for the function in it.

    Classes, builtins, magics, imports from the standard library or agentnb, and functions that
    cannot be called with one prompt are not agents.
    """
    value = _variables(shell).get(name)
    if isinstance(value, Agent):
        return value
    if value is None or not _is_agent_function(name, value, shell):
        return None
    known = _agents.get(name)
    if known is None or known[0] is not value:
        _agents[name] = known = (value, agent(cast("Callable[..., Any]", value)))
    alias = config().all_aliases().get(name)
    known[1].notice = alias and f"'{name}' is a function of this notebook, not the alias of {alias}"
    return known[1]


def agent_variables(shell: InteractiveShell | None) -> list[str]:
    """Return the names of the variables that are agents, without those that begin with "_"."""
    return [
        name
        for name, value in list(_variables(shell).items())
        if not name.startswith("_")
        and (isinstance(value, Agent) or _is_agent_function(name, value, shell))
    ]


def resolve_variable(target: Any, shell: InteractiveShell | None) -> Any:
    """Return the agent in the variable ``target``, or ``target`` itself."""
    found = agent_variable(target, shell) if isinstance(target, str) else None
    return target if found is None else found


def _variables(shell: InteractiveShell | None) -> dict[str, object]:
    return {} if shell is None else cast("Any", shell).user_ns


def _is_agent_function(name: str, value: object, shell: InteractiveShell | None) -> bool:
    if not callable(value) or isinstance(value, type) or inspect.isbuiltin(value):
        return False
    # IPython's own variables, unless the user replaced them.
    hidden: dict[str, object] = getattr(shell, "user_ns_hidden", {})
    if hidden.get(name, _agents) is value or _is_magic(value, shell):
        return False
    inner: Any = inspect.unwrap(value)
    while isinstance(inner, functools.partial):
        inner = inspect.unwrap(cast("functools.partial[Any]", inner).func)
    written = inner if isinstance(inner, FunctionType | MethodType) else type(inner).__call__
    if not isinstance(written, FunctionType | MethodType):
        return False
    return written.__module__.partition(".")[0] not in _FOREIGN and _takes_prompt(value)


def _is_magic(value: object, shell: InteractiveShell | None) -> bool:
    manager: Any = getattr(shell, "magics_manager", None)
    kinds: dict[str, dict[str, object]] = getattr(manager, "magics", {})
    return any(value is magic for magics in kinds.values() for magic in magics.values())


def _takes_prompt(function: Callable[..., Any]) -> bool:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return False
    for arguments, keywords in ((("",), {}), (("", ""), {}), (("",), {"context": ""})):
        try:
            signature.bind(*arguments, **keywords)
        except TypeError:
            continue
        return True
    return False

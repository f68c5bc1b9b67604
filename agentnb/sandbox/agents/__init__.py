"""The built-in agents: ``finance_agent`` and ``echo``."""

from __future__ import annotations

from agentnb.sandbox.agents.echo import echo
from agentnb.sandbox.agents.finance import finance_agent
from agentnb.sandbox.registry import AgentRegistry

__all__ = ["add_builtin", "echo", "finance_agent"]


def add_builtin(registry: AgentRegistry) -> None:
    """Add the built-in agents, unless a user registered one of the same name."""
    if registry.find("finance_agent") is None:
        registry.agent("finance_agent", model="sandbox-finance-1", pace=1.0)(finance_agent)
    if registry.find("echo") is None:
        registry.agent("echo", model="sandbox-echo-1")(echo)

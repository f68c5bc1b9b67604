"""run-agent.ai, https://api.run-agent.ai."""

from __future__ import annotations

from agentnb.platforms.runagent.client import DEFAULT_BASE_URL, RunAgentPlatform

__all__ = ["DEFAULT_BASE_URL", "RunAgentPlatform"]

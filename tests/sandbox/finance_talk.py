"""Talking to the finance agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentnb.event.transcript import Transcript, fold
from agentnb.platforms.base import RunRequest
from agentnb.platforms.local import FunctionPlatform
from agentnb.sandbox.finance import finance_agent


async def talk(*prompts: str, schema: Mapping[str, Any] | None = None) -> Transcript:
    """Hold a conversation; return its last run."""
    platform = FunctionPlatform(finance_agent)
    transcript = Transcript()
    for prompt in prompts:
        request = RunRequest(
            agent="finance_agent", prompt=prompt, session_id="s", output_schema=schema
        )
        transcript = fold(await platform.invoke(request))
        assert transcript.status == "completed"
    return transcript

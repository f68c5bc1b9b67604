"""Record the runs of platforms to a file, and play them back without the platforms.

with agentnb.record("answers.jsonl"):
    agentnb.agent("seekr:finance_agent").run("What is the NVDA stock price?")

with agentnb.playback("answers.jsonl"):
    agentnb.agent("seekr:finance_agent").run("What is the NVDA stock price?")
"""

from agentnb.cassettes.current import (
    active_playback,
    cassette_count,
    platform_or_playback,
    record_agents,
    record_run,
)

__all__ = [
    "active_playback",
    "cassette_count",
    "platform_or_playback",
    "record_agents",
    "record_run",
]

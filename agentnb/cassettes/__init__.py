"""Record the runs of platforms to a file, and play them back without the platforms.

with agentnb.record("answers.jsonl"):
    agentnb.agent("seekr:finance_agent").run("What is the NVDA stock price?")

with agentnb.playback("answers.jsonl"):
    agentnb.agent("seekr:finance_agent").run("What is the NVDA stock price?")
"""

from agentnb.cassettes.current import (
    now_playing,
    record_agents,
    record_run,
    stand_in,
    tapes_begun,
)

__all__ = ["now_playing", "record_agents", "record_run", "stand_in", "tapes_begun"]

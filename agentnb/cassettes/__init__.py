"""Recording what platforms answer, and playing it back without them.

with agentnb.record("answers.jsonl"):
agentnb.agent("seekr:finance_agent").run("What is the NVDA stock price?")

with agentnb.playback("answers.jsonl"):
agentnb.agent("seekr:finance_agent").run("What is the NVDA stock price?")
"""

from agentnb.cassettes.cassette import tapes_begun
from agentnb.cassettes.current import note_agents, now_playing, stand_in, watch

__all__ = ["note_agents", "now_playing", "stand_in", "tapes_begun", "watch"]

"""Recording what platforms answer, and playing it back without them.

with agentnb.record("answers.jsonl"):
agentnb.agent("seekr:finance_agent").run("What is the NVDA stock price?")

with agentnb.playback("answers.jsonl"):
agentnb.agent("seekr:finance_agent").run("What is the NVDA stock price?")
"""

from agentnb.platforms.tape.now import note_agents, now_playing, stand_in, watch
from agentnb.platforms.tape.tape import tapes_begun

__all__ = ["note_agents", "now_playing", "stand_in", "tapes_begun", "watch"]

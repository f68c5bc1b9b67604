"""Recording what platforms answer, and playing it back without them.

with agentnb.record("answers.jsonl"):
agentnb.agent("seekr:finance_agent").run("What is the NVDA stock price?")

with agentnb.playback("answers.jsonl"):
agentnb.agent("seekr:finance_agent").run("What is the NVDA stock price?")
"""

from agentnb.platforms.tape.playback import Playback, now_playing, playback, stand_in
from agentnb.platforms.tape.recorder import Recorder, note_agents, record, watch
from agentnb.platforms.tape.tape import tapes_begun

__all__ = [
    "Playback",
    "Recorder",
    "note_agents",
    "now_playing",
    "playback",
    "record",
    "stand_in",
    "tapes_begun",
    "watch",
]

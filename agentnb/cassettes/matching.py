"""Which recorded run answers a question, and what to say where none does."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from heapq import nlargest
from typing import Any, Final

from agentnb.cassettes.entries import TapedRun
from agentnb.config.names import quoted
from agentnb.errors import PlaybackError

__all__ = ["Shelf", "named"]

_SHOWN: Final = 60
# How much of two long prompts is compared to find the nearest, and how many are compared closely:
# that takes the square of their length.
_COMPARED: Final = 200
_CLOSELY: Final = 5
_WORDS: Final = {
    "agent": "the agent",
    "prompt": "the prompt",
    "session_id": "the session",
    "history": "the earlier messages",
    "params": "the parameters",
    "output_schema": "the output schema",
    "media": "the attachments",
    "followups": "whether follow-ups are asked for",
    "stream": "whether it streams",
    "run_id": "the run that is joined",
}


class Shelf:
    """The recorded runs of one platform, each to be taken once, in the order of their sending."""

    def __init__(self, platform: str, runs: Iterable[TapedRun]) -> None:
        self._platform = named(platform)
        self._runs = sorted(runs, key=lambda run: run.sent_at)
        self._left: dict[str, deque[TapedRun]] = {}
        for run in self._runs:
            self._left.setdefault(_key(run.asked), deque()).append(run)

    @property
    def left(self) -> int:
        """How many have not been taken."""
        return sum(len(runs) for runs in self._left.values())

    def take(self, asked: Mapping[str, Any]) -> TapedRun:
        """Return the run that answers what is ``asked``.

        Raises:
            PlaybackError: it was not recorded, or has been taken as often as it was.
        """
        runs = self._left.get(_key(asked))
        if runs:
            return runs.popleft()
        what = _described(asked)
        if runs is not None:
            count = sum(_key(run.asked) == _key(asked) for run in self._runs)
            times = "once" if count == 1 else f"{count} times"
            raise PlaybackError(
                f"{self._platform}: {what} was recorded {times} and is asked once more.",
                hint="agentnb.record() makes a new recording.",
            )
        raise PlaybackError(
            f"{self._platform}: {what} was not recorded.", hint=self._nearest(asked)
        )

    def _nearest(self, asked: Mapping[str, Any]) -> str:
        if not self._runs:
            return "No run of this platform was recorded."
        likely = nlargest(_CLOSELY, self._runs, key=lambda run: _likeness(run.asked, asked))
        nearest = max(likely, key=lambda run: _likeness(run.asked, asked, closely=True)).asked
        differs = [words for name, words in _WORDS.items() if nearest.get(name) != asked.get(name)]
        told = f"Nearest is {_described(nearest)}; what differs: {', '.join(differs)}."
        if "params" in asked or "params" in nearest:
            told += _parameters(nearest.get("params", {}), asked.get("params", {}))
        if asked.get("session_id") != nearest.get("session_id"):
            told += " Recorded in " + _session(nearest) + ", asked in " + _session(asked) + "."
        return told


def named(text: object) -> str:
    """Return a name for a message: on one line, escaped and bounded."""
    return quoted(str(text))[1:-1]


def _key(asked: Mapping[str, Any]) -> str:
    return json.dumps(asked, sort_keys=True)


def _described(asked: Mapping[str, Any]) -> str:
    if run_id := asked.get("run_id"):
        return f"joining the run {named(run_id)} of {named(asked['agent'])}"
    words = " ".join(str(asked["prompt"])[: 4 * _SHOWN].split())
    return f"{quoted(words, longest=_SHOWN - 1)} to {named(asked['agent'])}"


def _session(asked: Mapping[str, Any]) -> str:
    session = asked.get("session_id")
    return f"session {named(session)}" if session else "a new session"


def _parameters(recorded: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    names: Sequence[str] = sorted({*recorded, *asked})
    differing = [
        f"{named(name)} was {json.dumps(recorded.get(name))}, is {json.dumps(asked.get(name))}"
        for name in names
        if recorded.get(name) != asked.get(name)
    ]
    return f" {'; '.join(differing)[:300]}." if differing else ""


def _likeness(
    recorded: Mapping[str, Any], asked: Mapping[str, Any], *, closely: bool = False
) -> tuple[float, int]:
    ours, theirs = (str(each["prompt"])[:_COMPARED] for each in (recorded, asked))
    same = sum(recorded.get(name) == asked.get(name) for name in _WORDS)
    matcher = SequenceMatcher(None, ours, theirs, autojunk=False)
    prompts = matcher.ratio() if closely else matcher.quick_ratio()
    return prompts + (recorded["agent"] == asked["agent"]) * 0.5, same

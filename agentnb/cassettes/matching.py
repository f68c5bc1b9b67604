"""Find the recorded run that answers a request, or explain why there is none."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from heapq import nlargest
from typing import Any, Final

from agentnb.cassettes.entries import CassetteRun
from agentnb.config.names import quoted
from agentnb.errors import PlaybackError

_EXCERPT: Final = 60
# Comparing prompts takes the square of their length: compare their beginnings, few of them exactly.
_COMPARED_LENGTH: Final = 200
_EXACT_CANDIDATES: Final = 5
_FIELDS: Final = {
    "agent": "the agent",
    "prompt": "the prompt",
    "session_id": "the session",
    "history": "the earlier messages",
    "params": "the parameters",
    "output_schema": "the output schema",
    "media": "the attachments",
    "followups": "whether follow-ups are requested",
    "stream": "whether it streams",
    "run_id": "the attached run",
}


class RecordedAnswers:
    """The recorded runs of one platform; each answers one request, oldest first."""

    def __init__(self, platform: str, runs: Iterable[CassetteRun]) -> None:
        self._platform = quoted_name(platform)
        self._runs = sorted(runs, key=lambda run: run.sent_at)
        self._left: dict[str, deque[CassetteRun]] = {}
        for run in self._runs:
            self._left.setdefault(_key(run.request), deque()).append(run)

    @property
    def left(self) -> int:
        """Number of runs not yet played."""
        return sum(len(runs) for runs in self._left.values())

    def pop(self, request: Mapping[str, Any]) -> CassetteRun:
        """Return the next run recorded for ``request``.

        Raises:
            PlaybackError: it was not recorded, or was played as often as it was recorded.
        """
        runs = self._left.get(_key(request))
        if runs:
            return runs.popleft()
        summary = _summary(request)
        if runs is not None:
            count = sum(_key(run.request) == _key(request) for run in self._runs)
            times = "once" if count == 1 else f"{count} times"
            raise PlaybackError(
                f"{self._platform}: {summary} was recorded {times} and is requested once more.",
                hint="agentnb.record() makes a new recording.",
            )
        raise PlaybackError(
            f"{self._platform}: {summary} was not recorded.", hint=self._nearest(request)
        )

    def _nearest(self, request: Mapping[str, Any]) -> str:
        if not self._runs:
            return "No run of this platform was recorded."
        likely = nlargest(
            _EXACT_CANDIDATES, self._runs, key=lambda run: _similarity(run.request, request)
        )
        nearest = max(likely, key=lambda run: _similarity(run.request, request, exact=True)).request
        differing = [
            text for name, text in _FIELDS.items() if nearest.get(name) != request.get(name)
        ]
        hint = f"Nearest is {_summary(nearest)}; what differs: {', '.join(differing)}."
        old, new = nearest.get("params", {}), request.get("params", {})
        parameters = [
            f"{quoted_name(name)} was {json.dumps(old.get(name))}, is {json.dumps(new.get(name))}"
            for name in sorted({*old, *new})
            if old.get(name) != new.get(name)
        ]
        if parameters:
            hint += f" {'; '.join(parameters)[:300]}."
        if request.get("session_id") != nearest.get("session_id"):
            hint += f" Recorded in {_session(nearest)}, requested in {_session(request)}."
        return hint


def quoted_name(text: object) -> str:
    """Return a name for a message: on one line, escaped and bounded."""
    return quoted(str(text))[1:-1]


def _key(request: Mapping[str, Any]) -> str:
    return json.dumps(request, sort_keys=True)


def _summary(request: Mapping[str, Any]) -> str:
    if run_id := request.get("run_id"):
        return f"attaching to the run {quoted_name(run_id)} of {quoted_name(request['agent'])}"
    prompt = " ".join(str(request["prompt"])[: 4 * _EXCERPT].split())
    return f"{quoted(prompt, longest=_EXCERPT - 1)} to {quoted_name(request['agent'])}"


def _session(request: Mapping[str, Any]) -> str:
    session = request.get("session_id")
    return f"session {quoted_name(session)}" if session else "a new session"


def _similarity(
    recorded: Mapping[str, Any], request: Mapping[str, Any], *, exact: bool = False
) -> tuple[float, int]:
    ours, theirs = (str(each["prompt"])[:_COMPARED_LENGTH] for each in (recorded, request))
    equal_fields = sum(recorded.get(name) == request.get(name) for name in _FIELDS)
    matcher = SequenceMatcher(None, ours, theirs, autojunk=False)
    ratio = matcher.ratio() if exact else matcher.quick_ratio()
    return ratio + (recorded["agent"] == request["agent"]) * 0.5, equal_fields

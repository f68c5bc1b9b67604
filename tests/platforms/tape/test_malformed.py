"""A recording that somebody wrote by hand, or half of one: which line is wrong is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import agentnb
from agentnb.errors import PlaybackError

HEADER = {"format": "agentnb.recording/1"}
PLATFORM: dict[str, Any] = {"entry": "platform", "name": "acme", "capabilities": {}}
RUN: dict[str, Any] = {
    "entry": "run",
    "platform": "acme",
    "via": "stream",
    "asked": {"agent": "a", "prompt": "Hello"},
    "sent_at": "2026-01-02T03:04:05+00:00",
    "duration": 1.0,
    "events": [{"at": 0.5, "type": "text_delta", "text": "Hi"}],
}


WRONG: list[Any] = [
    {"x": 1},
    [1],
    5,
    {"entry": 5},
    {"entry": "run", "platform": "acme"},
    {**RUN, "events": [{"type": "text_delta"}]},
    {**RUN, "events": [{"at": "soon", "type": "text_delta", "text": "Hi"}]},
    {**RUN, "events": [{"at": float("nan"), "type": "text_delta", "text": "Hi"}]},
    {**RUN, "events": 7},
    {**RUN, "sent_at": "yesterday"},
    {**RUN, "asked": 5},
    {**RUN, "decisions": [[]]},
    {**RUN, "failure": {"class": "RequestError"}},
    {**RUN, "failure": {"class": "annotations", "attributes": {"message": "x"}}},
    {"entry": "agents", "platform": "acme", "agents": [{"nope": 1}]},
    {"entry": "agents", "platform": "acme", "agents": [{"id": 1}]},
    {"entry": "platform", "name": 5, "capabilities": {}},
    {"entry": "platform", "name": "b", "capabilities": {"media": {"accept": 5}}},
]


@pytest.mark.parametrize("entry", WRONG)
def test_the_line_is_named(tape: Path, entry: Any) -> None:
    lines = (HEADER, PLATFORM, RUN, entry)
    tape.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    with pytest.raises(PlaybackError, match=r"Line 4 of answers\.jsonl is no entry") as caught:
        agentnb.playback(tape)
    assert "\n" not in caught.value.message
    # Nothing is played.
    assert agentnb.agent("seekr:echo", base_url="sandbox").platform.name == "seekr"


@pytest.mark.parametrize("head", [{"aliases": [1]}, {"aliases": {"a": 1}}, {"default_agent": 5}])
def test_a_beginning_that_is_none(tape: Path, head: dict[str, Any]) -> None:
    tape.write_text(json.dumps(HEADER | head), encoding="utf-8")
    with pytest.raises(PlaybackError, match="Line 1 of"):
        agentnb.playback(tape)


def test_entries_of_another_kind_are_left(tape: Path) -> None:
    lines = (HEADER, PLATFORM, {"entry": "weather", "sky": "blue"}, RUN)
    tape.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    with agentnb.playback(tape):
        assert agentnb.agent("acme:a").run("Hello", check=False).text == "Hi"

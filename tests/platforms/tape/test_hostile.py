"""Recordings that are written to harm: refused in one line, or played as what they are, text."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import agentnb
from agentnb import errors
from agentnb.cassettes import playback as module
from agentnb.config import config
from agentnb.errors import AgentnbError, PlaybackError, RequestError

ESCAPES = "\x1b]0;x\x07\x9b2J\u202e"
DEEP: Any = json.loads("[" * 600 + "]" * 600)
HEADER: dict[str, Any] = {"format": "agentnb.recording/1"}
PLATFORM: dict[str, Any] = {"entry": "platform", "name": "acme", "capabilities": {"attach": True}}
RUN: dict[str, Any] = {
    "entry": "run",
    "platform": "acme",
    "id": "r1",
    "via": "stream",
    "asked": {"agent": "a", "prompt": "Hello"},
    "sent_at": "2026-01-02T03:04:05+00:00",
    "duration": 1.0,
    "events": [
        {"at": 0.1, "type": "run_started", "run_id": "r1", "session_id": "s"},
        {"at": 0.2, "type": "tool_call_started", "call_id": "c", "name": "n", "arguments": "{}"},
        {"at": 0.3, "type": "tool_call_finished", "call_id": "c", "result": "5"},
        {"at": 0.5, "type": "text_delta", "text": "Hi"},
        {"at": 0.6, "type": "usage_reported", "usage": {"input_tokens": 5}},
        {"at": 0.7, "type": "run_failed", "message": "no", "details": {"a": [1]}},
    ],
    "failure": {"class": "ServerError", "attributes": {"message": "no", "hint": "wait"}},
}
AGENTS: dict[str, Any] = {"entry": "agents", "platform": "acme", "agents": [{"id": "a"}]}
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 5, 2**70, 1e308, float("nan"), "", "x", ESCAPES, "\ud800", "x" * 10_000),
    *([], [[]], {}, {"a": 1}, [None], DEEP, {"__class__": "x"}, {"run": "x", "message": 5}),
)


def written(path: Path, *entries: Any) -> Path:
    path.write_text("\n".join(map(json.dumps, entries)), encoding="utf-8")
    return path


def play(path: Path) -> None:
    """Play what was recorded, and look at it as a notebook does."""
    with agentnb.playback(path):
        agent = agentnb.agent("acme:a")
        run = agent.run("Hello", check=False)
        for value in (run._repr_mimebundle_(), run.tool_calls, run.usage, run.status, repr(run)):  # pyright: ignore[reportPrivateUsage]
            assert value is not None or run.usage is None
        assert run.done
        for each in agent.agents():
            repr(each)


def check_message(error: AgentnbError) -> None:
    assert str(error).isprintable()
    assert len(str(error)) < 1_000


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where each value in ``value`` is."""
    if path:
        yield path
    items: Any = list(value.items()) if isinstance(value, dict) else ()  # pyright: ignore
    items = list(enumerate(value)) if isinstance(value, list) else items  # pyright: ignore
    for key, each in items:
        yield from places(each, (*path, key))


def test_every_value_replaced_by_every_other_kind(tape: Path) -> None:
    """Replace each value of a recording: it is refused, or plays to an end without other errors."""
    whole = [HEADER, PLATFORM, RUN, AGENTS]
    chosen = random.Random(1)
    refused = played = 0
    for place in places(whole):
        for value in chosen.sample(VALUES, 8):
            entries: Any = copy.deepcopy(whole)
            inner = entries
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = value
            try:
                play(written(tape, *entries))
                played += 1
            except AgentnbError as error:
                refused += 1
                check_message(error)
    assert refused > 50
    assert played > 50


@pytest.mark.parametrize("name", sorted(vars(errors)))
def test_a_failure_of_any_name_is_no_other_object(tape: Path, name: str) -> None:
    attributes = {"message": "no", "hint": None, "run": "x", "table": "x", "__dict__": "x"}
    run = RUN | {"failure": {"class": name, "attributes": attributes}}
    try:
        play(written(tape, HEADER, PLATFORM, run, AGENTS))
    except PlaybackError as error:
        check_message(error)


@pytest.mark.parametrize("depth", [50, 300, 900, 100_000])
def test_nesting(tape: Path, depth: int) -> None:
    nested = "[" * depth + "]" * depth
    for place in ('"a": [1]', '"prompt": "Hello"', '"capabilities": {"attach": true}'):
        lines = "\n".join(map(json.dumps, (HEADER, PLATFORM, RUN, AGENTS)))
        name = place.partition(":")[0]
        tape.write_text(lines.replace(place, f"{name}: {nested}"), encoding="utf-8")
        try:
            play(tape)
        except PlaybackError as error:
            check_message(error)


def test_a_file_that_is_too_large(tape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tape, HEADER, PLATFORM, RUN)
    monkeypatch.setattr(module, "_MAX_BYTES", tape.stat().st_size - 1)
    with pytest.raises(PlaybackError, match="is larger than"):
        agentnb.playback(tape)
    monkeypatch.setattr(module, "_MAX_BYTES", tape.stat().st_size)
    agentnb.playback(tape)


def test_its_names_do_not_stand_for_full_ones(tape: Path) -> None:
    aliases = {"seekr:private_agent": "acme:a", "fin": "acme:a"}
    with agentnb.playback(written(tape, HEADER | {"aliases": aliases}, PLATFORM, RUN)):
        assert str(config().resolve("seekr:private_agent", ["seekr", "acme"])) == (
            "seekr:private_agent"
        )
        assert str(config().resolve("fin", ["seekr", "acme"])) == "acme:a"
    assert config().aliases == {}


@pytest.mark.parametrize("field", ["format", "entry"])
def test_what_an_error_repeats_is_printable(tape: Path, field: str) -> None:
    value = "agentnb.recording/" + ESCAPES + "x" * 10_000
    with pytest.raises(PlaybackError) as caught:
        agentnb.playback(written(tape, HEADER | {"format": value}))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_what_is_no_file_is_neither_read_nor_written(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe.jsonl", tmp_path / "link.jsonl"
    os.mkfifo(pipe)
    link.symlink_to("/dev/zero")
    nowhere = "a\0b.jsonl"
    odd = tmp_path / f"{ESCAPES}\n{'x' * 200}"
    odd.mkdir()
    for path in (pipe, link, tmp_path, nowhere, odd, "x" * 5_000):
        for call, kind in ((agentnb.playback, PlaybackError), (agentnb.record, RequestError)):
            with pytest.raises(kind) as caught:
                call(path)
            assert caught.value.message.isprintable()
            assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    "text",
    [
        "Notes on agentnb.recording/1 files\n",
        '{"title": "agentnb.recording/1"}\n',
        '["agentnb.recording/1"]\n',
        '{"format": "other"}\n',
        "\n",
    ],
)
def test_a_file_that_only_mentions_recordings_is_not_overwritten(tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(RequestError, match="is no recording"):
        agentnb.record(path)
    assert path.read_text() == text

"""What a recording is: a text file, one line for each run, without keys."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import agentnb
from agentnb.cassettes.recorder import Recorder
from agentnb.errors import HistoryWarning, RequestError
from agentnb.event.types import (
    RunFinished,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
)
from agentnb.platforms.base import RunRequest
from agentnb.sandbox import Sandbox
from tests.played import STARTED, Batches, PlayedPlatform, player

KEY = "sk-canary-5f1e0a7c2b"


def entries(tape: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in tape.read_text(encoding="utf-8").split("\n") if line]


def test_a_file_is_lines_of_json(seekr: agentnb.Agent, tape: Path) -> None:
    with agentnb.record(tape) as recorder:
        seekr.run("Grüße\u2028an alle", temperature=0.5)
        seekr.run("And?", stream=False)
    assert isinstance(recorder, Recorder)
    assert recorder.runs == 2
    assert repr(recorder) == "<Cassette answers.jsonl>"
    head, platform, first, second = entries(tape)
    assert head["format"] == "agentnb.recording/1"
    assert platform["entry"] == "platform"
    assert platform["name"] == "seekr"
    assert first["asked"] == {
        "agent": "echo",
        "prompt": "Grüße\u2028an alle",
        "params": {"temperature": 0.5},
    }
    assert second["asked"] == {"agent": "echo", "prompt": "And?", "stream": False}
    assert "Grüße" in tape.read_text(encoding="utf-8")


def test_it_ends_when_it_is_told_to(seekr: agentnb.Agent, tape: Path) -> None:
    recorder = agentnb.record(tape)
    seekr.run("One")
    recorder.stop()
    seekr.run("Two")
    agentnb.record(tape.with_name("other.jsonl"))
    seekr.run("Three")
    agentnb.record(None)
    seekr.run("Four")
    asked = [
        [e["asked"]["prompt"] for e in entries(p) if e.get("entry") == "run"]
        for p in (tape, tape.with_name("other.jsonl"))
    ]
    assert asked == [["One"], ["Three"]]


def test_a_recording_is_begun_anew_and_nothing_else_is_lost(
    seekr: agentnb.Agent, tape: Path
) -> None:
    for prompt in ("Before", "After"):
        with agentnb.record(tape):
            seekr.run(prompt)
    assert [e["asked"]["prompt"] for e in entries(tape) if e.get("entry") == "run"] == ["After"]
    notes = tape.with_name("notes.txt")
    notes.write_text("my notes", encoding="utf-8")
    with pytest.raises(RequestError, match=r"notes\.txt exists and is no recording"):
        agentnb.record(notes)
    assert notes.read_text(encoding="utf-8") == "my notes"
    with pytest.raises(RequestError, match="cannot be written"):
        agentnb.record(tape.parent / "missing" / "file.jsonl")


def test_keys_are_not_written_even_where_an_agent_says_them(sandbox: Sandbox, tape: Path) -> None:
    agent = agentnb.agent("seekr:echo", base_url=sandbox.base_url("seekr"), api_key=KEY)

    async def telling(request: RunRequest) -> Batches:
        yield [STARTED]
        for piece in (KEY[:7], KEY[7:12], KEY[12:] + " it is"):
            yield [TextDelta(piece)]
        yield [RunFinished(output=f"{KEY} it is")]

    with agentnb.record(tape):
        agent.run(f"Is {KEY} mine?", check=False)
        player(PlayedPlatform(telling)).run("Tell me", metadata={"api_key": "some-other-key"})
    text = tape.read_text(encoding="utf-8")
    assert KEY not in text
    assert KEY[3:] not in text
    assert "some-other-key" not in text
    with agentnb.playback(tape):
        # The same question still is the same question.
        again = player(PlayedPlatform(telling)).run("Tell me", metadata={"api_key": "another"})
    assert again.text == "*** it is"


def test_a_key_that_a_tool_gets_and_gives_in_pieces(sandbox: Sandbox, tape: Path) -> None:
    agent = agentnb.agent("seekr:echo", base_url=sandbox.base_url("seekr"), api_key=KEY)
    begins, ends = KEY[:9], KEY[9:]

    async def calling(request: RunRequest) -> Batches:
        yield [STARTED, ToolCallStarted(call_id="c", name="look_up", arguments=begins)]
        yield [ToolCallDelta(call_id="c", arguments=ends), ToolCallDelta(call_id="c", output="I")]
        yield [ToolCallDelta(call_id="c", output=begins), ToolCallDelta(call_id="c", output=ends)]
        yield [TextDelta(begins, part_id="a")]
        yield [TextDelta(ends, part_id="a"), TextDelta("x", part_id="b")]
        yield [ToolCallFinished(call_id="c"), RunFinished()]

    with agentnb.record(tape):
        agent.run("Hello", check=False)
        player(PlayedPlatform(calling)).run("Look it up")
    text = tape.read_text(encoding="utf-8")
    assert begins not in text
    assert ends not in text
    with agentnb.playback(tape):
        again = player(PlayedPlatform(calling)).run("Look it up")
    (call,) = again.tool_calls
    assert str(call.arguments_text) == "***"
    assert str(call.result_text) == "I***"
    assert again.text == "***x"


def test_odd_text_survives(tape: Path) -> None:
    odd = "a\ud800b\x00\u2028\u0085c\r\nd"

    async def say(request: RunRequest) -> Batches:
        yield [STARTED, TextDelta(odd)]
        yield [RunFinished()]

    agent = player(PlayedPlatform(say))
    with agentnb.record(tape):
        agent.run(odd)
    with agentnb.playback(tape):
        assert agent.run(odd).transcript.text == odd.replace("\ud800", "\ufffd")


def test_what_could_not_be_written_is_told(
    seekr: agentnb.Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    tape = folder / "answers.jsonl"
    recorder = agentnb.record(tape)
    assert isinstance(recorder, Recorder)
    folder.rename(tmp_path / "away")
    assert seekr.run("One").status == "completed"
    seekr.run("Two")
    assert recorder.runs == 0
    with pytest.warns(HistoryWarning, match=r"answers\.jsonl lacks 2 runs: No such file"):
        recorder.stop()
    recorder.stop()


def test_what_failed_is_written_later(seekr: agentnb.Agent, tape: Path) -> None:
    aside = tape.with_suffix(".aside")
    with agentnb.record(tape) as recorder:
        assert isinstance(recorder, Recorder)
        tape.rename(aside)
        seekr.run("One")
        recorder.flush()
        # No other file is begun in its place.
        assert not tape.exists()
        aside.rename(tape)
        seekr.run("Two")
    assert recorder.runs == 2
    with agentnb.playback(tape):
        assert seekr.run("One").status == seekr.run("Two").status == "completed"


def test_runs_at_once_are_all_written(seekr: agentnb.Agent, tape: Path) -> None:
    with agentnb.record(tape) as recorder:
        runs = [seekr.start(f"Question {n}") for n in range(20)]
        ids = {run.wait().id for run in runs}
    assert isinstance(recorder, Recorder)
    assert recorder.runs == 20
    with agentnb.playback(tape) as played:
        assert {seekr.run(f"Question {n}").id for n in range(20)} == ids
        assert played.left == 0


def test_a_process_that_ends_has_written_all(tape: Path) -> None:
    code = (
        "import agentnb, sys\n"
        "agentnb.record(sys.argv[1])\n"
        "agentnb.agent('echo').run('Hello')\n"
        "agentnb.agent('echo', chunk_delay=60).start('Slowly')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tape)], timeout=60, check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert "Hello" in [e["asked"]["prompt"] for e in entries(tape) if e.get("entry") == "run"]

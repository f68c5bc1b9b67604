"""What was recorded is answered again, without the platform; what was not says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import agentnb
from agentnb.cassettes.recorder import Recorder
from agentnb.config import config
from agentnb.errors import NotRecordedError, PlaybackError, RunFailedError
from agentnb.event.types import (
    ApprovalRequested,
    Event,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    Usage,
    UsageReported,
)
from agentnb.platforms.base import Capabilities, RunRequest
from agentnb.recording.base_run import BaseRun
from agentnb.sandbox import Sandbox
from tests.played import STARTED, Batches, PlayedPlatform, eventually, player, until

PLATFORMS = ("seekr", "runagent", "operativus", "runtools", "sandbox")


def kept(run: BaseRun) -> dict[str, Any]:
    """Everything of a run but the id that each has in its own process."""
    told = run.to_dict()
    del told["local_id"]
    return told


def message_of(run: BaseRun) -> str:
    """What a run failed by, without what to do next."""
    failure = run.transcript.failure
    assert failure is not None
    assert run.error == failure.line
    return failure.message


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_run_is_played_as_it_was(platform: str, tape: Path) -> None:
    # Nothing is configured: the embedded sandbox answers each platform's API.
    with agentnb.record(tape) as recorder:
        where: dict[str, Any] = {} if platform == "sandbox" else {"base_url": "sandbox"}
        agent = agentnb.agent(f"{platform}:echo", **where)
        recorded = [
            agent.run("Hello", stream=False),
            agent.run("Hello **you**"),
            agent.run("And now?"),
        ]
    assert isinstance(recorder, Recorder)
    assert recorder.runs == 3

    with agentnb.playback(tape) as played:
        agent = agentnb.agent(f"{platform}:echo")
        runs = [
            agent.run("Hello", stream=False),
            agent.run("Hello **you**"),
            agent.run("And now?"),
        ]
        assert played.left == 0
    assert [kept(run) for run in runs] == [kept(run) for run in recorded]
    assert [run.duration for run in runs] == [run.duration for run in recorded]
    assert not any(run.durable for run in runs)
    assert agentnb.last_run() is runs[-1]


def test_a_session_goes_on_with_the_recorded_id(seekr: agentnb.Agent, tape: Path) -> None:
    with agentnb.record(tape):
        first = seekr.run("One")
        second = seekr.run("Two", session=first)
    with agentnb.playback(tape):
        agent = agentnb.agent("seekr:echo")
        again = agent.run("One")
        assert again.session_id == first.session_id
        assert agent.run("Two", session=again).text == second.text


def test_an_agent_made_before_is_played_too(seekr: agentnb.Agent, tape: Path) -> None:
    with agentnb.record(tape):
        recorded = seekr.run("Hello")
    with agentnb.playback(tape):
        assert seekr.run("Hello").id == recorded.id
    assert seekr.run("Hello").id != recorded.id


def test_the_same_question_is_answered_in_the_recorded_order(
    seekr: agentnb.Agent, tape: Path
) -> None:
    with agentnb.record(tape):
        ids = [seekr.run("Hello").id for _ in range(3)]
    with agentnb.playback(tape):
        assert [seekr.run("Hello").id for _ in range(3)] == ids
        run = seekr.run("Hello", check=False)
    assert run.status == "failed"
    told = "seekr: 'Hello' to echo was recorded 3 times and is requested once more."
    assert message_of(run) == told


def test_another_question_is_named_with_the_nearest(seekr: agentnb.Agent, tape: Path) -> None:
    with agentnb.record(tape):
        session = seekr.run("What does NVDA cost?").session_id
        seekr.run("Something else altogether", temperature=0.5)
    with agentnb.playback(tape):
        prompt = seekr.run("What does AMD cost?", check=False)
        params = seekr.run("Something else altogether", temperature=0.75, check=False)
        went_on = seekr.run("What does NVDA cost?", session=session, check=False)
    assert isinstance(prompt.exception, PlaybackError)
    for kind in (PlaybackError, RunFailedError, NotRecordedError):
        with pytest.raises(kind, match="was not recorded") as raised:
            prompt.raise_for_status()
        error: Any = raised.value
        assert error.run is prompt
        assert error.__cause__ is prompt.exception
    assert message_of(prompt) == "seekr: 'What does AMD cost?' to echo was not recorded."
    assert prompt.exception.hint == (
        "Nearest is 'What does NVDA cost?' to echo; what differs: the prompt."
    )
    assert isinstance(params.exception, PlaybackError)
    assert params.exception.hint == (
        "Nearest is 'Something else altogether' to echo; what differs: the parameters."
        " temperature was 0.5, is 0.75."
    )
    assert isinstance(went_on.exception, PlaybackError)
    assert went_on.exception.hint is not None
    assert "what differs: the session." in went_on.exception.hint
    assert f"Recorded in a new session, requested in session {session}." in went_on.exception.hint


def test_attachments_count_by_their_content(sandbox: Sandbox, tape: Path, tmp_path: Path) -> None:
    agent = agentnb.agent(
        "operativus:echo", base_url=sandbox.base_url("operativus"), api_key=sandbox.api_key
    )
    file = tmp_path / "table.csv"
    file.write_text("a,b\n1,2\n", encoding="utf-8", newline="\n")
    with agentnb.record(tape):
        recorded = agent.run("Read this", media=file)
    assert "1,2" not in tape.read_text(encoding="utf-8")
    with agentnb.playback(tape):
        assert agent.run("Read this", media=file).id == recorded.id
        file.write_text("a,b\n1,3\n", encoding="utf-8", newline="\n")
        other = agent.run("Read this", media=file, check=False)
    assert isinstance(other.exception, PlaybackError)
    assert "what differs: the attachments." in str(other.exception)


def test_what_failed_fails_alike(sandbox: Sandbox, tape: Path) -> None:
    agent = agentnb.agent("seekr:echo", base_url=sandbox.base_url("seekr"), api_key="wrong-key-000")
    with agentnb.record(tape):
        recorded = agent.run("Hello", check=False)
    with agentnb.playback(tape):
        played = agent.run("Hello", check=False)
    assert recorded.status == "failed"
    assert kept(played) == kept(recorded)
    assert type(played.exception) is type(recorded.exception)
    assert vars(played.exception) == vars(recorded.exception)
    with pytest.raises(agentnb.RunError) as there:
        recorded.raise_for_status()
    with pytest.raises(agentnb.RunError) as here:
        played.raise_for_status()
    assert str(here.value) == str(there.value)
    assert "wrong-key-000" not in tape.read_text(encoding="utf-8")


def test_a_cut_off_answer_is_played_as_such(tape: Path) -> None:
    async def cut(request: RunRequest) -> Batches:
        yield [STARTED]
        yield [TextDelta("Half of")]

    agent = player(PlayedPlatform(cut))
    with agentnb.record(tape):
        recorded = agent.run("Hello", check=False)
    with agentnb.playback(tape):
        played = agent.run("Hello", check=False)
    assert recorded.status == played.status == "truncated"
    assert kept(played) == kept(recorded)


def test_lists_of_agents_are_played(seekr: agentnb.Agent, tape: Path) -> None:
    with agentnb.record(tape):
        recorded = seekr.agents()
    with agentnb.playback(tape):
        assert seekr.agents() == recorded
        assert seekr.agents() == recorded
        with pytest.raises(PlaybackError, match="was not recorded"):
            seekr.remote_runs()


def test_a_platform_that_was_not_recorded_says_so(seekr: agentnb.Agent, tape: Path) -> None:
    with agentnb.record(tape):
        seekr.run("Hello")
    says = r"nothing of the platform runagent\. It has: seekr"
    with agentnb.playback(tape), pytest.raises(PlaybackError, match=says):
        agentnb.agent("runagent:echo")


def test_names_mean_what_they_meant(tape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config().aliases["boss"] = "sandbox:echo"
    with agentnb.record(tape):
        agentnb.agent("boss").run("Hello")
        agentnb.agent("echo").run("Hello too")
    config().aliases.clear()
    # Another place, where a bare name would be asked elsewhere.
    monkeypatch.setenv("SEEKR_BASE_URL", "http://127.0.0.1:9")
    with agentnb.playback(tape):
        assert "Hello" in agentnb.agent("boss").run("Hello").text
        assert agentnb.agent("echo").run("Hello too").platform == "sandbox"
    assert config().aliases == {}
    assert config().default_platform is None


def test_a_function_runs_by_itself(tape: Path) -> None:
    calls: list[str] = []

    def shout(prompt: str) -> str:
        calls.append(prompt)
        return prompt.upper()

    with agentnb.record(tape) as recorder:
        agentnb.agent(shout).run("a")
    assert isinstance(recorder, Recorder)
    assert recorder.runs == 0
    with agentnb.playback(tape):
        assert agentnb.agent(shout).run("b").text == "B"
    assert calls == ["a", "b"]


async def pausing(request: RunRequest) -> Batches:
    """Pause at the first asking; go on when joined again."""
    asked: list[Event] = [STARTED, TextDelta("May I"), ApprovalRequested(approval_id="a1")]
    if request.prompt == "run_1":
        yield [*asked, TextDelta(" go on")]
        yield [RunFinished()]
    else:
        yield asked


def test_a_decision_is_played(tape: Path) -> None:
    able = Capabilities(approvals=True, attach=True)
    agent = player(PlayedPlatform(pausing, capabilities=able))
    with agentnb.record(tape):
        paused = agent.run("Buy")
        recorded = paused.approve().wait()
    assert recorded.text == "May I go on"

    with agentnb.playback(tape):
        again = agent.run("Buy")
        assert again.status == "paused"
        assert again.duration == paused.duration
        played = again.approve().wait()
        refused = agent.run("Buy", check=False)
    assert kept(played) == kept(recorded)
    assert refused.status == "failed"

    says = r"is refused was not recorded\. In the recording a1 was approved\."
    with agentnb.playback(tape), pytest.raises(PlaybackError, match=says):
        agent.run("Buy").deny()


def test_a_decision_in_an_open_stream_is_waited_for(tape: Path) -> None:
    able = Capabilities(approvals=True, attach=True)

    async def open_stream(request: RunRequest) -> Batches:
        yield [STARTED, ApprovalRequested(approval_id="a1", message="May I?")]
        await eventually(lambda: platform.decisions)
        yield [RunStarted(), TextDelta("Done"), RunFinished()]

    platform = PlayedPlatform(open_stream, capabilities=able)
    agent = player(platform)
    with agentnb.record(tape):
        run = agent.start("Buy")
        until(lambda: run.status == "paused")
        recorded = run.approve().wait()
    with agentnb.playback(tape):
        run = agent.start("Buy")
        until(lambda: run.status == "paused")
        assert run.text == ""
        played = run.approve().wait()
    assert played.text == recorded.text == "Done"
    assert kept(played) == kept(recorded)


def test_joining_a_run_is_played(tape: Path) -> None:
    async def joined(request: RunRequest) -> Batches:
        yield [STARTED, TextDelta(f"joined {request.prompt}"), RunFinished()]

    agent = player(PlayedPlatform(joined))
    with agentnb.record(tape):
        recorded = agent.attach("run_9").wait()
    with agentnb.playback(tape):
        assert kept(agent.attach("run_9").wait()) == kept(recorded)
        other = agent.attach("run_8").wait(check=False)
    assert message_of(other) == "played: attaching to the run run_8 of player was not recorded."


def test_times_are_those_of_the_recording_at_any_speed(tape: Path) -> None:
    entry: dict[str, Any] = {
        "entry": "run",
        "platform": "acme",
        "via": "stream",
        "asked": {"agent": "a", "prompt": "Hello"},
        "sent_at": "2026-01-02T03:04:05+00:00",
        "duration": 3600.25,
        "events": [
            {"at": 0.125, "type": "run_started", "run_id": "r1"},
            {"at": 1.1, "type": "text_delta", "text": "One"},
            {"at": 3600.25, "type": "run_finished"},
        ],
    }
    lines: list[dict[str, Any]] = [
        {"format": "agentnb.recording/1"},
        {"entry": "platform", "name": "acme", "capabilities": {}},
        entry,
        {**entry, "asked": {"agent": "a", "prompt": "Hello again"}},
    ]
    tape.write_text("".join(json.dumps(each) + "\n" for each in lines), encoding="utf-8")
    for speed in (float("inf"), 0, 100_000):
        with agentnb.playback(tape, speed=speed):
            run = agentnb.agent("acme:a").run("Hello")
        assert run.event_times == (0.125, 1.1, 3600.25)
        assert run.duration == 3600.25
        assert run.time_to_first_token == 1.1
        assert run.created_at.isoformat() == "2026-01-02T03:04:05+00:00"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is no recording"),
        ('{"cells": []}\n', "is no recording"),
        ('{"format": "agentnb.recording/9"}\n', "another version"),
        ('{"format": "agentnb.recording/1"}\n{"entry": \n', "Line 2 of answers.jsonl is not JSON"),
        ("[1, 2]\n", "is no recording"),
    ],
)
def test_what_is_no_recording_is_refused(content: str, says: str, tape: Path) -> None:
    tape.write_text(content, encoding="utf-8")
    with pytest.raises(PlaybackError, match=says):
        agentnb.playback(tape)
    with pytest.raises(PlaybackError, match="cannot be read"):
        agentnb.playback(tape.parent / "missing.jsonl")


def test_failures_that_the_platform_told_keep_their_fields(tape: Path) -> None:
    async def failing(request: RunRequest) -> Batches:
        yield [STARTED, UsageReported(usage=Usage(input_tokens=3, cost_usd=0.25))]
        yield [RunFailed(message="No budget", code="budget", details={"left": 0})]

    agent = player(PlayedPlatform(failing))
    with agentnb.record(tape):
        recorded = agent.run("Hello", check=False)
    with agentnb.playback(tape):
        assert kept(agent.run("Hello", check=False)) == kept(recorded)

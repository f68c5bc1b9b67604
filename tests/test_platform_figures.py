"""What a platform says of its own time, and of when to try again, reaches every way of showing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import agentnb
from agentnb.event.transcript import fold
from agentnb.event.types import Event, RunFailed, RunFinished, TextDelta
from agentnb.render import RunView, to_html, to_markdown, to_text
from agentnb.widgets.protocol import run_state
from tests.platforms.scripted import scripted_server, stream

DONE: list[Event] = [TextDelta("An answer."), RunFinished(duration=2.5)]


def view_of(events: list[Event]) -> RunView:
    return RunView(
        transcript=fold(events), title="t", platform="runagent", prompt="q", elapsed=3, duration=3
    )


def test_the_platforms_own_duration_is_shown_everywhere() -> None:
    view = view_of(DONE)
    assert "3.0 s (2.5 s on the platform)" in to_text(view)
    assert "Platform time: 2.5 s" in to_html(view).replace("&nbsp;", " ").replace("\u00a0", " ")
    assert "Platform time: 2.5 s" in to_markdown(view)
    assert "platform_duration: 2.5" in to_markdown(view)
    assert run_state(view)["platform_duration"] == 2.5


def test_a_platform_without_a_duration_shows_none() -> None:
    view = view_of([TextDelta("An answer."), RunFinished()])
    assert "platform" not in to_text(view).lower()
    assert "Platform time" not in to_markdown(view)
    assert run_state(view)["platform_duration"] is None


@pytest.mark.parametrize(
    ("hint", "retry_after", "line"),
    [
        (None, 30.0, "Model overloaded. Try again in 30 s."),
        (None, 0.2, "Model overloaded. Try again in 1 s."),
        (None, 0.0, "Model overloaded."),
        (None, None, "Model overloaded."),
        ("Ask less.", 30.0, "Model overloaded. Ask less. Try again in 30 s."),
        ("Try again in 30 s.", 30.0, "Model overloaded. Try again in 30 s."),
        (None, 5400.0, "Model overloaded. Try again in 5400 s."),
        (None, 1e300, "Model overloaded."),
    ],
)
def test_when_to_try_again_is_part_of_what_to_do_next(
    hint: str | None, retry_after: float | None, line: str
) -> None:
    failed = RunFailed(message="Model overloaded.", hint=hint, retry_after=retry_after)
    view = view_of([TextDelta("Half"), failed])
    assert failed.line == line
    assert line in to_text(view)
    assert line in to_html(view)
    assert run_state(view)["error"]["message"] == line


def test_a_message_that_ends_without_a_stop_is_a_sentence_of_its_own() -> None:
    failed = RunFailed(message="Model overloaded", retry_after=30)
    assert failed.line == "Model overloaded. Try again in 30 s."
    assert RunFailed(message="Model overloaded").line == "Model overloaded"


FAILED = """\
event: start
data: {"message": "Stream started", "session_id": "abc123"}

event: chunk
data: {"content": "Half", "index": 0}

event: error
data: {"error": "Model overloaded", "code": "CAPACITY_ERROR", "retry_after": 30}

"""
FINISHED = """\
event: chunk
data: {"content": "All of it", "index": 0}

event: done
data: {"message": "Stream complete", "usage": {"total_tokens": 150}, "execution_time": 2.5}

"""


@pytest.mark.anyio
async def test_a_run_says_when_to_try_again(tmp_path: Path) -> None:
    async with scripted_server() as server:
        server.routes["POST /v1/agents/a/stream"] = stream(FAILED)
        agent = agentnb.agent("runagent:a", base_url=server.url, api_key="key-123456789")
        run = await agent.arun("q", check=False)
    assert run.status == "failed"
    assert run.error == "Model overloaded. Try again in 30 s."
    with pytest.raises(agentnb.RunError) as caught:
        run.raise_for_status()
    assert caught.value.hint == "Try again in 30 s."
    assert agentnb.runs().iloc[0]["error"] == "Model overloaded. Try again in 30 s."
    data = json.loads(run.export(tmp_path / "run.json").read_text())
    assert data["error"]["message"] == "Model overloaded. Try again in 30 s."
    assert data["events"][-1]["retry_after"] == 30
    assert "Try again in 30 s." in run.export(tmp_path / "run.html").read_text()


@pytest.mark.anyio
async def test_a_run_knows_the_time_that_its_platform_reports(tmp_path: Path) -> None:
    async with scripted_server() as server:
        server.routes["POST /v1/agents/a/stream"] = stream(FINISHED)
        agent = agentnb.agent("runagent:a", base_url=server.url, api_key="key-123456789")
        run = await agent.arun("q", check=False)
    assert run.platform_duration == 2.5
    assert "2.5 s on the platform" in to_text(run.view())
    data = json.loads(run.export(tmp_path / "run.json").read_text())
    assert data["platform_duration"] == 2.5
    assert "platform_duration: 2.5" in run.export(tmp_path / "run.md").read_text()
    agentnb.history.flush()
    assert agentnb.history.load(run.local_id).platform_duration == 2.5

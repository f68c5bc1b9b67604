"""A run as data, exported and shown."""

from __future__ import annotations

import asyncio
import io
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from pydantic import SecretStr

import agentnb
from agentnb.errors import (
    RunCancelledError,
)
from agentnb.event.transcript import Transcript
from agentnb.event.types import Event, RunCancelled, event_from_dict
from agentnb.platforms.base import RunRequest
from tests.played import LONG, STARTED, Batches, PlayedPlatform, player
from tests.run.asked import Gate, everything, until_text
from tests.strategies import event_lists

pytestmark = pytest.mark.anyio


# -- keeping it ----------------------------------------------------------------------------------


def restored(data: dict[str, Any]) -> Transcript:
    """The transcript that the kept events make."""
    transcript = Transcript(agent=data["agent"], session_id=data["session_id"])
    for entry in data["events"]:
        transcript.apply(event_from_dict(entry), entry["at"])
    return transcript


def test_to_dict() -> None:
    run = agentnb.agent(everything, depth=3).run("What is it?", extra=[1, {"a": None}])
    data = run.to_dict()
    assert data["format"] == "agentnb.run/1"
    assert data["prompt"] == "What is it?"
    assert data["params"] == {"depth": 3, "extra": [1, {"a": None}]}
    assert data["text"] == run.text
    assert data["usage"] == {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}
    assert data["duration"] == run.duration
    assert data["created_at"] == run.created_at.isoformat()
    assert data["run_id"] == data["id"] == run.id
    assert [e["type"] for e in data["events"]] == [e.type for e in run.events]
    again = json.loads(json.dumps(data))
    assert again == data
    assert restored(again).to_dict() == run.transcript.to_dict()


@given(event_lists)
def test_any_events_survive_as_json(events: list[Event]) -> None:
    async def play(request: RunRequest) -> Batches:
        yield events

    run = player(PlayedPlatform(play)).run("hi", check=False)
    data = json.loads(json.dumps(run.to_dict()))
    assert restored(data).to_dict() == run.transcript.to_dict()
    assert [event_from_dict(entry) for entry in data["events"]] == list(run.events)


def test_export(tmp_path: Path) -> None:
    run = agentnb.agent(everything).run("What <is> it?")
    markdown = run.export(tmp_path / "run.md")
    assert markdown == tmp_path / "run.md"
    text = markdown.read_text(encoding="utf-8")
    assert text == run.to_markdown()
    assert "The answer is **42**." in text
    assert "What &lt;is> it?" in text

    page = run.export(str(tmp_path / "run.HTML")).read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "<strong>42</strong>" in page
    assert "What &lt;is&gt; it?" in page

    data = json.loads(run.export(tmp_path / "run.json").read_text(encoding="utf-8"))
    assert data == json.loads(json.dumps(run.to_dict()))

    for name in ("run.pdf", "run"):
        with pytest.raises(ValueError, match=r"\.md, \.html or \.json"):
            run.export(tmp_path / name)
        assert not (tmp_path / name).exists()


def test_export_survives_lone_surrogates_and_strange_params(tmp_path: Path) -> None:
    broken = "half \ud83d of \udc00 it ☃"

    def quoting(prompt: str) -> str:
        return broken

    run = agentnb.agent(quoting, path=Path("x"), key=SecretStr("canary")).run("hi")
    for suffix in (".md", ".html"):
        kept = run.export(tmp_path / f"run{suffix}").read_text(encoding="utf-8")
        assert "half" in kept
        assert "☃" in kept
    content = run.export(tmp_path / "run.json").read_text(encoding="utf-8")
    assert "canary" not in content
    data = json.loads(content)
    whole = "half \ufffd of \ufffd it ☃"
    assert data["text"] == whole
    assert data["params"]["path"] == "x"
    assert restored(data).text == whole


def test_a_run_can_be_kept_while_it_goes_on(tmp_path: Path, gate: Gate) -> None:
    run = gate.agent().start("hi")
    asyncio.run(until_text(run))
    data = json.loads(run.export(tmp_path / "run.json").read_text(encoding="utf-8"))
    assert data["status"] == "running"
    assert data["text"] == "before "
    assert data["duration"] is None


def test_a_run_is_not_pickled() -> None:
    run = agentnb.agent(everything).run("hi")
    with pytest.raises(TypeError):
        pickle.dump(run, io.BytesIO())


def test_a_cancelled_run_says_so() -> None:
    async def endless(request: RunRequest) -> Batches:
        yield [STARTED]
        await asyncio.sleep(60)

    run = player(PlayedPlatform(endless)).start("hi")
    run.cancel()
    with pytest.raises(RunCancelledError, match="The run was cancelled") as caught:
        run.wait(LONG)
    assert caught.value.run is run
    assert run.error == "The run was cancelled."


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("The budget\nis spent.", "The run was cancelled: The budget is spent."),
        (None, "The run was cancelled."),
        ("Cancelled.", "The run was cancelled."),
        ("cancelled by the user", "The run was cancelled."),
        ("cancelled on the platform", "The run was cancelled."),
    ],
)
def test_a_run_cancelled_by_its_platform_names_the_reason(reason: str | None, error: str) -> None:
    async def stopped(request: RunRequest) -> Batches:
        yield [STARTED, RunCancelled(reason=reason)]

    run = player(PlayedPlatform(stopped)).run("hi", check=False)
    assert run.error == error
    with pytest.raises(RunCancelledError) as caught:
        run.raise_for_status()
    assert str(caught.value) == error

"""Ids and names that a platform or a file brings command no terminal when they are printed."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import agentnb
from agentnb.event.types import (
    Event,
    RunFinished,
    RunStarted,
    Usage,
    UsageReported,
    event_from_dict,
)
from agentnb.platforms.base import AgentInfo, RemoteRun
from agentnb.platforms.operativus.responses import agent_info as operativus_agent
from agentnb.platforms.operativus.responses import remote_run as operativus_run
from agentnb.platforms.runtools.client import agent_info as runtools_agent
from agentnb.platforms.runtools.run_lookup import remote_run as runtools_run
from agentnb.store.stored_run import read_export
from agentnb.tables.frame import table
from tests.cases import cases
from tests.platforms.recorded import decoded
from tests.platforms.test_recorded import DECODERS, STREAMS

ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
BAD = ["\x1b[31m", "\x9b0m", "\x07", "\x7f", "\u202e", "\u2066", "\u200e", "\u200f", "\u061c"]
_ID = re.compile(r'("[\w]*(?:id|Id|ID|model|agent)"\s*:\s*")')

LISTED: dict[str, Callable[[Any], RemoteRun | AgentInfo | None]] = {
    "runtools runs": runtools_run,
    "operativus runs": operativus_run,
    "runtools agents": runtools_agent,
    "operativus agents": operativus_agent,
}


def texts(*values: object) -> str:
    return "\n".join(value for value in values if isinstance(value, str))


@cases("name, path", STREAMS)
@cases("bad", BAD)
def test_ids_in_streams(name: str, path: Path, bad: str) -> None:
    stream = path.read_text(encoding="utf-8")
    hostile = _ID.sub(lambda found: found[0] + json.dumps(bad)[1:-1], stream)
    started = [
        event
        for event in decoded(DECODERS[name](path), hostile.encode())
        if isinstance(event, RunStarted)
    ]
    for event in started:
        assert not ACTING.search(texts(event.run_id, event.session_id, event.agent, event.model))


@cases("bad", [*BAD, "\n", "\r", "\t", "\u2028"])
def test_an_id_with_controls_is_none(bad: str) -> None:
    data = {"type": "run_started", "run_id": f"a{bad}", "session_id": f"{bad}b"}
    for event in (RunStarted(run_id=f"a{bad}", session_id=f"{bad}b"), event_from_dict(data)):
        assert event == RunStarted()


def test_ordinary_ids_and_names_stay() -> None:
    event = RunStarted(run_id="läuft-1/ü:2", session_id="s 1", agent="助手 👩\u200d🔬", model="m")
    assert event.run_id == "läuft-1/ü:2"
    assert event.session_id == "s 1"
    assert event.agent == "助手 👩\u200d🔬"


@cases("bad", BAD)
def test_a_run(bad: str) -> None:
    async def printed_ids(prompt: str) -> AsyncIterator[Event]:
        yield RunStarted(run_id=f"r{bad}", session_id=f"s{bad}", agent=f"a{bad}", model=f"m{bad}")
        yield UsageReported(usage=Usage(input_tokens=1), model=f"m{bad}")
        yield RunFinished(output=f"x{bad}")

    run = agentnb.agent(printed_ids).run("x", check=False)
    assert not ACTING.search(run.id)
    transcript = run.transcript
    assert not ACTING.search(texts(run.agent, run.platform, transcript.agent, transcript.model))
    assert not ACTING.search(run.text)
    # The answer itself is as it came.
    assert transcript.text == f"x{bad}"


@cases("bad", BAD)
@cases("read", LISTED)
def test_listings(read: Callable[[Any], RemoteRun | AgentInfo | None], bad: str) -> None:
    names = ("id", "run_id", "runId", "agentId", "agent_id", "sessionId", "threadId", "name")
    row = dict.fromkeys((*names, "description", "model", "error"), f"x{bad}")
    found = read({**row, "status": "completed"})
    assert found is not None
    fields = (getattr(found, name) for name in type(found).__slots__ if name != "output")
    assert not ACTING.search(texts(*fields))
    assert found.raw["name"] == f"x{bad}"


@cases("bad", BAD)
def test_an_import(tmp_path: Path, bad: str) -> None:
    async def exported_ids(prompt: str) -> AsyncIterator[Event]:
        yield RunStarted(run_id="r", session_id="s")
        yield RunFinished(output="x")

    done = agentnb.agent(exported_ids).run("x")
    path = Path(done.export(tmp_path / "run.json"))
    data = json.loads(path.read_text(encoding="utf-8"))
    for name in ("local_id", "agent", "title", "platform", "session_id"):
        data[name] = f"x{bad}"
    for entry in data["events"]:
        if entry["type"] == "run_started":
            entry["run_id"] = entry["session_id"] = f"x{bad}"
    path.write_text(json.dumps(data), encoding="utf-8")
    run = read_export(path)
    assert run.session_id is None
    assert not ACTING.search(texts(run.id, run.local_id, run.agent, run.title, run.platform))


@cases("bad", BAD)
def test_a_table_of_texts(bad: str) -> None:
    assert not ACTING.search(table([{"a": f"x{bad}y"}], {"a": "string"}).to_string())

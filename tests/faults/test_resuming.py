"""Streams that are cut at any byte and taken up again: nothing is lost, nothing is doubled.

``AGENTNB_CUTS`` is how many runs of each platform and each way to run are cut (12 unless told).
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import AsyncIterator, Iterator
from typing import Any, get_args

import pytest

import agentnb
from agentnb.event.transcript import fold
from agentnb.event.types import Event
from agentnb.platforms.base import Platform, RunRequest
from agentnb.sandbox import Sandbox
from tests.faults.cutting import Cut, CuttingRelay, How, cutting
from tests.faults.resumed import canonical, platform_at, starts, to_its_end
from tests.http.conftest import BOTH

pytestmark = pytest.mark.anyio

CASES = int(os.environ.get("AGENTNB_CUTS", "12"))
OPTIONS: dict[str, dict[str, Any]] = {
    "seekr": {},
    "seekr-vercel": {"dialect": "vercel"},
    "runagent": {},
    "operativus": {},
    "runtools": {"poll_seconds": 0.02},
}
TEXT = "Grüße, 你好 😀👩‍👩‍👧 e\u0301! One two one two one two. " * 3
ASKED: dict[str, dict[str, Any]] = {
    "text": {"text": TEXT, "size": 3},
    "the same again": {"text": "ab" * 60, "size": 1},
    "all there is": {"text": TEXT, "size": 5, "reasoning": 6, "tools": 3, "tool_error": True},
    "slowly": {"text": TEXT, "size": 4, "reasoning": 2, "tools": 1, "delay_ms": 1},
    "a failure": {"text": TEXT, "size": 4, "tools": 1, "error_after": 20, "error": "It broke."},
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(pace=0) as running:
        yield running


@pytest.fixture(params=list(OPTIONS))
def relay(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[CuttingRelay]:
    name = request.param.partition("-")[0]
    with cutting(sandbox.base_url(name), name=request.param, applies=is_told) as relaying:
        yield relaying


@pytest.fixture(params=BOTH)
async def platform(
    relay: CuttingRelay, sandbox: Sandbox, request: pytest.FixtureRequest
) -> AsyncIterator[Platform]:
    name, options = relay.name.partition("-")[0], OPTIONS[relay.name]
    made = platform_at(name, relay.url, sandbox.api_key, transport=request.param, **options)
    yield made
    await made.aclose()


def is_told(line: str) -> bool:
    """What tells a run: streams, and the record of a thread."""
    return line.endswith(("/stream", "/vercel", "/attach", "/events", "/v1/run")) or (
        "/events?" in line
    )


def cuts(chosen: random.Random, size: int, *, spare: int) -> list[Cut]:
    """Some cuts of a stream of about this size, none among the first ``spare`` bytes."""
    count = chosen.randint(1, 6)
    how: list[How] = [chosen.choice(get_args(How)) for _ in range(count)]
    after = [chosen.randint(0, chosen.choice((60, 600, size))) for _ in range(count)]
    return [Cut(spare + first, kind) for first, kind in zip(after, how, strict=True)]


@pytest.mark.parametrize("asked", list(ASKED))
async def test_what_is_cut_is_told_once(
    relay: CuttingRelay, platform: Platform, asked: str
) -> None:
    def ask() -> RunRequest:
        return RunRequest(agent="echo", prompt=json.dumps(ASKED[asked]))

    relay.plan([])
    whole = await to_its_end(platform, (first := ask()), platform.stream(first))
    size = len(TEXT) * 40
    # Before its first chunk there is nothing to take a stream of this platform up by.
    spare = 200 if relay.name == "runagent" else 0
    made = 0
    for case in range(CASES):
        chosen = random.Random(f"{relay.name} {asked} {case}")
        planned = cuts(chosen, size, spare=spare)
        relay.plan(planned)
        request = ask()
        found = await to_its_end(platform, request, platform.stream(request))
        raw = not any("/messages?" in line for line in relay.requests)
        assert canonical(found, raw=raw) == canonical(whole, raw=raw), (case, planned)
        assert_each_start_is_news(found)
        assert failure(found) in (failure(whole), f"{fold(found).run_id} failed on the platform.")
        assert sum(line.startswith("POST") for line in relay.requests) <= posts(relay), case
        made += len(relay.made)
    assert made >= CASES


def posts(relay: CuttingRelay) -> int:
    """How often anything may be posted: what starts a run is posted once."""
    if relay.name == "runagent":
        return 1 + len(relay.made)
    return 3 if relay.name.startswith("seekr") else 1


def failure(found: list[Event]) -> str | None:
    """Why it failed; a platform's record of a run may not know that."""
    failed = fold(found).failure
    return None if failed is None else failed.message


def assert_each_start_is_news(found: list[Event]) -> None:
    told = starts(found)
    assert len(told) == len(set(told)), told


@pytest.mark.parametrize("limit", [{"timeout": 60}, {"deadlines": agentnb.Deadlines(total=60)}])
def test_a_run_with_a_total_deadline_is_resumed(
    relay: CuttingRelay, sandbox: Sandbox, limit: dict[str, Any]
) -> None:
    """The time of the whole run counts from its first request, also for later connections."""
    name = relay.name.partition("-")[0]
    agent = agentnb.agent(
        f"{name}:echo", base_url=relay.url, api_key=sandbox.api_key, options=OPTIONS[relay.name]
    )
    relay.plan([Cut(after, "reset") for after in (2_000, 600)])
    run = agent.run(json.dumps(ASKED["text"]), **limit)
    assert (run.status, run.text) == ("completed", TEXT)
    assert len(relay.made) == 2
    assert run.reconnects

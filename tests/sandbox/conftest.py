"""One sandbox for all of these tests, and plain HTTP clients to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from agentnb.sandbox import Sandbox


@dataclass(frozen=True)
class Frame:
    """One server-sent event as it was on the wire; `json` is its data."""

    event: str | None
    id: str | None
    data: str

    @property
    def json(self) -> Any:
        return json.loads(self.data)


def read_frames(text: str) -> list[Frame]:
    """Read a whole stream, strictly: what is sent is as regular as the pages' examples."""
    assert text.endswith("\n\n")
    frames: list[Frame] = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        if block.startswith(":"):
            continue
        fields: dict[str, str] = {}
        for line in block.split("\n"):
            name, colon, value = line.partition(": ")
            assert colon
            assert name in {"event", "data", "id"} - fields.keys()
            fields[name] = value
        frames.append(Frame(fields.get("event"), fields.get("id"), fields["data"]))
    return frames


@pytest.fixture(scope="session")
def frames() -> Callable[[str], list[Frame]]:
    return read_frames


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(pace=0) as running:
        yield running


def client_of(sandbox: Sandbox, platform: str) -> httpx.Client:
    key = sandbox.api_key.get_secret_value()
    header = {
        "seekr": {"Authorization": key},
        "runtools": {"X-API-Key": key},
    }.get(platform, {"Authorization": f"Bearer {key}"})
    return httpx.Client(
        base_url=sandbox.base_url(platform), headers=header, timeout=20, trust_env=False
    )


@pytest.fixture
def seekr(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with client_of(sandbox, "seekr") as client:
        yield client


@pytest.fixture
def runagent(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with client_of(sandbox, "runagent") as client:
        yield client


@pytest.fixture
def operativus(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with client_of(sandbox, "operativus") as client:
        yield client


@pytest.fixture
def runtools(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with client_of(sandbox, "runtools") as client:
        yield client


@pytest.fixture
def client(sandbox: Sandbox) -> Callable[[str], httpx.Client]:
    return lambda platform: client_of(sandbox, platform)

"""A recording server, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from agentnb.platforms.base import PlatformSettings
from agentnb.platforms.runtools import RunToolsPlatform
from tests.platforms.recorder import Recorder, recording

FIXTURES = Path(__file__).parents[2] / "fixtures" / "runtools"


@pytest.fixture
async def server(anyio_backend: str) -> AsyncIterator[Recorder]:
    async with recording() as recorder:
        yield recorder


@pytest.fixture
async def client(server: Recorder) -> AsyncIterator[RunToolsPlatform]:
    settings = PlatformSettings(
        platform="runtools",
        base_url=server.base_url,
        api_key=SecretStr("k-1"),
        trust_env=False,
        options={"poll_seconds": 0.01},
    )
    platform = RunToolsPlatform(settings)
    yield platform
    await platform.aclose()


@pytest.fixture
def recorded() -> dict[str, bytes]:
    """Every recorded stream, by name."""
    return {path.stem: path.read_bytes() for path in FIXTURES.glob("*.sse")}

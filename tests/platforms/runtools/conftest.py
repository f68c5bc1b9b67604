"""A client of the test's server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from agentnb.platforms.base import PlatformSettings
from agentnb.platforms.runtools import RunToolsPlatform
from tests.platforms.recorded import by_name
from tests.platforms.scripted import ONCE, ScriptedServer


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncIterator[RunToolsPlatform]:
    settings = PlatformSettings(
        retries=ONCE,
        platform="runtools",
        base_url=server.url,
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
    return by_name("runtools")

"""A client of the test's server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from agentnb.platforms.base import PlatformSettings
from agentnb.platforms.operativus import OperativusPlatform
from tests.platforms.recorded import by_name
from tests.platforms.scripted import ONCE, ScriptedServer


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncIterator[OperativusPlatform]:
    settings = PlatformSettings(
        retries=ONCE,
        platform="operativus",
        base_url=server.url,
        api_key=SecretStr("k-1"),
        trust_env=False,
    )
    platform = OperativusPlatform(settings)
    yield platform
    await platform.aclose()


@pytest.fixture
def recorded() -> dict[str, bytes]:
    """Every recorded stream, by name."""
    return by_name("operativus")

"""Clients of the scripted server."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from agentnb.platforms.openai import OpenAIPlatform
from agentnb.platforms.openai.wire import Api
from tests.platforms.openai.bodies import platform_at
from tests.platforms.scripted import ScriptedServer


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncGenerator[OpenAIPlatform, None]:
    platform = platform_at(server.url)
    yield platform
    await platform.aclose()


@pytest.fixture(params=["responses", "chat"])
def api(request: pytest.FixtureRequest) -> Api:
    return request.param


@pytest.fixture
async def one(server: ScriptedServer, api: Api) -> AsyncGenerator[OpenAIPlatform, None]:
    """A client of one of the APIs."""
    platform = platform_at(server.url, api=api)
    yield platform
    await platform.aclose()

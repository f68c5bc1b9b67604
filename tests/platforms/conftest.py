"""A server that answers as a test tells it to."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from tests.platforms.scripted import ScriptedServer, scripted_server


@pytest.fixture
async def server() -> AsyncGenerator[ScriptedServer, None]:
    async with scripted_server() as found:
        yield found

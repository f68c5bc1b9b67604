from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Protocol

import pytest
from pydantic import SecretStr

from agentnb._http.timeout import Deadlines
from agentnb.config import PlatformSettings
from agentnb.platforms.seekr import SeekrPlatform
from tests.platforms.scripted import ONCE, ScriptedServer


class Connect(Protocol):
    """Makes a client of the test's server, closed when the test is over."""

    def __call__(
        self, *, api_key: str | None = ..., deadlines: Deadlines = ..., **options: Any
    ) -> SeekrPlatform: ...


@pytest.fixture
async def connect(server: ScriptedServer) -> AsyncGenerator[Connect, None]:
    made: list[SeekrPlatform] = []

    def make(
        *,
        api_key: str | None = "key-123456789",
        deadlines: Deadlines | None = None,
        **options: Any,
    ) -> SeekrPlatform:
        settings = PlatformSettings(
            retries=ONCE,
            platform="seekr",
            base_url=server.url,
            api_key=None if api_key is None else SecretStr(api_key),
            deadlines=deadlines or Deadlines(),
            options=options,
        )
        made.append(SeekrPlatform(settings))
        return made[-1]

    yield make
    for platform in made:
        await platform.aclose()


@pytest.fixture
def platform(connect: Connect) -> SeekrPlatform:
    return connect()

"""One sandbox, and an agent of it on each platform."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import agentnb
from agentnb.sandbox import Sandbox

PLATFORMS = ("seekr", "runagent", "operativus", "runtools")
AgentOf = Callable[..., agentnb.Agent]


@pytest.fixture(scope="package")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(pace=0) as running:
        yield running


@pytest.fixture(params=PLATFORMS)
def platform(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def agent_of(sandbox: Sandbox, platform: str) -> AgentOf:
    """Makes the agent of a name on the platform under test."""

    def make(name: str = "echo", **options: object) -> agentnb.Agent:
        return agentnb.agent(
            f"{platform}:{name}",
            base_url=sandbox.base_url(platform),
            api_key=sandbox.api_key,
            **options,  # pyright: ignore[reportArgumentType]
        )

    return make


@pytest.fixture
def echo(agent_of: AgentOf) -> agentnb.Agent:
    return agent_of("echo")

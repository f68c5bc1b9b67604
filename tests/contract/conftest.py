"""One sandbox, and an agent of it on each platform, and on OperativusAI's real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import agentnb
from agentnb.sandbox import Sandbox

PLATFORMS = ("seekr", "runagent", "operativus", "runtools")
TARGETS = (*PLATFORMS, "operativus-real")
AgentOf = Callable[..., agentnb.Agent]


@pytest.fixture(scope="package")
def sandboxes() -> Iterator[dict[str, Sandbox]]:
    """A sandbox as the API pages have it, and one with OperativusAI's real server."""
    with Sandbox(pace=0) as page, Sandbox(pace=0, operativus="real", time_zone="-09:30") as real:
        yield {"page": page, "real": real}


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def platform(target: str) -> str:
    return target.partition("-")[0]


@pytest.fixture
def is_real(target: str) -> bool:
    """Whether the platform is spoken as its real server does."""
    return target.endswith("-real")


@pytest.fixture
def sandbox(sandboxes: dict[str, Sandbox], is_real: bool) -> Sandbox:
    return sandboxes["real" if is_real else "page"]


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

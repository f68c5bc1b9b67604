"""One server for all tests of a process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import agentnb
from tests.platforms.langgraph.served import served_graphs


@pytest.fixture(scope="package")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served_graphs(tmp_path_factory.mktemp("langgraph")) as found:
        yield found


@pytest.fixture
def graph(url: str) -> Callable[..., agentnb.Agent]:
    """A function that returns the agent of a graph, with options of the platform."""

    def find(name: str, **options: Any) -> agentnb.Agent:
        return agentnb.agent(f"langgraph:{name}", base_url=url, options=options)

    return find


@pytest.fixture
def agent(graph: Callable[..., agentnb.Agent]) -> agentnb.Agent:
    return graph("helper")

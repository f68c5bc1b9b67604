"""The vendor's server, started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.platforms.runagent.served import Served, served_agent


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served_agent(tmp_path_factory.mktemp("runagent")) as running:
        yield running

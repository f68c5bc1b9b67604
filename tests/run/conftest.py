"""What a test lets go on when it says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.run.asked import Gate


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()

"""What the kernel says of recorded events is what the page was tested with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.widgets.fixtures import FOLDER, made, paths
from tests.widgets.page import Page

PATHS = paths(FOLDER)


@pytest.fixture(params=PATHS, ids=[path.stem for path in PATHS])
def fixture(request: pytest.FixtureRequest) -> dict[str, Any]:
    path: Path = request.param
    return json.loads(path.read_text(encoding="utf-8"))


def test_there_are_fixtures() -> None:
    assert len(PATHS) >= 8


def test_fixture_is_what_the_kernel_says(fixture: dict[str, Any]) -> None:
    assert made(fixture) == fixture


def test_page_comes_to_the_expected_state(fixture: dict[str, Any]) -> None:
    first, *messages = fixture["messages"]
    page = Page.opened(first)
    for message in messages:
        page.hear(message)
    assert page.asks == []
    assert page.run == fixture["expected"]

"""What the kernel says of a conversation is what the page was tested with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentnb.widgets.chat_protocol import parse_chat_message
from tests.widgets.chat_fixtures import COMMANDS, FOLDER, made, paths
from tests.widgets.chat_page import HEAD, ChatPage

PATHS = paths(FOLDER)
PAGE = json.loads(COMMANDS.read_text(encoding="utf-8"))


@pytest.fixture(params=PATHS, ids=[path.stem for path in PATHS])
def fixture(request: pytest.FixtureRequest) -> dict[str, Any]:
    path: Path = request.param
    return json.loads(path.read_text(encoding="utf-8"))


def test_there_are_fixtures() -> None:
    assert len(PATHS) >= 5


def test_fixture_is_what_the_kernel_says(fixture: dict[str, Any]) -> None:
    assert fixture["given"]["head"].keys() == HEAD
    assert made(fixture) == fixture


def test_page_comes_to_the_expected_state(fixture: dict[str, Any]) -> None:
    first, *messages = fixture["messages"]
    page = ChatPage.opened(first)
    for message in messages:
        page.hear(message)
    assert not page.broken
    assert all(run.asks == [] for run in page.runs.values())
    assert page.state() == fixture["expected"]


@pytest.mark.parametrize("message", PAGE["accepted"], ids=json.dumps)
def test_what_pages_say_is_understood(message: dict[str, Any]) -> None:
    parsed = parse_chat_message(message)
    assert parsed is not None
    assert parsed["type"] == message["type"]


@pytest.mark.parametrize("message", PAGE["refused"], ids=json.dumps)
def test_what_is_no_message_is_dropped(message: object) -> None:
    assert parse_chat_message(message) is None

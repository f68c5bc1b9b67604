"""Messages that no page of ours sends: none raises, whatever is in them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

import pytest

from agentnb.history.pages import PageQuery
from agentnb.widgets.chat_protocol import command_id, parse_chat_message
from agentnb.widgets.history_protocol import parse_history_message
from agentnb.widgets.protocol import parse_page_message

PARSERS: Final[dict[str, Callable[[Any], object]]] = {
    "command id": command_id,
    "chat": parse_chat_message,
    "run": parse_page_message,
    "history": lambda message: parse_history_message(message, like=PageQuery()),
}
TYPES: Final = (
    *("send", "again", "show", "new", "sessions", "open", "upload", "run", "resync", "stop"),
    *("decide", "query", "page", "approve", "unknown"),
)
NAMES: Final = (
    *("type", "id", "text", "attachments", "upload", "index", "last", "turn", "name", "mime_type"),
    *("size", "preview", "session", "message", "agent", "branch", "decision", "sort", "filter"),
    *("page", "query", "offset", "command", "seq", "generation", "limit", "since", "search"),
)
VALUES: Final[tuple[Any, ...]] = (
    *(None, True, -1, 0, 2**63, 10**400, 1.5, float("nan"), float("inf"), "", "x" * 100_000),
    *("\ud800", "\x00\x1b[2J", "../../etc/passwd", "<img src=x onerror=alert(1)>", "\u202egnp.exe"),
    *([], {}, [[[[]]]], {"a": {"b": [1]}}, b"x", object(), set[int]()),
)


@pytest.mark.parametrize("parse", PARSERS.values(), ids=PARSERS)
def test_a_malformed_message_raises_nothing(parse: Callable[[Any], object]) -> None:
    chosen = random.Random(1)
    for _ in range(20_000):
        message = mapping(chosen)
        if chosen.random() < 0.8:
            message["type"] = chosen.choice(TYPES)
        if chosen.random() < 0.3:
            message["attachments"] = [mapping(chosen) for _ in range(3)]
        parse(message)
    for value in VALUES:
        parse(value)


@pytest.mark.parametrize("parse", PARSERS.values(), ids=PARSERS)
@pytest.mark.parametrize("kind", TYPES)
def test_nor_does_a_deep_one(parse: Callable[[Any], object], kind: str) -> None:
    message: dict[str, Any] = {}
    for _ in range(5_000):
        message = {"type": kind, "attachments": [message], "message": message, "query": message}
    parse(message)


def mapping(chosen: random.Random) -> dict[str, Any]:
    return {chosen.choice(NAMES): chosen.choice(VALUES) for _ in range(chosen.randint(0, 8))}

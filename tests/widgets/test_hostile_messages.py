"""Messages that no page of ours sends: none raises, whatever is in them."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

import agentnb
from agentnb.conversation import Conversation
from agentnb.event.types import ApprovalRequested, RunFinished, RunStarted, TextDelta
from agentnb.platforms.base import Capabilities, RunRequest
from agentnb.store.recorder import use
from agentnb.tables.pages import PageQuery
from agentnb.widgets.base import BURST, MessageLimiter
from agentnb.widgets.chat_protocol import command_id, parse_chat_message
from agentnb.widgets.chat_publisher import ChatPublisher
from agentnb.widgets.history import HistoryWidget
from agentnb.widgets.history_protocol import parse_history_message
from agentnb.widgets.protocol import parse_page_message, run_state
from agentnb.widgets.run import RunWidget
from tests.played import Batches, PlayedPlatform, player, until
from tests.widgets.page import FakeRun

FLOOD: Final = 2_000
ASKED: Final = {"text": "", "agent": "", "status": "", "order": "-started_at", "offset": 0}

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


class TestFloods:
    """Ten thousand messages start neither as many threads nor as many queries."""

    def test_questions_whose_files_never_come(self) -> None:
        sent: list[Any] = []
        publisher = ChatPublisher(Conversation(agentnb.agent(see)), send=sent.append)
        publisher.start()
        before = threading.active_count()
        for number in range(FLOOD):
            attachment = {"upload": "nowhere", "name": "a.png"}
            ask = {"type": "send", "id": f"t{number}", "text": "hi", "attachments": [attachment]}
            publisher.receive(ask)
            assert threading.active_count() < before + 20
        refused = [message["id"] for message in sent if message["type"] == "refused"]
        assert refused == [f"t{number}" for number in range(FLOOD - 1)]
        publisher.close()
        until(lambda: threading.active_count() <= before)

    def test_decisions(self) -> None:
        deciding = threading.Event()

        class Slow(PlayedPlatform):
            async def decide(self, *args: Any, **options: Any) -> None:
                await asyncio.to_thread(deciding.wait)
                await super().decide(*args, **options)

        able = Capabilities(approvals=True, attach=True)
        platform = Slow(asking, capabilities=able)
        chat = Conversation(player(platform))
        publisher = ChatPublisher(chat, send=lambda message: None)
        publisher.start()
        publisher.receive({"type": "send", "id": "t1", "text": "hi", "attachments": []})
        until(lambda: chat.status == "paused")
        before = threading.active_count()
        for number in range(FLOOD):
            for key in ("a", None, f"wrong-{number}", "x" * 2_000):
                decide = {"type": "decide", "approval_id": key, "approved": True}
                publisher.receive({"type": "run", "turn": "t1", "message": decide})
            assert threading.active_count() < before + 30
        deciding.set()
        until(lambda: chat.status == "completed")
        until(lambda: not deciders())
        # It waits for nothing any more.
        decide = {"type": "decide", "approval_id": "a", "approved": False}
        publisher.receive({"type": "run", "turn": "t1", "message": decide})
        assert not deciders()
        assert platform.decisions == [("r", "a", True)]
        publisher.close()

    @pytest.mark.parametrize("type_", ["page", "agents", "open", "close", "run"])
    def test_questions_to_the_history(
        self, type_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        use(tmp_path / "history.sqlite")
        started: list[int] = []
        widget: Any = HistoryWidget()

        def count(work: Any) -> None:
            started.append(1)
            work.close()

        monkeypatch.setattr(widget._publisher, "_schedule", count)
        for number in range(FLOOD):
            message: dict[str, Any] = {
                "type": type_,
                "run": f"k{number}",
                "turn": f"k{number}",
                "message": {},
            }
            widget._handle_custom_msg(message | {"id": f"p{number}-1", "query": ASKED}, [b"x"])
        assert len(started) <= BURST + 10
        widget.close()


def test_a_page_has_an_allowance_that_time_fills_again() -> None:
    now = 0.0
    allowance = MessageLimiter(clock=lambda: now)
    assert sum(allowance.take() for _ in range(FLOOD)) == BURST
    now = 1.0
    assert sum(allowance.take() for _ in range(FLOOD)) == 25
    now = 1e6
    assert sum(allowance.take() for _ in range(FLOOD)) == BURST


TRAITS: Final[tuple[dict[str, Any], ...]] = (
    {"_esm": "alert(1)"},
    {"_code": {"hash": "x"}},
    {"kind": "chat"},
    {"kind": 5},
    {"snapshot": {"seq": 9, "run": "<script>"}},
    {"snapshot": 5},
    {"layout": "IPY_MODEL_unknown"},
    {"_view_module": "elsewhere"},
    {"_css": "*{}"},
)


@pytest.mark.parametrize("state", TRAITS, ids=str)
def test_a_page_writes_no_trait(state: dict[str, Any]) -> None:
    widget: Any = RunWidget(FakeRun([TextDelta("hi"), RunFinished()]))
    before = widget.get_state()
    message: Any = {"content": {"data": {"method": "update", "state": state}}, "buffers": []}
    widget._handle_msg(message)
    assert widget.get_state() == before
    widget.close()


def test_an_approval_with_a_long_id_is_bounded() -> None:
    asked = [ApprovalRequested(approval_id="i" * 1_000_000, message="?", tool="t")] * 100
    run = FakeRun(asked)
    run.advance(len(asked))
    assert len(json.dumps(run_state(run.view()))) < 100_000


def deciders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "agentnb-decision"]


def see(prompt: str, context: Any) -> str:
    return "seen"


async def asking(request: RunRequest) -> Batches:
    yield [RunStarted(run_id="r", session_id="s")]
    yield [ApprovalRequested(approval_id="a", message="Really?")]
    if request.prompt == "r":
        yield [TextDelta("done"), RunFinished()]

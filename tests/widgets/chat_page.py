"""The page's side of a chat, as the rules of its protocol say it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.widgets.page import Page, over_the_wire

HEAD = {
    *("title", "agent", "platform", "session_id", "status"),
    *("media", "shown", "notice"),
}
TURN = {"id", "parent", "prompt", "note", "session_id", "attachments", "generation", "run"}


@dataclass
class ChatPage:
    """What a page knows of a chat; `heard` holds every message, as it came over the wire."""

    seq: int = 0
    chat: dict[str, Any] = field(default_factory=dict[str, Any])
    runs: dict[str, Page] = field(default_factory=dict[str, Page])
    heard: list[dict[str, Any]] = field(default_factory=list[Any])
    broken: bool = False

    @classmethod
    def opened(cls, snapshot: Mapping[str, Any]) -> ChatPage:
        page = cls()
        page.read(over_the_wire(snapshot))
        return page

    def hear(self, message: Mapping[str, Any]) -> None:
        message = over_the_wire(message)
        self.heard.append(dict(message))
        match message["type"]:
            case "chat":
                if message["seq"] != self.seq + 1:
                    self.broken = True
                    return
                self.seq = message["seq"]
                for op in message["ops"]:
                    self._apply(op)
            case "snapshot":
                self.read(message)
            case "run":
                # What comes of a turn that the page does not know is a fault.
                self.runs[message["turn"]].hear(message["message"])
            case "ack" | "refused" | "sessions":
                assert isinstance(message["id"], str)
            case other:
                raise AssertionError(f"no such message: {other}")

    def read(self, snapshot: Mapping[str, Any]) -> None:
        self.seq, self.chat = snapshot["seq"], copy.deepcopy(dict(snapshot["chat"]))
        self.broken = False
        assert self.chat.keys() == HEAD | {"turns"}
        self.runs = {}
        for turn in self.chat["turns"]:
            self._put(turn)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.heard if message["type"] == kind]

    def state(self) -> dict[str, Any]:
        """Return the chat with its runs as they are by now."""
        turns = [{**t, "run": self.runs[t["id"]].run} for t in self.chat["turns"]]
        return {**self.chat, "turns": turns}

    def _apply(self, op: Mapping[str, Any]) -> None:
        if op["op"] == "chat":
            assert op["set"].keys() <= HEAD
            self.chat |= op["set"]
            return
        turns: list[Any] = self.chat["turns"]
        assert op["op"] == "turn"
        assert op["index"] <= len(turns)
        turns[op["index"] : op["index"] + 1] = [op["turn"]]
        self._put(op["turn"])

    def _put(self, turn: Mapping[str, Any]) -> None:
        assert turn.keys() == TURN
        self.runs[turn["id"]] = Page.opened(turn["run"])

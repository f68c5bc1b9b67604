"""The chat fixtures that the Python and the TypeScript tests share.

``chat_*.json`` holds, as ``given``, a head and the steps of a conversation: questions with their
runs' events, runs put in the place of others, changes of the head, and whole states.
``python -m tests.widgets.chat_fixtures`` writes anew what follows: ``messages``, what the kernel
says (the first is the state that a page begins with), and ``expected``, the chat that a page must
have come to, each turn's ``run`` being the state of its run by then.  ``chat_commands.json`` holds
messages of pages, those to be ``accepted`` and those to be ``refused``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, cast

from agentnb.conversation import Attachment, Turn
from agentnb.conversation.turns import ChatSession
from agentnb.event.types import event_from_dict
from agentnb.run.run import Run
from agentnb.widgets.chat_protocol import chat_message, chat_snapshot, turn_state
from agentnb.widgets.cursor import Cursor
from agentnb.widgets.protocol import Snapshot, ops_message, run_state
from tests.widgets.fixtures import FOLDER
from tests.widgets.page import FakeRun

COMMANDS = FOLDER / "chat_commands.json"


class ToldAnswer(FakeRun):
    """A run of a turn."""

    @property
    def session_id(self) -> str | None:
        return self.transcript.session_id


class _Writer:
    """What the kernel says, step by step."""

    def __init__(self, head: dict[str, Any]) -> None:
        self.head = dict(head)
        self.turns: list[Turn] = []
        self.seqs: list[int] = []
        self.generations: list[int] = []
        # Each turn as the page was last told of it.
        self.told: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []
        self.seq = 0
        self.whole()

    def whole(self) -> None:
        turns = [
            turn_state(turn, {"seq": seq, "run": run_state(turn.run.view())}, generation=count)
            for turn, seq, count in zip(self.turns, self.seqs, self.generations, strict=True)
        ]
        self.told = turns
        snapshot = chat_snapshot(self.seq, self.head, turns)
        self.messages.append({"type": "snapshot", **snapshot})

    def tell(self, *ops: dict[str, Any]) -> None:
        self.seq += 1
        self.messages.append(chat_message(self.seq, ops))

    def change(self, changes: dict[str, Any]) -> dict[str, Any]:
        self.head |= changes
        return {"op": "chat", "set": changes}

    def take(self, step: dict[str, Any]) -> None:
        match step["do"]:
            case "turn":
                self.ask(step)
            case "replace":
                index = next(i for i, t in enumerate(self.turns) if t.id == step["id"])
                self.turns[index].run = _told(step, self.turns[index].prompt)
                self.generations[index] += 1
                self.play(step, index, {})
            case "head":
                self.tell(self.change(step["set"]))
            case "open":
                self.turns, self.seqs, self.generations = [], [], []
                self.head |= step["set"]
                self.seq += 1
                self.whole()
            case other:
                assert other == "resync"
                self.seq += 1
                self.whole()

    def ask(self, step: dict[str, Any]) -> None:
        before = next((t for t in self.turns if t.id == step["parent"]), None)
        turn = Turn(
            id=step["id"],
            before=before,
            prompt=step["prompt"],
            run=_told(step, step["prompt"]),
            chat_session=ChatSession(),
            attachments=tuple(Attachment(**a) for a in step.get("attachments", [])),
            note=step.get("note"),
        )
        self.turns.append(turn)
        self.seqs.append(0)
        self.generations.append(0)
        self.play(step, len(self.turns) - 1, {"shown": turn.id})

    def play(self, step: dict[str, Any], index: int, changes: dict[str, Any]) -> None:
        turn = self.turns[index]
        run = cast("ToldAnswer", turn.run)
        cursor = Cursor()
        self.seqs[index] = 0
        first: Snapshot = {"seq": 0, "run": cursor.snapshot(run.view())}
        state = turn_state(turn, first, generation=self.generations[index])
        self.told[index : index + 1] = [state]
        status: dict[str, Any] = {**changes, "status": run.transcript.status}
        self.tell({"op": "turn", "index": index, "turn": state}, self.change(status))
        for count in step.get("batches", [1] * len(step["events"])):
            run.advance(count)
            if ops := cursor.ops(run.view()):
                self.seqs[index] += 1
                message = ops_message(self.seqs[index], ops)
                self.messages.append({"type": "run", "turn": turn.id, "message": message})
            now = {"status": run.transcript.status, "session_id": run.transcript.session_id}
            if changed := {k: v for k, v in now.items() if v != self.head[k]}:
                self.tell(self.change(changed))


def _told(step: dict[str, Any], prompt: str) -> Run:
    run = ToldAnswer([event_from_dict(data) for data in step["events"]])
    run.prompt = prompt
    # Stands in for the run of a turn, of which only what the protocol tells is asked here.
    return cast("Run", run)


def made(fixture: dict[str, Any]) -> dict[str, Any]:
    """Return the fixture with everything in it that follows from what is given."""
    given = fixture["given"]
    writer = _Writer(given["head"])
    for step in given["steps"]:
        writer.take(step)
    expected = {
        **writer.head,
        "turns": [
            {**told, "run": run_state(turn.run.view())}
            for told, turn in zip(writer.told, writer.turns, strict=True)
        ],
    }
    return {
        "name": fixture["name"],
        "given": given,
        "messages": writer.messages,
        "expected": expected,
    }


def paths(folder: Path) -> list[Path]:
    """Return the files of chats in ``folder``."""
    return [path for path in sorted(folder.glob("chat_*.json")) if path.name != COMMANDS.name]


def write(folder: Path) -> None:
    """Write every fixture in ``folder`` anew."""
    for path in paths(folder):
        fixture = made(json.loads(path.read_text(encoding="utf-8")))
        text = json.dumps(fixture, ensure_ascii=False, indent=1)
        path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)

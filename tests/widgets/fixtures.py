"""The fixtures that the Python and the TypeScript tests share.

A file holds a run's events with their times, how many come at once (``batches``; one by one where
it is absent), and what it waits for in between (``waits``, each ``after`` so many batches, ``at`` a
second).  ``python -m tests.widgets.fixtures`` writes anew what follows from them: the kernel's
messages, one for each batch and each wait, the state that a page must have come to, and what it is
told of the events themselves (``record``) and of what the run did when (``timeline``).  Files of
chats and comparisons (``chat_*``, ``compare_*``) are made elsewhere.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from agentnb.event.types import event_from_dict
from agentnb.recording.recording import Waiting
from agentnb.widgets.cursor import Cursor
from agentnb.widgets.protocol import (
    events_message,
    ops_message,
    run_state,
    timeline_message,
)
from tests.widgets.page import FakeRun

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "protocol"
GIVEN = ("name", "events", "times", "batches", "waits", "prompt")


def made(fixture: dict[str, Any]) -> dict[str, Any]:
    """Return the fixture with everything in it that follows from what is given."""
    events = [event_from_dict(data) for data in fixture["events"]]
    run = FakeRun(events, fixture["times"])
    if "prompt" in fixture:
        run.prompt = fixture["prompt"]
    cursor = Cursor()
    messages: list[Any] = [{"type": "snapshot", "seq": 0, "run": cursor.snapshot(run.view())}]

    def tell() -> None:
        if ops := cursor.ops(run.view(), run.waiting):
            messages.append(ops_message(len(messages), ops))

    waits = list(fixture.get("waits", []))
    for number, count in enumerate(fixture.get("batches", [1] * len(events))):
        while waits and waits[0]["after"] == number:
            what = dict(waits.pop(0))
            del what["after"]
            run.wait(at=what.pop("at"), waiting=Waiting(**what))
            tell()
        run.advance(count)
        tell()
    given = {name: fixture[name] for name in GIVEN if name in fixture}
    record = events_message(run.events, run.event_times, offset=0)
    expected = run_state(run.view())
    timeline = timeline_message(run.events, run.event_times, took=run.view().took)
    return {
        **given,
        "messages": messages,
        "expected": expected,
        "record": record,
        "timeline": timeline,
    }


def paths(folder: Path) -> list[Path]:
    """Return the files of single runs in ``folder``."""
    found = sorted(folder.glob("*.json"))
    return [path for path in found if not path.name.startswith(("chat_", "compare_"))]


def write(folder: Path) -> None:
    """Write every fixture in ``folder`` anew."""
    for path in paths(folder):
        fixture = made(json.loads(path.read_text(encoding="utf-8")))
        text = json.dumps(fixture, ensure_ascii=False, indent=1)
        path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)

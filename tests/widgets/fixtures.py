"""The fixtures that the Python and the TypeScript tests share.

A file holds a run's events with their times, and how many come at once (``batches``; one by one
where it is absent).  ``python -m tests.widgets.fixtures`` writes anew what follows from them: the
kernel's messages, one for each batch, and the state that a page must have come to.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from agentnb.events import event_from_dict
from agentnb.widgets.controller import Cursor
from agentnb.widgets.protocol import ops_message, run_state, snapshot_message
from tests.widgets.page import ToldRun

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "protocol"
GIVEN = ("name", "events", "times", "batches", "prompt")


def made(fixture: dict[str, Any]) -> dict[str, Any]:
    """Return the fixture with everything in it that follows from what is given."""
    events = [event_from_dict(data) for data in fixture["events"]]
    run = ToldRun(events, fixture["times"])
    if "prompt" in fixture:
        run.prompt = fixture["prompt"]
    cursor = Cursor()
    messages: list[Any] = [snapshot_message({"seq": 0, "run": cursor.snapshot(run.view())})]
    for count in fixture.get("batches", [1] * len(events)):
        run.advance(count)
        if ops := cursor.ops(run.view()):
            messages.append(ops_message(len(messages), ops))
    given = {name: fixture[name] for name in GIVEN if name in fixture}
    return {**given, "messages": messages, "expected": run_state(run.view())}


def write(folder: Path) -> None:
    """Write every fixture in ``folder`` anew."""
    for path in sorted(folder.glob("*.json")):
        fixture = made(json.loads(path.read_text(encoding="utf-8")))
        text = json.dumps(fixture, ensure_ascii=False, indent=1)
        path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)

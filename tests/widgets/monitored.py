"""A watch whose runs go on at a word, and what its widget tells the page of them.

``python -m tests.widgets.monitored`` writes the file that the page's own tests read.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

from agentnb.monitoring import WatchedRun
from agentnb.run.run import Run
from agentnb.widgets.monitor import MonitorWidget
from tests.widgets.page import over_the_wire

FIXTURE: Final = Path(__file__).resolve().parents[1] / "fixtures" / "tables" / "monitor.json"

ROWS: Final = (
    WatchedRun(
        key="local:1",
        run_id="<img src=x onerror=alert(1)> What is it?",
        platform="local",
        agent="finance_agent",
        title="finance_agent",
        status="running",
        elapsed=1.5,
        detail="Thinks",
        can_cancel=True,
    ),
    WatchedRun(
        key="operativus:2",
        run_id="run_2",
        platform="operativus",
        agent=None,
        title="operativus",
        status="queued",
        detail="Is being asked for",
    ),
)


@dataclass
class FakeWatch:
    """A watch that goes on at the test's word."""

    watched: list[WatchedRun] = field(default_factory=lambda: list(ROWS))
    requests: int = 0
    problem: str | None = None
    done: bool = False
    cancelled: list[str] = field(default_factory=list[str])
    listeners: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])

    def rows(self) -> list[WatchedRun]:
        return list(self.watched)

    def results(self) -> list[Run | WatchedRun]:
        return list(self.watched)

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        self.listeners.append(callback)
        return lambda: self.listeners.remove(callback)

    def cancel(self, key: str) -> None:
        if key not in {row.key for row in self.watched}:
            raise KeyError(key)
        self.cancelled.append(key)

    def change(self, index: int, *, requests: int = 0, done: bool = False, **changes: Any) -> None:
        self.watched[index] = replace(self.watched[index], **changes)
        self.requests += requests
        self.done = done
        for listener in tuple(self.listeners):
            listener()


@dataclass
class WidgetProbe:
    """A widget whose messages go to the test instead of a comm."""

    watch: FakeWatch = field(default_factory=FakeWatch)
    sent: list[Any] = field(default_factory=list[Any])
    traits: list[Any] = field(default_factory=list[Any])

    def __post_init__(self) -> None:
        self.widget = MonitorWidget(
            cast("Any", self.watch), bundle=lambda: {"text/plain": "two runs"}
        )
        self.widget.send = self._take
        self.traits.append(over_the_wire(self.widget.snapshot))
        self.widget.observe(self._changed, "snapshot")

    def _take(self, content: Any, buffers: Any = None) -> None:
        self.sent.append(over_the_wire(content))

    def _changed(self, change: Any) -> None:
        self.traits.append(over_the_wire(change["new"]))

    def say(self, content: Any) -> None:
        widget: Any = self.widget
        widget._handle_custom_msg(content, [])

    async def until(self, wanted: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not wanted():  # noqa: ASYNC110 - told on another thread
                await asyncio.sleep(0.01)


async def recording() -> dict[str, Any]:
    """Return what the page is told from the widget's making to the end of both runs."""
    made = WidgetProbe()
    watch = made.watch
    watch.change(1, requests=1, status="running", detail="Goes on on the platform", elapsed=2.0)
    await made.until(lambda: len(made.sent) == 1)
    watch.change(0, status="failed", error="The model is overloaded.", final=True, can_cancel=False)
    await made.until(lambda: len(made.sent) == 2)
    watch.change(1, requests=1, done=True, status="completed", detail="", elapsed=9.0, final=True)
    await made.until(lambda: len(made.sent) == 3 and len(made.traits) == 2)
    made.widget.close()
    for message in made.sent:
        if "asked" in message["watching"]:
            message["watching"]["asked"] = 0.0
    first, final = made.traits
    final["monitor"]["watching"]["asked"] = 0.0
    return {"snapshot": first, "messages": made.sent, "final": final}


if __name__ == "__main__":
    text = json.dumps(asyncio.run(recording()), ensure_ascii=False, indent=1)
    FIXTURE.write_text(text + "\n", encoding="utf-8")

"""A comparison whose runs go on at a word, and what its widget tells the page of them.

``python -m tests.widgets.compared`` writes the file that the page's own tests read.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from agentnb.event.types import Event, RunFailed, RunFinished, TextDelta, Usage, UsageReported
from agentnb.widgets.compare import CompareWidget
from tests.widgets.fixtures import FOLDER
from tests.widgets.page import FakeRun, Page, over_the_wire

FIXTURE = FOLDER / "compare_two.json"

FIRST: tuple[Event, ...] = (
    TextDelta("It is "),
    TextDelta("**142.50**"),
    UsageReported(usage=Usage(input_tokens=40, output_tokens=8, cost_usd=0.0002)),
    RunFinished(),
)
SECOND: tuple[Event, ...] = (
    TextDelta("I think "),
    RunFailed(message="the price is not known", code="x"),
)


@dataclass
class FakeComparison:
    """A comparison whose runs go on at the test's word."""

    runs: Sequence[FakeRun]
    labels: Sequence[str]
    prompt: str = "What is the current NVDA stock price?"

    def bundle(self) -> Mapping[str, str]:
        return {"text/plain": "side by side", "text/html": "<p>side by side</p>"}


@dataclass
class WidgetProbe:
    """A widget whose messages go to pages in the test instead of a comm."""

    comparison: FakeComparison = field(default_factory=lambda: told())
    sent: list[Any] = field(default_factory=list[Any])
    traits: list[Any] = field(default_factory=list[Any])

    def __post_init__(self) -> None:
        self.widget = CompareWidget(cast("Any", self.comparison))
        self.widget.send = self._take
        self.traits.append(over_the_wire(self.widget.snapshot))
        self.widget.observe(self._changed, "snapshot")

    def _take(self, content: Any, buffers: Any = None) -> None:
        self.sent.append(over_the_wire(content))

    def _changed(self, change: Any) -> None:
        self.traits.append(over_the_wire(change["new"]))

    @property
    def pages(self) -> dict[str, Page]:
        """A page for each run, opened with the first trait, that has heard all that was sent."""
        state = self.traits[0]["compare"]
        pages = {each["id"]: Page.opened(each["run"]) for each in state["runs"]}
        for message in self.sent:
            assert message["type"] == "run"
            pages[message["turn"]].hear(message["message"])
        return pages

    def say(self, content: Any) -> None:
        widget: Any = self.widget
        widget._handle_custom_msg(content, [])


def told() -> FakeComparison:
    """Return two runs of one agent, of which the second fails."""
    return FakeComparison([FakeRun(FIRST, title="a"), FakeRun(SECOND, title="a")], ["a", "a (2)"])


async def to_the_end(run: FakeRun) -> None:
    while not run.finished:
        run.advance()
        await asyncio.sleep(0.05)


async def recording() -> dict[str, Any]:
    """Return what the page is told from the widget's making to the end of both runs."""
    made = WidgetProbe()
    for run in made.comparison.runs:
        await to_the_end(run)
    made.widget.close()
    snapshot, final = made.traits
    return {"snapshot": snapshot, "messages": made.sent, "final": final}


if __name__ == "__main__":
    text = json.dumps(asyncio.run(recording()), ensure_ascii=False, indent=1)
    FIXTURE.write_text(text + "\n", encoding="utf-8")

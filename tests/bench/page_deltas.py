"""Row 7: what 20,000 deltas at 500/s, in a chat, cost the kernel, the wire and the page.

Most figures are no ratios: they stand for themselves.  The peer is a widget that sends a message
for each delta and does nothing else.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, field
from typing import Final

from playwright.sync_api import expect

from tests.bench.lab import Bench, opened
from tests.bench.measure import FEWEST, Row
from tests.ui.chatting import ChatOnPage
from tests.ui.tasks import LongTasks

DELTAS: Final = 20_000
QUARTER: Final = DELTAS // 4
PER_SECOND: Final = 500
WIDTH: Final = 5
PARAGRAPH: Final = 80
# Each of them takes a minute, and they differ by little.
WHOLE_ROUNDS: Final = (0, FEWEST // 2, FEWEST - 1)

AGENT: Final = """\
import asyncio, random, time, agentnb, anywidget

async def deltas(prompt):
    chance = random.Random(%d)
    start = time.monotonic()
    for number in range(int(prompt)):
        yield f"{chance.randrange(10_000):04d} " if number %% %d else "\\n\\nNo "
        ahead = start + number / %d - time.monotonic()
        if ahead > 0.01:
            await asyncio.sleep(ahead)

class PerDelta(anywidget.AnyWidget):
    _esm = '''export default { render({ model, el }) {
      const text = document.createTextNode("");
      el.className = "per-delta";
      el.style.whiteSpace = "pre-wrap";
      el.append(text);
      model.on("msg:custom", (told) => text.appendData(told.text));
    } }'''
"""
CPU: Final = "time.process_time()"
ALONE: Final = f"""\
before = {CPU}
run = agentnb.agent(deltas).start("%d")
while not run.done:
    await asyncio.sleep(0.5)
{CPU} - before"""
CHAT: Final = "chat = agentnb.chat(deltas)\nchat"
LENGTH: Final = "len(chat.messages[-1]['content'])"
PEER: Final = "peer = PerDelta()\npeer"
SEND: Final = f"""\
before = {CPU}
async for delta in deltas("{QUARTER}"):
    peer.send({{"text": delta}})
{CPU} - before"""
CELLS: Final = (ALONE % QUARTER, ALONE % DELTAS, CHAT, CPU, LENGTH, PEER, SEND)
# Their numbers in the notebook, after the one that brings the agents and the one above.
ALONE_QUARTER, ALONE_WHOLE, SHOW, TIME, SAID, SHOW_PEER, RUN_PEER = range(2, 2 + len(CELLS))


@dataclass(frozen=True)
class Told:
    """What one answer cost: seconds of the kernel's CPU with its agent's, and of the page."""

    megabytes: float
    cpu: float
    messages: float = math.nan
    page: float = math.nan
    longest: float = math.nan


@dataclass
class Rounds:
    """What was measured, and the CPU of the agent by itself, which runs in the kernel, too."""

    alone: dict[int, float] = field(default_factory=dict[int, float])
    ours: dict[int, list[Told]] = field(default_factory=lambda: {QUARTER: [], DELTAS: []})
    peer: list[Told] = field(default_factory=list[Told])

    def cpu(self, deltas: int) -> list[float]:
        return [told.cpu - self.alone[deltas] for told in self.ours[deltas]]


def _in_a_chat(bench: Bench, deltas: int) -> Told:
    page, wire = bench.page, bench.wire
    page.run(SHOW)
    chat = ChatOnPage(page, SHOW)
    expect(chat.field).to_be_visible()
    before = bench.value(TIME)
    wire.clear()
    tasks = LongTasks(page.page)
    with bench.main_thread() as busy:
        start = time.monotonic()
        chat.ask(str(deltas))
        # To look for the end means to search the page, which takes time of the same thread.
        page.page.wait_for_timeout(deltas / PER_SECOND * 1000 + 1000)
        took = time.monotonic() - start
        main = busy()
    longest = max(tasks.take(), default=0)
    chat.until(1)
    cpu = bench.value(TIME) - before
    length = bench.value(SAID)
    shown = len(chat.answer(1).text_content() or "")
    assert length == WIDTH * deltas
    # Paragraphs are not shown with the breaks between them, nor with spaces at their ends.
    assert shown >= length - 4 * (deltas // PARAGRAPH)
    messages = sum(f.kind == "comm_msg" and f.direction == "in" for f in wire.frames)
    return Told(wire.bytes() / 1e6, cpu, messages / took, main / took, longest)


def _per_delta(bench: Bench) -> Told:
    page, wire = bench.page, bench.wire
    page.run(SHOW_PEER)
    place = page.cell(SHOW_PEER).locator(".per-delta")
    expect(place).to_be_attached()
    wire.clear()
    cpu = bench.value(RUN_PEER)
    page.page.wait_for_function(
        "([length]) => document.querySelector('.per-delta').textContent.length === length",
        arg=[WIDTH * QUARTER],
    )
    return Told(wire.bytes() / 1e6, cpu)


def _measured(seed: int) -> Rounds:
    rounds = Rounds()
    with opened() as bench:
        bench.notebook(AGENT % (seed, PARAGRAPH, PER_SECOND), *CELLS)
        bench.page.run(1)
        for deltas, cell in ((QUARTER, ALONE_QUARTER), (DELTAS, ALONE_WHOLE)):
            rounds.alone[deltas] = bench.value(cell)
        for number in range(FEWEST):
            if number % 2:
                rounds.peer.append(_per_delta(bench))
            rounds.ours[QUARTER].append(_in_a_chat(bench, QUARTER))
            if number in WHOLE_ROUNDS:
                rounds.ours[DELTAS].append(_in_a_chat(bench, DELTAS))
            if not number % 2:
                rounds.peer.append(_per_delta(bench))
    return rounds


async def deltas(seed: int) -> list[Row]:
    """Return the rows; they take some minutes, since the deltas come as they are written."""
    rounds = await asyncio.to_thread(_measured, seed)
    quarter, whole = rounds.ours[QUARTER], rounds.ours[DELTAS]
    small = [quarter[number] for number in WHOLE_ROUNDS]
    exponents = [
        math.log(large.megabytes / told.megabytes, 4)
        for large, told in zip(whole, small, strict=True)
    ]
    return [
        Row(
            f"{DELTAS:,} deltas in a chat, kernel to page",
            [told.megabytes for told in whole],
            0.9,
            at_least=False,
            unit="MB",
            exponents=exponents,
        ),
        _bound("the same, kernel's CPU above the agent's", rounds.cpu(DELTAS), "s", 1.3),
        _bound("the same, messages to the page", [told.messages for told in whole], "/s", 30),
        _bound("the same, main thread of each second", [told.page for told in whole], "s", 0.25),
        _bound(
            "the same, longest task of 50 ms or more", [told.longest for told in whole], "ms", 50
        ),
        _beside(
            f"{QUARTER:,} deltas, kernel to page",
            [told.megabytes for told in quarter],
            [told.megabytes for told in rounds.peer],
        ),
        _beside(
            f"{QUARTER:,} deltas, kernel's CPU with the agent's",
            [told.cpu for told in quarter],
            [told.cpu for told in rounds.peer],
        ),
    ]


def _bound(what: str, values: list[float], unit: str, goal: float) -> Row:
    return Row(what, values, goal, at_least=False, unit=unit)


def _beside(what: str, ours: list[float], peer: list[float]) -> Row:
    ratios = [own / theirs for own, theirs in zip(ours, peer, strict=True)]
    return Row(what, ratios, None, at_least=False, over="a message per delta")

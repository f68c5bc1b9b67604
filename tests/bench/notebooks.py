"""Row 15, and a long chat: what a notebook's file, and the page that shows it, have to bear.

Most figures are no ratios: they stand for themselves, in the unit that the row names.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import Final

from playwright.sync_api import expect

from tests.bench.lab import figures, opened
from tests.bench.measure import Row
from tests.bench.page_answers import Writer
from tests.ui.chatting import ChatOnPage
from tests.ui.tasks import LongTasks

TURNS: Final = 250
RUNS: Final = 20
LENGTH: Final = 2000


def agents(seed: int) -> str:
    """Return a cell with an agent that always gives the same answer."""
    return f"""\
import json, agentnb

def page(prompt):
    return {Writer(seed).answer(LENGTH)!r}

Page = agentnb.agent(page)
"""


# -- row 15 --------------------------------------------------------------------------------------

RAN: Final = "%%agent Page\nHow was the quarter?"
SIZE: Final = "len(json.dumps(_.to_dict()))"


def _saved_runs(seed: int) -> list[Row]:
    sizes: dict[int, list[int]] = {}
    transcript = 0
    with opened() as bench:
        for more in (0, RUNS // 4, RUNS):
            page = bench.notebook(agents(seed), *[RAN] * (1 + more), SIZE)
            page.run(1)
            for cell in range(2, 3 + more):
                page.run(cell)
            expect(page.static(2 + more)).to_be_visible()
            transcript = bench.value(3 + more)
            sizes[more] = [bench.saved(state=state) for state in (False, True)]
            bench.server.end_kernels()
    one = sizes[0]

    def growth(what: str, *, state: bool, above: int, goal: float) -> Row:
        first, fewer, more = (sizes[runs][state] for runs in (0, RUNS // 4, RUNS))
        of_transcript = ((more - first) / RUNS - above) / transcript
        exponent = math.log((more - first) / (fewer - first), 4)
        return Row(
            what, [of_transcript], goal, at_least=False, over="its transcript", exponents=[exponent]
        )

    return [
        growth("growth of a notebook per run, above 4 kB", state=False, above=4096, goal=3),
        *figures(
            (f"a run of {transcript:,} bytes: notebook with one", one[0] / 1e3, "kB", 20),
            (f"notebook with {RUNS} more", sizes[RUNS][0] / 1e3, "kB", 400),
        ),
        growth("with widget state, growth per run", state=True, above=0, goal=6),
        *figures(
            ("with widget state, one run", one[1] / 1e3, "kB", 300),
            (f"with widget state, {RUNS} more", sizes[RUNS][1] / 1e3, "kB", 800),
        ),
    ]


async def saved_runs(seed: int) -> list[Row]:
    """Row 15: what a finished ``%%agent`` run adds to the notebook's file."""
    return await asyncio.to_thread(_saved_runs, seed)


# -- a long chat ---------------------------------------------------------------------------------

TALK: Final = f"""\
chat = agentnb.chat(page)
for number in range({TURNS}):
    chat.send(f"How was quarter {{number}}?").wait()
len(chat.messages)"""
SAID: Final = "sum(len(m['content'].encode()) for m in chat.messages)"


def _long_chat(seed: int) -> list[Row]:
    with opened() as bench:
        page, wire = bench.page, bench.wire
        bench.notebook(agents(seed), TALK, SAID, "chat")
        page.run(1)
        wire.clear()
        with bench.main_thread() as busy:
            assert bench.value(2) == 2 * TURNS
            talked = busy()
        told = wire.bytes()
        said = bench.value(3)
        tasks = LongTasks(page.page)
        with bench.main_thread() as busy:
            start = time.monotonic()
            page.start(4)
            chat = ChatOnPage(page, 4)
            expect(chat.answer(TURNS)).to_be_visible()
            opened_s = time.monotonic() - start
            expect(chat.element.locator(".agentnb-compact")).to_have_count(TURNS)
            drawn_s = time.monotonic() - start
            drawn = busy()
        longest = max(tasks.take(), default=50)
        page.until_idle()
        chat.field.click()
        tasks.take()
        with bench.main_thread() as busy:
            wire.clear()
            chat.keyboard.insert_text("And the next?")
            chat.keyboard.press("Enter")
            # Not searched for: that would take time of the same thread.
            page.page.wait_for_timeout(2000)
            next_cost, next_bytes = busy(), wire.bytes()
        longest_next = max(tasks.take(), default=50)
        chat.until(TURNS + 1)
        page.save()
        wire.clear()
        start = time.monotonic()
        page.reload()
        ready_s = time.monotonic() - start
        tasks = LongTasks(page.page)
        expect(chat.answer(TURNS + 1)).to_be_visible()
        reload_s = time.monotonic() - start
        expect(chat.element.locator(".agentnb-compact")).to_have_count(TURNS + 1)
        whole_s = time.monotonic() - start
        longest_reload = max(tasks.take(), default=50)
        reload_bytes = wire.bytes("in")
        plain, state = (bench.saved(state=state) for state in (False, True))
    return figures(
        (f"{2 * TURNS} messages said by code, bytes, of the text", told / said, "", 8),
        ("the same, page's main thread", talked, "s", 5),
        ("shown, until the last answer", opened_s, "s", 2),
        ("shown, until all is drawn", drawn_s, "s", 10),
        ("shown, page's main thread", drawn, "s", 10),
        ("shown, longest task", longest, "ms", 200),
        ("the next answer, main thread", next_cost, "s", 1),
        ("the next answer, longest task", longest_next, "ms", 100),
        ("the next answer, kernel and page", next_bytes / 1e3, "kB", 20),
        ("loaded again, until the notebook is ready", ready_s, "s", 20),
        ("loaded again, until the last answer", reload_s, "s", 20),
        ("loaded again, until all is drawn", whole_s, "s", 30),
        ("loaded again, longest task once it is ready", longest_reload, "ms", 400),
        ("loaded again, bytes to the page, of the text", reload_bytes / said, "", 3),
        ("saved, bytes, of the text", plain / said, "", 3),
        ("saved with widget state, bytes, of the text", state / said, "", 6),
    )


async def long_chat(seed: int) -> list[Row]:
    """A chat of 500 messages: shown, gone on with, loaded again and saved."""
    return await asyncio.to_thread(_long_chat, seed)

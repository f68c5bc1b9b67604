"""Rows 7, 10 and 15, and a long chat: what a notebook's page, kernel and file have to bear.

Most figures are no ratios: they stand for themselves, in the unit that the row names.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import bootstrap
from playwright.sync_api import BrowserContext, expect, sync_playwright

from agentnb.widgets.code import bundle
from tests.bench.measure import Row
from tests.ui.chatting import ChatOnPage
from tests.ui.frontend import NotebookPage
from tests.ui.opener import Opener
from tests.ui.server import JupyterServer
from tests.ui.tasks import LongTasks
from tests.ui.wire import Wire

DELTAS: Final = 20_000
PER_SECOND: Final = 500
TURNS: Final = 250
RUNS: Final = 20
WAIT_MS: Final = 120_000
SAVE_STATE: Final = "lab/api/settings/@jupyter-widgets/jupyterlab-manager:plugin"

SENTENCE: Final = "Revenue grew by **12.4 %** over the year, mostly in *services*. "
PAGE: Final = "\n\n".join(
    (
        "## Summary",
        SENTENCE * 3,
        "| Segment | Revenue |\n|---|---:|" + "\n| Services | 1,204.5 |" * 6,
        "```python" + "\ngrowth = (now - before) / before  # in parts" * 8 + "\n```",
        "\n".join(f"{n}. The figures of `part_{n}` were read and compared." for n in range(1, 7)),
        SENTENCE * 18,
    )
)[:2000]

AGENTS: Final = f"""\
import asyncio, json, time, agentnb

async def deltas(prompt):
    start = time.monotonic()
    for number in range({DELTAS}):
        yield f"{{number:04d}} "[-5:] if number % 80 else "\\n\\nNo "
        ahead = start + number / {PER_SECOND} - time.monotonic()
        if ahead > 0.01:
            await asyncio.sleep(ahead)

def page(prompt):
    return {PAGE!r}

Page = agentnb.agent(page)
"""


def figures(*values: tuple[str, float, float]) -> list[Row]:
    """Return rows of things that should be at most so much."""
    return [Row(what, [value], goal, at_least=False) for what, value, goal in values]


@dataclass(frozen=True)
class Bench:
    """An open page of JupyterLab, and what measures it."""

    context: BrowserContext
    server: JupyterServer
    page: NotebookPage
    wire: Wire
    notebook: Opener

    def value(self, cell: int) -> Any:
        """Run a cell and return its value, which is JSON."""
        self.page.run(cell)
        [output] = self.page.outputs(cell)
        assert "data" in output, output
        return json.loads(output["data"]["text/plain"])

    @contextmanager
    def main_thread(self) -> Generator[Callable[[], float], None, None]:
        """Yield what tells for how many seconds the page's main thread was busy since."""
        session: Any = self.context.new_cdp_session(self.page.page)
        session.send("Performance.enable")

        def busy() -> float:
            told = session.send("Performance.getMetrics")
            return next(m["value"] for m in told["metrics"] if m["name"] == "TaskDuration")

        before = busy()
        try:
            yield lambda: busy() - before
        finally:
            session.detach()

    def saved(self, *, state: bool) -> int:
        """Save the notebook, with the state of its widgets or without; return its size."""
        self.page.save()
        if state:
            self.server.ask("PUT", SAVE_STATE, {"raw": json.dumps({"saveState": True})})
            # The page asks for its settings as it is loaded, and for its widgets.
            self.page.reload()
            self.page.page.wait_for_timeout(3000)
            self.page.save()
            self.server.ask("PUT", SAVE_STATE, {"raw": "{}"})
        return self.page.path.stat().st_size


@contextmanager
def opened() -> Generator[Bench, None, None]:
    expect.set_options(timeout=WAIT_MS)
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        server = JupyterServer.start(Path(home))
        try:
            browser = playwright.chromium.launch(
                executable_path=bootstrap.chromium(),
                args=["--disable-gpu"],
                chromium_sandbox=not bootstrap.is_root(),
            )
            context = browser.new_context(viewport={"width": 1000, "height": 900})
            context.set_default_timeout(WAIT_MS)
            page = NotebookPage(context.new_page(), server, "lab")
            wire = Wire(page.page)
            yield Bench(context, server, page, wire, Opener(page, server))
            browser.close()
        finally:
            server.stop()


# -- row 7 ---------------------------------------------------------------------------------------

CPU: Final = "time.process_time()"
ALONE: Final = f"""\
before = {CPU}
run = agentnb.agent(deltas).start("Count.")
while not run.done:
    await asyncio.sleep(0.5)
{CPU} - before"""


def _deltas() -> list[Row]:
    with opened() as bench:
        page, wire = bench.page, bench.wire
        bench.notebook(
            AGENTS,
            ALONE,
            "chat = agentnb.chat(deltas)\nchat",
            CPU,
            CPU,
            "len(chat.messages[-1]['content'])",
        )
        page.run(1)
        # The agent runs in the kernel, too: what it costs by itself is not the view's.
        alone = bench.value(2)
        page.run(3)
        chat = ChatOnPage(page, 3)
        expect(chat.field).to_be_visible()
        before = bench.value(4)
        wire.clear()
        tasks = LongTasks(page.page)
        with bench.main_thread() as busy:
            start = time.monotonic()
            chat.ask("Count.")
            # To look for the end means to search the page, which takes time of the same thread.
            page.page.wait_for_timeout(DELTAS / PER_SECOND * 1000 + 1000)
            took = time.monotonic() - start
            main = busy()
        longest = max(tasks.take(), default=50)
        chat.until(1)
        cpu = bench.value(5) - before - alone
        length = bench.value(6)
        shown = len(chat.answer(1).text_content() or "")
        assert length == 5 * DELTAS
        # Paragraphs are not shown with the breaks between them, nor with spaces at their ends.
        assert shown >= length - 4 * (DELTAS // 80)
        messages = sum(f.kind == "comm_msg" and f.direction == "in" for f in wire.frames)
        return figures(
            (f"{DELTAS:,} deltas in a chat: MB between kernel and page", wire.bytes() / 1e6, 0.9),
            ("the same, s of the kernel's CPU above the agent's", cpu, 1.3),
            ("the same, messages to the page per s", messages / took, 30),
            ("the same, s of the page's main thread of each", main / took, 0.25),
            ("the same, longest task in ms (those below 50 not told)", longest, 50),
        )


async def deltas() -> list[Row]:
    """Row 7: an answer of 20,000 deltas at 500/s, in a chat."""
    return await asyncio.to_thread(_deltas)


# -- row 10 --------------------------------------------------------------------------------------


async def code() -> list[Row]:
    """Row 10: the code of the views."""
    sizes = [len(gzip.compress(bundle(name).read_bytes())) for name in ("widget.js", "loader.js")]
    return figures(
        ("the views' code, kB gzipped, once per notebook", sizes[0] / 1e3, 60),
        ("the loader of each widget, kB gzipped", sizes[1] / 1e3, 2),
    )


# -- row 15 --------------------------------------------------------------------------------------

RAN: Final = "%%agent Page\nHow was the quarter?"
SIZE: Final = "len(json.dumps(_.to_dict()))"


def _saved_runs() -> list[Row]:
    sizes: dict[tuple[int, bool], int] = {}
    transcript = 0
    with opened() as bench:
        for count in (1, RUNS):
            page = bench.notebook(AGENTS, *[RAN] * count, SIZE)
            page.run(1)
            for cell in range(2, 2 + count):
                page.run(cell)
            expect(page.static(1 + count)).to_be_visible()
            transcript = bench.value(2 + count)
            for state in (False, True):
                sizes[count, state] = bench.saved(state=state)
            bench.server.end_kernels()
    grown = {s: (sizes[RUNS, s] - sizes[1, s]) / (RUNS - 1) for s in (False, True)}
    return figures(
        (
            f"a run's transcript of {transcript:,} bytes: notebook with one, kB",
            sizes[1, False] / 1e3,
            20,
        ),
        (f"notebook with {RUNS} of them, kB", sizes[RUNS, False] / 1e3, 400),
        ("growth per run above 4 kB, of the transcript", (grown[False] - 4096) / transcript, 3),
        ("with widget state, one run, kB", sizes[1, True] / 1e3, 300),
        (f"with widget state, {RUNS} runs, kB", sizes[RUNS, True] / 1e3, 800),
        ("with widget state, growth per run, of the transcript", grown[True] / transcript, 6),
    )


async def saved_runs() -> list[Row]:
    """Row 15: what a finished ``%%agent`` run adds to the notebook's file."""
    return await asyncio.to_thread(_saved_runs)


# -- a long chat ---------------------------------------------------------------------------------

TALK: Final = f"""\
chat = agentnb.chat(page)
for number in range({TURNS}):
    chat.send(f"How was quarter {{number}}?").wait()
len(chat.messages)"""
SAID: Final = "sum(len(m['content'].encode()) for m in chat.messages)"


def _long_chat() -> list[Row]:
    with opened() as bench:
        page, wire = bench.page, bench.wire
        bench.notebook(AGENTS, TALK, SAID, "chat")
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
            # Not searched for: see above.
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
        (f"{2 * TURNS} messages, said by code: bytes to the page, of the text", told / said, 8),
        ("the same, s of the page's main thread", talked, 5),
        ("shown: s to the last answer", opened_s, 2),
        ("shown: s until all is drawn", drawn_s, 10),
        ("shown: s of the page's main thread", drawn, 10),
        ("shown: longest task in ms", longest, 200),
        ("the next question and answer: s of the main thread", next_cost, 1),
        ("the next: longest task in ms", longest_next, 100),
        ("the next: kB between kernel and page", next_bytes / 1e3, 20),
        ("loaded again: s until the notebook is ready", ready_s, 20),
        ("loaded again: s to the last answer", reload_s, 20),
        ("loaded again: s until all is drawn", whole_s, 30),
        ("loaded again: longest task in ms after the notebook is ready", longest_reload, 400),
        ("loaded again: bytes to the page, of the text", reload_bytes / said, 3),
        ("saved: bytes of the notebook, of the text", plain / said, 3),
        ("saved with widget state: bytes of the notebook, of the text", state / said, 6),
    )


async def long_chat() -> list[Row]:
    """A chat of 500 messages: shown, gone on with, loaded again and saved."""
    return await asyncio.to_thread(_long_chat)

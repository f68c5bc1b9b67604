"""Rows 8, 9 and 9b: what a growing answer costs the main thread of the page that shows it.

An answer arrives in frames of some characters.  Each is shown and laid out before the next one
comes, and nothing is painted: how often that is done depends on the screen, and not on the answer.
"""

from __future__ import annotations

import gzip
import subprocess
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import bootstrap
from playwright.async_api import Page, async_playwright

from tests.bench.measure import Cost, Row, cost, figure
from tests.bench.page_answers import Writer

SOURCES: Final = Path(__file__).parent / "page"
SIZE: Final = 20_000
LONG: Final = 200_000
ROUNDS: Final = 7
LONGEST_MS: Final = 50
TEXT: Final = "text"
NAMES: Final = {TEXT: "plain text"}
PAGE: Final = "<!doctype html><style>.host { visibility: hidden }</style><body></body>"
PEERS: Final = ("streamdown", "marked", "markdown-it", "streaming-markdown")


def build(target: Path) -> None:
    """Bundle ours and the peers, which are installed if they are not, into a folder."""
    command = [bootstrap.tool_path("node"), "build.mjs", str(bootstrap.ensure_peers()), str(target)]
    subprocess.run(command, cwd=SOURCES, env=bootstrap.environment(), check=True)


def peer_sizes() -> dict[str, int]:
    """Return how many bytes of code each peer needs, gzipped, with all that it stands on."""
    with tempfile.TemporaryDirectory(prefix="agentnb-bench-") as folder:
        build(Path(folder))
        return {name: len(gzip.compress(Path(folder, f"{name}.js").read_bytes())) for name in PEERS}


@dataclass(frozen=True)
class Track:
    """A page on which contenders show answers; ``longest`` notes the longest task of each race."""

    page: Page
    session: Any  # of the browser's own protocol, whose answers are untyped
    longest: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def race(self, name: str, text: str, size: int, *, laid_out: bool = True) -> Cost:
        """Return what measures the main thread's seconds for ``text`` in frames of ``size``.

        They are of its own CPU: what else the machine does is not in them.  Where nothing is
        ``laid_out``, they are what the contender itself does.
        """

        async def run() -> float:
            await self.page.evaluate(
                "([name, laidOut]) => openContender(name, laidOut)", [name, laid_out]
            )
            await self.session.send("HeapProfiler.collectGarbage")
            before = await self._busy()
            told: dict[str, Any] = await self.page.evaluate(
                "([text, size]) => race(text, size)", [text, size]
            )
            took = await self._busy() - before
            await self.page.evaluate("() => closeContender()")
            # Marks are not shown; the letters are, or it would be no race.
            assert told["shown"] > 0.8 * len(text), (name, told)
            if laid_out:
                self.longest.setdefault(name, []).append(told["longest"])
            return took

        return run

    async def _busy(self) -> float:
        told: dict[str, Any] = await self.session.send("Performance.getMetrics")
        return next(m["value"] for m in told["metrics"] if m["name"] == "TaskDuration")


@asynccontextmanager
async def opened() -> AsyncGenerator[Track, None]:
    """Yield a page with all contenders, in a browser of its own."""
    with tempfile.TemporaryDirectory(prefix="agentnb-bench-") as folder:
        build(Path(folder))
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=bootstrap.chromium(),
                args=["--disable-gpu"],
                chromium_sandbox=not bootstrap.is_root(),
            )
            page = await browser.new_page(viewport={"width": 1000, "height": 900})
            await page.set_content(PAGE)
            await page.add_style_tag(path=Path(folder, "ours.css"))
            for name in ("race", "ours", TEXT, *PEERS):
                await page.add_script_tag(path=Path(folder, f"{name}.js"))
            session: Any = await page.context.new_cdp_session(page)
            await session.send("Performance.enable", {"timeDomain": "threadTicks"})
            yield Track(page, session)
            await browser.close()


async def answer(seed: int) -> list[Row]:
    """Row 8: 20 kB in frames of 40 characters."""
    text = Writer(seed).answer(SIZE)
    what = "a 20 kB answer in 40-character frames, main thread"
    async with opened() as track:
        rows = await _grown(track, what, text, 40, over="streamdown", goal=0.45, limit=TEXT)
        ours = track.race("ours", text, 40)
        for peer in PEERS[1:]:
            theirs = track.race(peer, text, 40)
            rows.append(await cost(what, ours, theirs, over=peer, goal=None, rounds=ROUNDS))
        return [*rows, _longest(track)]


async def long_answer(seed: int) -> list[Row]:
    """Row 9: 200 kB in frames of 400 characters."""
    text = Writer(seed).answer(LONG)
    what = "a 200 kB answer in 400-character frames, main thread"
    async with opened() as track:
        rows = await _grown(track, what, text, 400, over="streamdown", goal=0.35, limit=TEXT)
        return [*rows, _longest(track)]


async def blocks(seed: int) -> list[Row]:
    """Row 9b: a single block of 20 kB in frames of 40 characters."""
    writer = Writer(seed)
    texts = {
        "list": (writer.items(SIZE), 3),
        "fence": (writer.code(SIZE), 2),
        "paragraph": (writer.prose(SIZE), 3),
    }
    rows: list[Row] = []
    async with opened() as track:
        for kind, (text, goal) in texts.items():
            what = f"a {kind} of 20 kB in 40-character frames, main thread"
            rows += await _grown(
                track, what, text, 40, over=TEXT, goal=goal, limit="streaming-markdown"
            )
        return [*rows, _longest(track)]


async def _grown(
    track: Track, what: str, text: str, size: int, *, over: str, goal: float, limit: str
) -> list[Row]:
    """Return what a text costs beside a peer, and how that grows from a quarter of it.

    A browser looks at all that it has laid out before, at each block and at each line of the one
    that grows, so that even plain text costs more and more.  What is to be linear is the work of
    the view itself; how both grow together with the layout is told as well.
    """
    quarter = text[: len(text) // 4]

    async def growing(what: str, name: str, *, laid_out: bool) -> Row:
        whole, part = (track.race(name, t, size, laid_out=laid_out) for t in (text, quarter))
        return await figure(what, whole, unit="s", goal=None, quarter=part, rounds=ROUNDS)

    ours, plain = [await growing(what, name, laid_out=True) for name in ("ours", TEXT)]
    return [
        await cost(
            what,
            track.race("ours", text, size),
            track.race(over, text, size),
            over=NAMES.get(over, over),
            goal=goal,
            limit=track.race(limit, text, size),
            limit_of=NAMES.get(limit, limit),
            rounds=ROUNDS,
        ),
        await growing("the same, without layout", "ours", laid_out=False),
        Row(
            "the same, exponent with layout",
            ours.exponents,
            None,
            at_least=False,
            limit=plain.exponents,
            limit_of=NAMES[TEXT],
        ),
    ]


def _longest(track: Track) -> Row:
    return Row(
        "the same, longest task", track.longest["ours"], LONGEST_MS, at_least=False, unit="ms"
    )

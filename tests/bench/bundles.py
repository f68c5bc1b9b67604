"""Row 10: the code that a page needs for a run's view."""

from __future__ import annotations

import asyncio
import gzip
from typing import Final

from agentnb.widgets.code import bundle
from tests.bench.measure import Row
from tests.bench.pages import peer_sizes

MOST_KB: Final = 60.0
LOADER_KB: Final = 2.0
SMALLEST: Final = "streaming-markdown"


async def code(_seed: int) -> list[Row]:
    """Sizes are no matter of chance: each is measured once."""
    peers = await asyncio.to_thread(peer_sizes)
    run, views, loader = (
        len(gzip.compress(bundle(name).read_bytes())) / 1e3
        for name in ("run.js", "widget.js", "loader.js")
    )
    smallest = peers[SMALLEST] / 1e3
    return [
        Row(
            "code of a run's view, gzipped, once per notebook",
            [run],
            MOST_KB,
            at_least=False,
            unit="kB",
            limit=[smallest],
            limit_of=SMALLEST,
        ),
        Row(
            "code of the loader, gzipped, in each cell",
            [loader],
            LOADER_KB,
            at_least=False,
            unit="kB",
        ),
        Row(
            "code of all views, gzipped, once others are shown",
            [views],
            None,
            at_least=False,
            unit="kB",
        ),
        *(
            Row("code of a run's view, gzipped", [run * 1e3 / size], None, over=name)
            for name, size in peers.items()
        ),
    ]

"""`python -m tests.bench [row ...]`: agentnb beside its peers, measured in turn in one run.

What was measured goes into a file of JSON and a picture.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import traceback
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from importlib import import_module
from pathlib import Path
from typing import Final

import surroundings

from tests.bench.inputs import SEED
from tests.bench.machine import described, load
from tests.bench.measure import Bench
from tests.bench.picture import draw
from tests.bench.report import HEAD, Measured, document, line, write

# Each row's module, imported only when it is wanted, and its function there.
ROWS: Final[dict[str, tuple[str, str]]] = {
    "1": ("decoding", "bytes_to_events"),
    "2": ("streaming", "throughput"),
    "3": ("streaming", "fast_throughput"),
    "4": ("streaming", "latency"),
    "5": ("streaming", "second_run"),
    "6": ("many", "streams"),
    "7": ("page_deltas", "deltas"),
    "8": ("pages", "answer"),
    "9": ("pages", "long_answer"),
    "9b": ("pages", "blocks"),
    "10": ("bundles", "code"),
    "11": ("kernels", "first_cell"),
    "12": ("recording", "recorded"),
    "13": ("history", "a_million_runs"),
    "14": ("prompts", "table"),
    "15": ("notebooks", "saved_runs"),
    "chat": ("notebooks", "long_chat"),
}
JSON: Final = Path("build", "bench", "bench.json")
PICTURE: Final = Path("build", "bench", "bench.svg")


async def measured(wanted: Sequence[str], *, seed: int) -> AsyncGenerator[list[Measured]]:
    """Measure the rows one after the other; one that cannot be measured holds up no other."""
    for number in wanted:
        module, name = ROWS[number]
        before = load()[0]
        try:
            bench: Bench = getattr(import_module(f"tests.bench.{module}"), name)
            found = await bench(seed)
        except Exception:
            print(f"{number:>4}  could not be measured:", flush=True)
            traceback.print_exc()
            found = []
        yield [Measured(number, row, before) for row in found]


async def tell(wanted: Sequence[str], *, seed: int, json: Path, picture: Path) -> int:
    """Print each row as soon as it is known, and have all so far in the files; count the missed.

    Half an hour of figures should not be lost to what happens after them.
    """
    print(HEAD)
    machine = described()
    known: list[Measured] = []
    missed = 0
    async with aclosing(measured(wanted, seed=seed)) as rows:
        async for found in rows:
            for one in found:
                print(line(one), flush=True)
            missed += sum(not one.row.met for one in found) if found else 1
            known += found
            told = document(known, machine=machine, seed=seed)
            write(json, told)
            draw(told, picture)
    return missed


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {', '.join(ROWS)} (all)")
    parser.add_argument("--seed", type=int, default=SEED, help="makes the inputs (%(default)s)")
    parser.add_argument("--json", type=Path, default=JSON, metavar="FILE", help="(%(default)s)")
    parser.add_argument(
        "--picture", type=Path, default=PICTURE, metavar="FILE", help="(%(default)s)"
    )
    options = parser.parse_args(arguments)
    wanted: list[str] = options.rows or list(ROWS)
    if unknown := sorted(set(wanted) - set(ROWS)):
        parser.error(f"no such row: {', '.join(unknown)}; there are {', '.join(ROWS)}")
    with tempfile.TemporaryDirectory(prefix="agentnb-bench-", ignore_cleanup_errors=True) as home:
        private = surroundings.clean(os.environ, home=Path(home))
        # What is installed is compiled once, and not at every import.
        private.pop("PYTHONDONTWRITEBYTECODE", None)
        private["PYTHONPYCACHEPREFIX"] = str(Path(home, "compiled"))
        os.environ.clear()
        os.environ.update(private)
        missed = asyncio.run(
            tell(wanted, seed=options.seed, json=options.json, picture=options.picture)
        )
    print("All goals met." if not missed else f"{missed} missed.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

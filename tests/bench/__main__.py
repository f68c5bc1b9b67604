"""`python -m tests.bench [row ...]`: agentnb beside its peers, measured in turn in one run.

What was measured goes into a file of JSON and a picture.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
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


async def measured(wanted: Sequence[str], *, seed: int) -> list[Measured]:
    """Measure the rows one after the other, and print each as soon as it is known."""
    print(HEAD)
    found: list[Measured] = []
    for number in wanted:
        module, name = ROWS[number]
        bench: Bench = getattr(import_module(f"tests.bench.{module}"), name)
        before = load()[0]
        for row in await bench(seed):
            found.append(Measured(number, row, before))
            print(line(found[-1]), flush=True)
    return found


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
    machine = described()
    with tempfile.TemporaryDirectory(prefix="agentnb-bench-", ignore_cleanup_errors=True) as home:
        private = surroundings.clean(os.environ, home=Path(home))
        # What is installed is compiled once, and not at every import.
        private.pop("PYTHONDONTWRITEBYTECODE", None)
        private["PYTHONPYCACHEPREFIX"] = str(Path(home, "compiled"))
        os.environ.clear()
        os.environ.update(private)
        found = asyncio.run(measured(wanted, seed=options.seed))
    told = document(found, machine=machine, seed=options.seed)
    write(options.json, told)
    draw(told, options.picture)
    missed = sum(not one.row.met for one in found)
    print("All goals met." if not missed else f"{missed} missed.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

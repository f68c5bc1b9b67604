"""`python -m tests.fuzz [--seconds N] [--seed N]`: damaged streams until the time is over."""

from __future__ import annotations

import argparse
import secrets
import sys
import time

from tests.fuzz.checks import DECODERS, check
from tests.fuzz.mutations import Mutator
from tests.platforms.recorded import by_name


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="how long in all (300)")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="random by default")
    asked = parser.parse_args(argv)
    print(f"seed {asked.seed}", flush=True)
    for platform in DECODERS:
        mutator = Mutator(list(by_name(platform).values()), seed=asked.seed)
        end = time.monotonic() + asked.seconds / len(DECODERS)
        streams = size = events = 0
        while time.monotonic() < end:
            data = mutator.stream()
            chunks = mutator.chunks(data)
            try:
                events += check(platform, chunks)
            except Exception:
                print(f"{platform}: failed on {chunks!r}", flush=True)
                raise
            streams += 1
            size += len(data)
        print(f"{platform}: {streams:,} streams, {size:,} bytes, {events:,} events", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

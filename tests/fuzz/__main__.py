"""`python -m tests.fuzz [--seconds N] [--seed N]`: damaged streams, hostile and slow Markdown."""

from __future__ import annotations

import argparse
import secrets
import sys
import time

from agentnb.render.markdown_sanitizer import sanitize_markdown
from tests.faults.hostile_readers import READERS, check_document, in_jupyterlab
from tests.fuzz.checks import DECODERS, check
from tests.fuzz.links import Documents
from tests.fuzz.mutations import Mutator
from tests.fuzz.shapes import SIZE, Shapes, slowest
from tests.platforms.recorded import by_name

_BATCH = 500
_WORST = 5


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="how long in all (300)")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="random by default")
    asked = parser.parse_args(argv)
    print(f"seed {asked.seed}", flush=True)
    for platform in DECODERS:
        mutator = Mutator(list(by_name(platform).values()), seed=asked.seed)
        end = time.monotonic() + asked.seconds / (len(DECODERS) + 2)
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
    documents = Documents(seed=asked.seed)
    end = time.monotonic() + asked.seconds / (len(DECODERS) + 2)
    count = 0
    while time.monotonic() < end:
        check_documents([documents.make() for _ in range(_BATCH)])
        count += _BATCH
    print(f"Markdown: {count:,} documents", flush=True)
    shapes = Shapes(seed=asked.seed)
    end = time.monotonic() + asked.seconds / (len(DECODERS) + 2)
    taken: list[tuple[float, str, str]] = []
    while time.monotonic() < end:
        text, name = shapes.make()
        taken.append((*slowest(text), name))
    print(f"Rendering: {len(taken):,} texts of {SIZE:,} characters, the slowest of them:")
    for seconds, output, name in sorted(taken, reverse=True)[:_WORST]:
        print(f"  {seconds * 1000:.0f} ms of CPU as {output}: {name}", flush=True)
    return 0


def check_documents(texts: list[str]) -> None:
    """Hold exported Markdown to what must hold of it in all renderers."""
    made = [sanitize_markdown(text) for text in texts]
    rendered = [
        (text, render(one))
        for render in READERS.values()
        for text, one in zip(texts, made, strict=True)
    ]
    rendered += zip(texts, in_jupyterlab(made), strict=True)
    for text, html in rendered:
        try:
            check_document(html)
        except AssertionError:
            print(f"Markdown: failed on {text!r}", flush=True)
            raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

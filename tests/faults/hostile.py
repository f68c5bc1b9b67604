"""Text that wants to be more than text, and what it would reach out to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from tests.render.samples import ATTACKS, expanded

# Whatever is loaded from here was loaded because a text said so.
HOST: Final = "attacker.example"
# Beside the cases that renderers of Markdown are known by, what concerns these outputs.
OWN: Final[dict[str, str]] = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))

_SHORTENED: Final = 20_000


def texts() -> dict[str, str]:
    """Return every hostile text by name, the longest of them shortened."""
    known = {f"{case['category']}: {case['name']}": expanded(case["markdown"]) for case in ATTACKS}
    return {name: text[:_SHORTENED] for name, text in (known | OWN).items()}

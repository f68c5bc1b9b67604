"""Renderers of Markdown that are in use, as they are set up there, and what none may make of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

import mistune
from markdown_it import MarkdownIt
from nbconvert.filters.markdown_mistune import markdown2html_mistune

from tests.faults.test_rendering import ACTING
from tests.render.harmless import TAGS
from tests.render.samples import read

__all__ = ["READERS", "check_document", "in_jupyterlab"]

# All take raw HTML and every image as they come.
_commonmark = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
_commonmark.validateLink = lambda url: True
_mistune = cast(
    "Callable[[str], str]",
    mistune.create_markdown(
        escape=False, plugins=["table", "strikethrough", "footnotes", "task_lists", "url"]
    ),
)
READERS: Final[dict[str, Callable[[str], str]]] = {
    "commonmark": _commonmark.render,
    "mistune": _mistune,
    "nbconvert": cast("Callable[[str], str]", markdown2html_mistune),
}

_WRITTEN: Final = (TAGS - {"small"}) | {
    *("h1", "h2", "sub", "del", "sup", "section", "input", "dl", "dt", "dd")
}
_FOLLOWED: Final = re.compile(r"(?i)(https?://|mailto:|#)")
_SCRIPT: Final = Path(__file__).with_name("hostile_jupyterlab.mjs")


def in_jupyterlab(texts: list[str]) -> list[str]:
    """Return each text as the JupyterLab of this environment renders it, not yet sanitized."""
    static = Path(sys.prefix) / "share" / "jupyter" / "lab" / "static"
    done = subprocess.run(
        ["node", str(_SCRIPT), str(static)],
        input=json.dumps(texts),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )
    return cast("list[str]", json.loads(done.stdout))


def check_document(rendered: str) -> None:
    """Check that nothing in this HTML loads or runs anything, or leads where it may not."""
    made = read(rendered)
    assert made.others == []
    assert not ACTING.search(made.text)
    assert made.names() <= _WRITTEN
    for tag, attributes in made.elements:
        # A list of tasks is drawn with boxes.
        if tag == "input":
            assert attributes["type"] == "checkbox"
        assert not attributes.keys() & {"src", "srcset", "poster", "data", "action"}
        assert str(attributes.get("style", "text-align:")).startswith("text-align:")
        assert not any(name.startswith("on") for name in attributes)
        if tag == "a":
            assert _FOLLOWED.match(str(attributes.get("href", "#"))), attributes

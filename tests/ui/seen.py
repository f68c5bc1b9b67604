"""What a test reads off a page in more than one step."""

from __future__ import annotations

import re

from tests.ui.frontend import NotebookPage


def errors(page: NotebookPage, index: int) -> list[str]:
    """The names of the exceptions that a cell shows, each of them told in a line or two."""
    found = [o for o in page.outputs(index) if o["output_type"] == "error"]
    for error in found:
        text = re.sub(r"\x1b\[[\d;]*m", "", "\n".join(error["traceback"]))
        assert len(text.strip().splitlines()) <= 2, text
    return [error["ename"] for error in found]

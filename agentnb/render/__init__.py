"""A run as text, Markdown and HTML: pure functions of a `RunView`.

`to_html` makes what a saved notebook keeps, `to_text` what a terminal shows, and `to_markdown` a
document.  All three treat whatever the run brought as data from outside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentnb._support.imports import imported

if TYPE_CHECKING:
    from agentnb.render.comparison import (
        ComparisonView,
        comparison_html,
        comparison_markdown,
        comparison_text,
    )
    from agentnb.render.html import to_html
    from agentnb.render.markdown import to_markdown
    from agentnb.render.text import to_text
    from agentnb.render.view import RunView, summary
    from agentnb.render.visible import StreamCleaner, one_line, strip_controls

__all__ = [
    "ComparisonView",
    "RunView",
    "StreamCleaner",
    "comparison_html",
    "comparison_markdown",
    "comparison_text",
    "one_line",
    "strip_controls",
    "summary",
    "to_html",
    "to_markdown",
    "to_text",
]

# Where each name is defined: nobody needs all of them, and the first question waits for none.
_WHERE = {
    "ComparisonView": "comparison",
    "RunView": "view",
    "StreamCleaner": "visible",
    "comparison_html": "comparison",
    "comparison_markdown": "comparison",
    "comparison_text": "comparison",
    "one_line": "visible",
    "strip_controls": "visible",
    "summary": "view",
    "to_html": "html",
    "to_markdown": "markdown",
    "to_text": "text",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(imported(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value

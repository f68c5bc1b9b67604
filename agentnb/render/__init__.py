"""Render a run as text, Markdown and HTML: pure functions of a `RunView`.

`to_html` makes what a saved notebook keeps, `to_text` what a terminal displays, and `to_markdown` a
document.  All three treat the content of a run as untrusted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentnb._support.fork import imported

if TYPE_CHECKING:
    from agentnb._support.text import strip_controls
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
    from agentnb.render.visible import StreamCleaner, one_line

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

# Modules loaded on first use, so that a first run waits for none of the others.
_MODULES = {
    "comparison": ("ComparisonView", *(f"comparison_{x}" for x in ("html", "markdown", "text"))),
    "html": ("to_html",),
    "markdown": ("to_markdown",),
    "text": ("to_text",),
    "view": ("RunView", "summary"),
    "visible": ("StreamCleaner", "one_line", "strip_controls"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            value = getattr(imported(f"{__name__}.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

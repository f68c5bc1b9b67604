"""A run as text, Markdown and HTML: pure functions of a `RunView`.

`to_html` makes what a saved notebook keeps, `to_text` what a terminal shows, and `to_markdown` a
document.  All three treat whatever the run brought as data from outside.
"""

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
from agentnb.render.visible import StreamCleaner, one_line, strip_controls, visible

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
    "visible",
]

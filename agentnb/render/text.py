"""A run as plain text, for terminals and ``text/plain`` outputs."""

from __future__ import annotations

from typing import Final

from agentnb.render.view import RunView, summary
from agentnb.render.visible import one_line, visible

__all__ = ["to_text"]

_LONGEST: Final = 1_000_000


def to_text(view: RunView) -> str:
    """Return the answer and one line about the run.

    No terminal sequence or control character of the run's text is in it, lines are not wrapped, and
    an answer of more than a million characters is cut with a note.
    """
    answer = view.transcript.text
    dropped = len(answer) - _LONGEST
    lines: list[str] = []
    if body := visible(answer[:_LONGEST]).strip("\n"):
        lines += [body, ""]
    if dropped > 0:
        lines += [f"({dropped:,} more characters)", ""]
    if view.transcript.failure is not None:
        lines.append(f"error: {one_line(view.transcript.failure.message, 1000)}")
    if view.notice:
        lines.append(one_line(view.notice))
    lines.append(summary(view))
    return "\n".join(lines)

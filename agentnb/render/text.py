"""A run as plain text, for terminals and ``text/plain`` outputs."""

from __future__ import annotations

from typing import Final

from agentnb.event.transcript import ToolCall
from agentnb.render.view import (
    RunView,
    approvals_shown,
    changed_note,
    decision_hint,
    error_line,
    summary,
)
from agentnb.render.visible import one_line, visible

__all__ = ["to_text"]

_LONGEST: Final = 1_000_000
# What led to the answer: how many lines of it are told, and how long each is, in characters.
_STEPS: Final = 20
_STEP: Final = 160
# Characters of the arguments that are to be approved.
_ARGUMENTS: Final = 2000


def to_text(view: RunView) -> str:
    """Return what led to the answer, the answer, and one line about the run.

    Reasoning and tool calls are a shortened line each, the last twenty of them.  No terminal
    sequence or control character of the run's text is in it, lines are not wrapped, and an answer
    of more than a million characters is cut with a note.
    """
    answer = view.transcript.text
    dropped = len(answer) - _LONGEST
    lines = _steps(view)
    if body := visible(answer[:_LONGEST]).strip("\n"):
        lines += [body, ""]
    if dropped > 0:
        lines += [f"({dropped:,} more characters)", ""]
    if (error := error_line(view)) is not None:
        lines.append(f"error: {one_line(error[1], 1000)}")
    lines += _approvals(view)
    if (hint := decision_hint(view)) is not None:
        lines.append(hint)
    if view.notice:
        lines.append(one_line(view.notice))
    lines.append(summary(view))
    return "\n".join(lines)


def _approvals(view: RunView) -> list[str]:
    lines: list[str] = []
    shown, more = approvals_shown(view)
    for approval in shown:
        # The message is the agent's account of it, the call what it is.
        said = one_line(approval.message, 1000) or "a decision is needed"
        lines.append(f"waiting for approval: {said}")
        if approval.tool or approval.arguments:
            called = one_line(approval.tool or "tool", _STEP)
            lines.append(f"  to call: {called}({one_line(approval.arguments, _ARGUMENTS)})")
        if (note := changed_note(view, approval)) is not None:
            lines.append(f"  {note}")
    return lines if more is None else [*lines, more]


def _steps(view: RunView) -> list[str]:
    steps: list[str] = []
    for part in view.transcript.parts:
        if isinstance(part, ToolCall):
            outcome = part.error if part.error is not None else str(part.result_text)
            call = (
                f"→ {one_line(part.name, _STEP)}({one_line(str(part.arguments_text), _STEP // 2)})"
            )
            steps.append(f"{call} = {one_line(outcome, _STEP // 2)}" if outcome else call)
        elif part.kind == "reasoning" and (thought := one_line(str(part.text), _STEP)):
            steps.append(f"… {thought}")
    more = len(steps) - _STEPS
    if more > 0:
        steps = [f"({more:,} earlier steps)", *steps[-_STEPS:]]
    return [*steps, ""] if steps else []

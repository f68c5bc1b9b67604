"""Render a run as plain text, for terminals and ``text/plain`` outputs."""

from __future__ import annotations

import json
import re
from typing import Final

from agentnb.event.transcript import MediaPart, Passage, Step, ToolCall
from agentnb.render.view import (
    RunView,
    decision_hint,
    error_line,
    first_approvals,
    media_words,
    summary,
)
from agentnb.render.visible import one_line, visible

_MAX_ANSWER: Final = 1_000_000
# Lines for reasoning and tool calls, and characters of each.
_MAX_STEPS: Final = 20
_STEP: Final = 160
# Characters of a pending approval's arguments.
_ARGUMENTS: Final = 2000
# Lengths of JSON that is pretty-printed, and levels that get lines of their own: deeper ones are
# mostly rows of a table.
_MIN_JSON: Final = 80
_MAX_JSON: Final = 200_000
_JSON_DEPTH: Final = 2
_JSON_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def to_text(view: RunView) -> str:
    """Return the steps before the answer, the answer, and one line about the run.

    Reasoning and tool calls are a shortened line each, the last twenty of them.  Terminal sequences
    and control characters are removed, lines are not wrapped, and an answer of more than a million
    characters is cut with a note.
    """
    answer = view.transcript.text
    dropped = len(answer) - _MAX_ANSWER
    lines = _steps(view)
    if body := visible(answer[:_MAX_ANSWER]).strip("\n"):
        lines += [body, ""]
    if dropped > 0:
        lines += [f"({dropped:,} more characters)", ""]
    if refusal := visible(view.transcript.refusal[:_MAX_ANSWER]).strip("\n"):
        lines += [f"refused: {refusal}", ""]
    lines += _sources(view)
    if (error := error_line(view)) is not None:
        lines.append(f"error: {one_line(error[1], 1000)}")
    lines += _approvals(view)
    if (hint := decision_hint(view)) is not None:
        lines.append(hint)
    if view.notice:
        lines.append(one_line(view.notice))
    lines.append(summary(view))
    return "\n".join(lines)


def _steps(view: RunView) -> list[str]:
    steps: list[str] = []
    for part in view.transcript.parts:
        indent = "  " * part.depth
        match part:
            case ToolCall():
                outcome = part.error if part.error is not None else str(part.result_text)
                arguments = one_line(str(part.arguments_text), _STEP // 2)
                call = f"{indent}→ {one_line(part.name, _STEP)}({arguments})"
                steps.append(f"{call} = {one_line(outcome, _STEP // 2)}" if outcome else call)
            case Step():
                error = "" if part.error is None else f": {one_line(part.error, _STEP)}"
                steps.append(f"{indent}▸ {one_line(part.name, _STEP) or 'Step'}{error}")
            case MediaPart(media):
                steps.append(f"{indent}▣ {media_words(media)}")
            case Passage(kind="reasoning"):
                if thought := one_line(str(part.text), _STEP):
                    steps.append(f"{indent}… {thought}")
            case Passage():
                pass
    more = len(steps) - _MAX_STEPS
    if more > 0:
        steps = [f"({more:,} earlier steps)", *steps[-_MAX_STEPS:]]
    return [*steps, ""] if steps else []


def _sources(view: RunView) -> list[str]:
    citations = view.transcript.citations
    lines = [
        f"[{number}] {one_line(' '.join(filter(None, (each.title, each.url))), 2 * _STEP)}"
        for number, each in enumerate(citations[:_MAX_STEPS], 1)
    ]
    if (more := len(citations) - _MAX_STEPS) > 0:
        lines.append(f"({more:,} more sources)")
    return [*lines, ""] if lines else []


def _approvals(view: RunView) -> list[str]:
    lines: list[str] = []
    approvals, more = first_approvals(view)
    for approval, note in approvals:
        # The message is the agent's own description; the call is what would be executed.
        message = one_line(approval.message, 1000) or "a decision is needed"
        lines.append(f"waiting for approval: {message}")
        if approval.tool or approval.arguments:
            tool = one_line(approval.tool or "tool", _STEP)
            lines.append(f"  to call: {tool}({one_line(approval.arguments, _ARGUMENTS)})")
        if note:
            lines.append(f"  {note}")
    return lines if more is None else [*lines, more]


def pretty_json(text: str) -> str:
    """Return JSON that is too long for one line with line breaks; any other text unchanged.

    Only the space between tokens changes: numbers, key order and duplicate keys stay.
    """
    if not _MIN_JSON < len(text) <= _MAX_JSON or "\n" in text or text[0] not in "{[":
        return text
    try:
        # As strings, since Python refuses to parse very long numbers.
        json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return text
    out: list[str] = []
    depth = 0
    before = ""
    for token in _JSON_TOKEN.findall(text):
        if token in "}]":
            depth -= 1
        if (before in ("{", "[", ",") or token in "}]") and before + token not in ("{}", "[]"):
            has_break = depth <= (_JSON_DEPTH - 1 if token in "}]" else _JSON_DEPTH)
            space = " " if before == "," else ""
            out.append("\n" + "  " * depth if has_break else space)
        elif before == ":":
            out.append(" ")
        out.append(token)
        if token in "{[":
            depth += 1
        before = token
    return "".join(out)

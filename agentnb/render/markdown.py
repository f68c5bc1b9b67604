"""A run as a Markdown document."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from agentnb.render.view import (
    STATUS_WORDS,
    TOOL_WORDS,
    RunView,
    brief_seconds,
    decision_hint,
    end_note,
    facts,
)
from agentnb.render.visible import one_line, strip_controls, visible
from agentnb.transcript import Passage, ToolCall

__all__ = ["answer_markdown", "escape_markdown", "front_matter", "quote_markdown", "to_markdown"]

_BACKTICKS: Final = re.compile(r"`+")
# Reasoning must not close the element that folds it away.
_FOLDING: Final = re.compile(r"<(?=/?(?:details|summary)\b)", re.IGNORECASE)


def to_markdown(view: RunView) -> str:
    """Return the run as one document: facts, the prompt as a quote, then its parts in order.

    The answer stands as the agent wrote it, except for terminal sequences.
    """
    blocks = [_header(view), f"# {_escape(one_line(view.title))}"]
    if view.prompt.strip():
        blocks.append(_quote(strip_controls(view.prompt)))
    return "\n\n".join([*blocks, *answer_markdown(view)]) + "\n"


def answer_markdown(view: RunView) -> list[str]:
    """Return what the run brought, as blocks to be put apart by blank lines."""
    blocks: list[str] = []
    for part in view.transcript.parts:
        if isinstance(part, ToolCall):
            blocks.append(_tool(part))
        elif part.kind == "reasoning":
            blocks.append(_reasoning(part))
        elif text := strip_controls(str(part.text)).strip("\n"):
            blocks.append(text)
    for approval in view.transcript.pending_approvals:
        what = approval.message or approval.tool or "a decision is needed"
        blocks.append(_quote(f"**Waiting for approval:** {_escape(one_line(what, 1000))}"))
    if (hint := decision_hint(view)) is not None:
        blocks.append(f"*{hint}*")
    if (note := end_note(view)) is not None:
        blocks.append(f"*{note}*")
    failure = view.transcript.failure
    if failure is not None:
        code = f" ({_escape(one_line(failure.code))})" if failure.code else ""
        said = _escape(one_line(failure.message, 1000))
        blocks.append(_quote(f"**{STATUS_WORDS[view.transcript.status]}{code}:** {said}"))
    if view.transcript.followups:
        asked = "\n".join(f"- {_escape(one_line(q, 500))}" for q in view.transcript.followups)
        blocks.append(f"Ask next:\n\n{asked}")
    if figures := " · ".join(f"{label}: {value}" for label, value in facts(view)):
        blocks.append(f"<sub>{_escape(figures)}</sub>")
    return blocks


def front_matter(facts: Mapping[str, Any]) -> str:
    """Return what heads a document: each fact that is not None, as YAML."""
    # JSON is YAML, whatever is in it.
    lines = [
        f"{name}: {json.dumps(value, ensure_ascii=False)}"
        for name, value in facts.items()
        if value is not None
    ]
    return "\n".join(["---", *lines, "---"])


def quote_markdown(text: str) -> str:
    """Return ``text`` as a quote, as it was written but for terminal sequences."""
    return _quote(strip_controls(text))


def escape_markdown(text: str) -> str:
    """Return ``text`` as one line that Markdown shows as it is."""
    return _escape(one_line(text, 1000))


def _header(view: RunView) -> str:
    transcript = view.transcript
    return front_matter(
        {
            "agent": one_line(view.title),
            "platform": one_line(view.platform),
            "status": transcript.status,
            "model": transcript.model and one_line(transcript.model),
            "run_id": transcript.run_id and one_line(transcript.run_id),
            "session_id": transcript.session_id and one_line(transcript.session_id),
            "duration": None if view.duration is None else round(view.duration, 3),
        }
    )


def _reasoning(part: Passage) -> str:
    text = _FOLDING.sub("&lt;", strip_controls(str(part.text)).strip("\n"))
    return _fold("Reasoning", _quote(text))


def _tool(call: ToolCall) -> str:
    words = [f"<code>{html.escape(one_line(call.name or 'tool'))}</code>", TOOL_WORDS[call.status]]
    if call.duration is not None:
        words.append(brief_seconds(call.duration))
    blocks: list[str] = []
    for label, text in (("Arguments", call.arguments), ("Result", call.result)):
        if text:
            blocks.append(f"{label}:\n\n{_fence(visible(text))}")
    if call.error is not None:
        blocks.append(f"Error:\n\n{_fence(visible(call.error))}")
    return _fold(f"Tool {' · '.join(words)}", "\n\n".join(blocks))


def _fold(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _fence(text: str) -> str:
    longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text.rstrip()}\n{fence}"


def _quote(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def _escape(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text)

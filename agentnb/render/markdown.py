"""A run as a Markdown document."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from agentnb.event.transcript import Part, Passage, TextBuffer, ToolCall
from agentnb.render.effort import Effort
from agentnb.render.inert import escape, inert_markdown
from agentnb.render.verbatim import RELATIVE, fence, inline_code
from agentnb.render.view import (
    TOOL_WORDS,
    RunView,
    approvals_shown,
    brief_seconds,
    changed_note,
    decision_hint,
    end_note,
    error_line,
    facts,
    foremost,
)
from agentnb.render.visible import one_line, visible

__all__ = ["answer_markdown", "escape_markdown", "front_matter", "quote_markdown", "to_markdown"]

_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
# Without an at sign there is no mailbox, which some make links to by any scheme before it.
_ACTING: Final = re.compile(rf"[&<\[\]`$~%{{@]|:::|(?<=[Ff][Tt][Pp]):(?=//)|{RELATIVE}|\\\\")


def to_markdown(view: RunView) -> str:
    """Return the run as one document: facts, the prompt as a quote, then its parts in order.

    Prompt and answer stand as they were written, except for what a renderer would load or run: an
    image is a link to it, and HTML shows as text.
    """
    effort = Effort()
    parts = answer_markdown(view, effort)
    blocks = [_header(view), f"# {escape_markdown(view.title)}"]
    if view.prompt.strip():
        blocks.append(quote_markdown(view.prompt, effort))
    return "\n\n".join([*blocks, *parts]) + "\n"


def answer_markdown(view: RunView, effort: Effort | None = None) -> list[str]:
    """Return what the run brought, as blocks to be put apart by blank lines."""
    parts = _joined(view.transcript.parts)
    shown = _shown([part for part in parts if isinstance(part, Passage)], effort or Effort())
    blocks = [_tool(part) if isinstance(part, ToolCall) else shown[id(part)] for part in parts]
    blocks = [block for block in blocks if block]
    blocks += _approvals(view)
    if (hint := decision_hint(view)) is not None:
        blocks.append(f"*{hint}*")
    if (note := end_note(view)) is not None:
        blocks.append(f"*{note}*")
    if (error := error_line(view)) is not None:
        word, line, code = error
        code = f" ({escape_markdown(code)})" if code else ""
        blocks.append(_quote(f"**{word}{code}:** {escape_markdown(line)}"))
    if view.transcript.followups:
        asked = "\n".join(f"- {escape(one_line(q, 500))}" for q in view.transcript.followups)
        blocks.append(f"Ask next:\n\n{asked}")
    if figures := " · ".join(f"{label}: {value}" for label, value in facts(view)):
        blocks.append(f"<sub>{escape(figures)}</sub>")
    return blocks


def front_matter(facts: Mapping[str, Any]) -> str:
    """Return what heads a document: each fact that is not None, as YAML."""
    # JSON is YAML, whatever is in it.
    lines = [f"{name}: {_json(value)}" for name, value in facts.items() if value is not None]
    return "\n".join(["---", *lines, "---"])


def quote_markdown(text: str, effort: Effort | None = None) -> str:
    """Return ``text`` as a quote, as it was written but for what a renderer would load or run."""
    return _quote(inert_markdown(text, effort, is_quoted=True))


def escape_markdown(text: str) -> str:
    """Return ``text`` as one line that Markdown shows as it is."""
    return escape(one_line(text, 1000))


def _json(value: Any) -> str:
    # To a renderer that knows no such head it is a paragraph.
    made = json.dumps(value, ensure_ascii=False)
    return _STRING.sub(lambda string: _ACTING.sub(_code_point, string[0]), made)


def _code_point(match: re.Match[str]) -> str:
    # Of a backslash there are two.
    return f"\\u{ord(match[0][0]):04x}{match[0][1:] if match[0] == ':::' else ''}"


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
            "platform_duration": transcript.platform_duration,
        }
    )


def _joined(parts: Sequence[Part]) -> list[Part]:
    # As one text: what is code in one of its own may be part of a list that another one began.
    made: list[Part] = []
    for is_text, group in groupby(parts, lambda part: part.kind == "text"):
        texts = list(group)
        if is_text:
            text = TextBuffer("\n\n".join(str(p.text) for p in texts if isinstance(p, Passage)))
            texts = [Passage("text", text=text)]
        made += texts
    return made


def _shown(passages: Sequence[Passage], effort: Effort) -> dict[int, str]:
    """Return the passages as Markdown, by their ids."""
    made: dict[int, str] = {}
    for part in foremost(passages):
        text = str(part.text)
        if part.kind == "text":
            made[id(part)] = inert_markdown(text, effort)
        else:
            made[id(part)] = _fold("Reasoning", quote_markdown(text, effort))
    return made


def _tool(call: ToolCall) -> str:
    words = [inline_code(one_line(call.name or "tool")), TOOL_WORDS[call.status]]
    if call.duration is not None:
        words.append(brief_seconds(call.duration))
    blocks: list[str] = []
    for label, text in (("Arguments", str(call.arguments_text)), ("Result", str(call.result_text))):
        if text:
            blocks.append(f"{label}:\n\n{fence(visible(text))}")
    if call.error is not None:
        blocks.append(f"Error:\n\n{fence(visible(call.error))}")
    return _fold(f"Tool {' · '.join(words)}", "\n\n".join(blocks))


def _approvals(view: RunView) -> list[str]:
    blocks: list[str] = []
    shown, more = approvals_shown(view)
    for approval in shown:
        said = escape_markdown(approval.message) or "a decision is needed"
        called = f" {inline_code(one_line(approval.tool))}" if approval.tool else ""
        blocks.append(_quote(f"**Waiting for approval:** {said}{called}"))
        if approval.arguments:
            blocks.append(f"Arguments:\n\n{fence(visible(approval.arguments))}")
        if (note := changed_note(view, approval)) is not None:
            blocks.append(f"*{note}*")
    return blocks if more is None else [*blocks, f"*{more}*"]


def _fold(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _quote(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))

"""Render a run as a Markdown document."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from agentnb.event.transcript import MediaPart, Part, Passage, Step, TextBuffer, ToolCall
from agentnb.event.types import CitationAdded
from agentnb.render.markdown_code import RELATIVE, fenced, inline_code
from agentnb.render.markdown_sanitizer import escape_line, sanitize_markdown
from agentnb.render.markup import link_address
from agentnb.render.parse_budget import ParseBudget
from agentnb.render.text import pretty_json
from agentnb.render.view import (
    TOOL_WORDS,
    RunView,
    brief_seconds,
    by_priority,
    decision_hint,
    end_note,
    error_line,
    first_approvals,
    media_words,
    metrics,
    tool_texts,
)
from agentnb.render.visible import one_line, visible

_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
# Syntax that may act in front matter; without an at sign there are no mailboxes to link.
_ACTIVE: Final = re.compile(rf"[&<\[\]`$~%{{@]|:::|(?<=[Ff][Tt][Pp]):(?=//)|{RELATIVE}|\\\\")


def to_markdown(view: RunView) -> str:
    """Return the run as one document: front matter, the prompt as a quote, then its parts.

    Prompt and answer stay as they were written, except for what a renderer would load or execute:
    an image becomes a link to it, and HTML is displayed as text.
    """
    budget = ParseBudget()
    # First, since the answer takes precedence in the budget.
    answer = answer_markdown(view, budget)
    transcript = view.transcript
    facts = {
        "agent": one_line(view.title),
        "platform": one_line(view.platform),
        "status": transcript.status,
        "model": transcript.model and one_line(transcript.model),
        "run_id": transcript.run_id and one_line(transcript.run_id),
        "session_id": transcript.session_id and one_line(transcript.session_id),
        "duration": None if view.duration is None else round(view.duration, 3),
        "platform_duration": transcript.platform_duration,
    }
    blocks = [front_matter(facts), f"# {escape_markdown(view.title)}"]
    if view.prompt.strip():
        blocks.append(quote_markdown(view.prompt, budget))
    return "\n\n".join([*blocks, *answer]) + "\n"


def answer_markdown(view: RunView, budget: ParseBudget | None = None) -> list[str]:
    """Return the parts of the run, its end and its metrics as blocks of Markdown."""
    parts = _merge_texts(view.transcript.parts)
    texts: dict[int, str] = {}
    budget = budget or ParseBudget()
    for part in by_priority(part for part in parts if isinstance(part, Passage)):
        texts[id(part)] = _passage(part, budget)
    blocks = [texts[id(part)] if isinstance(part, Passage) else _block(part) for part in parts]
    blocks = [block for block in blocks if block]
    if sources := "\n".join(f"1. {_source(each)}" for each in view.transcript.citations[:50]):
        blocks.append(f"Sources:\n\n{sources}")
    if (state := view.transcript.state_text) is not None:
        blocks.append(_details("State", fenced(visible(pretty_json(state)))))
    blocks += _approvals(view)
    blocks += [f"*{note}*" for note in (decision_hint(view), end_note(view)) if note is not None]
    if (error := error_line(view)) is not None:
        label, message, code = error
        code = f" ({escape_markdown(code)})" if code else ""
        blocks.append(_quote(f"**{label}{code}:** {escape_markdown(message)}"))
    if view.transcript.followups:
        items = "\n".join(f"- {escape_line(one_line(q, 500))}" for q in view.transcript.followups)
        blocks.append(f"Ask next:\n\n{items}")
    if figures := " · ".join(f"{label}: {value}" for label, value in metrics(view)):
        blocks.append(f"<sub>{escape_line(figures)}</sub>")
    return blocks


def front_matter(facts: Mapping[str, Any]) -> str:
    """Return YAML front matter with the facts that are not None."""
    # JSON is valid YAML.
    lines = [f"{name}: {_json(value)}" for name, value in facts.items() if value is not None]
    return "\n".join(["---", *lines, "---"])


def quote_markdown(text: str, budget: ParseBudget | None = None) -> str:
    """Return ``text`` as a quote, see `sanitize_markdown`."""
    return _quote(sanitize_markdown(text, budget, is_quoted=True))


def escape_markdown(text: str) -> str:
    """Return plain text as one line, escaped for Markdown."""
    return escape_line(one_line(text, 1000))


def _json(value: Any) -> str:
    # Escaped, since front matter is a paragraph in renderers that do not know it.
    text = json.dumps(value, ensure_ascii=False)
    return _STRING.sub(lambda string: _ACTIVE.sub(_unicode_escape, string[0]), text)


def _unicode_escape(match: re.Match[str]) -> str:
    # A backslash comes as a pair, of which one is replaced.
    return f"\\u{ord(match[0][0]):04x}{match[0][1:] if match[0] == ':::' else ''}"


def _merge_texts(parts: Sequence[Part]) -> list[Part]:
    """Join consecutive texts, since a list or a block of code may span several of them."""
    merged: list[Part] = []
    for is_text, group in groupby(parts, lambda part: part.kind == "text"):
        texts = list(group)
        if is_text:
            text = TextBuffer("\n\n".join(str(p.text) for p in texts if isinstance(p, Passage)))
            texts = [Passage("text", text=text)]
        merged += texts
    return merged


def _passage(part: Passage, budget: ParseBudget) -> str:
    if part.kind == "text":
        return sanitize_markdown(str(part.text), budget)
    if part.kind == "refusal":
        return f"**The agent refused:**\n\n{quote_markdown(str(part.text), budget)}"
    return _details("Reasoning", quote_markdown(str(part.text), budget))


def _block(part: ToolCall | Step | MediaPart) -> str:
    match part:
        case ToolCall():
            return _tool(part)
        case Step():
            words = [f"▸ **{escape_markdown(part.name or 'Step')}**", TOOL_WORDS[part.status]]
            if part.duration is not None:
                words.append(brief_seconds(part.duration))
            if part.error is not None:
                words.append(escape_markdown(part.error))
            return " · ".join(words)
        case MediaPart(media):
            words = escape_markdown(media_words(media))
            address = link_address(media.url)
            return words if address is None else f"[{words}](<{address.href}>)"


def _source(citation: CitationAdded) -> str:
    address = link_address(citation.url or "")
    text = escape_line(one_line(citation.title or citation.url or "A source", 300))
    line = text if address is None else f"[{text}](<{address.href}>)"
    return f"{line}: “{escape_line(one_line(citation.quote, 300))}”" if citation.quote else line


def _tool(call: ToolCall) -> str:
    words = [inline_code(one_line(call.name or "tool")), TOOL_WORDS[call.status]]
    if call.duration is not None:
        words.append(brief_seconds(call.duration))
    blocks = [f"{label}:\n\n{fenced(visible(text))}" for label, text in tool_texts(call)]
    return _details(f"Tool {' · '.join(words)}", "\n\n".join(blocks))


def _approvals(view: RunView) -> list[str]:
    blocks: list[str] = []
    approvals, more = first_approvals(view)
    for approval, note in approvals:
        message = escape_markdown(approval.message) or "a decision is needed"
        tool = f" {inline_code(one_line(approval.tool))}" if approval.tool else ""
        blocks.append(_quote(f"**Waiting for approval:** {message}{tool}"))
        if approval.arguments:
            blocks.append(f"Arguments:\n\n{fenced(visible(approval.arguments))}")
        if note:
            blocks.append(f"*{note}*")
    return blocks if more is None else [*blocks, f"*{more}*"]


def _details(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _quote(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))

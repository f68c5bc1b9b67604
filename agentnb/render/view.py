"""`RunView`, the input of all renderers, and the texts that they share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from agentnb.event.approvals import changed_ids
from agentnb.event.timeline import Segment
from agentnb.event.transcript import MediaPart, Passage, Status, Step, ToolCall, Transcript
from agentnb.event.types import ApprovalRequested, MediaProduced, Usage
from agentnb.render.visible import one_line

STATUS_MARKS: Final[dict[Status, str]] = {
    "queued": "…",
    "running": "…",
    "paused": "⏸",
    "completed": "✓",
    "failed": "✗",
    "cancelled": "■",
    "truncated": "⚠",
    "interrupted": "⚠",
}
STATUS_WORDS: Final[dict[Status, str]] = {
    "queued": "Queued",
    "running": "Running",
    "paused": "Waiting for approval",
    "completed": "Completed",
    "failed": "Failed",
    "cancelled": "Cancelled",
    "truncated": "Cut off",
    "interrupted": "Interrupted",
}
TOOL_WORDS: Final = {
    "running": "… running",
    "completed": "✓ completed",
    "failed": "✗ failed",
    "abandoned": "■ not finished",
}
# The fields of an answer in the hint how to give it, and the length of a name.
_MAX_FIELDS: Final = 5
_MAX_FIELD: Final = 40
# More approvals at once are counted, not listed.
_MAX_APPROVALS: Final = 20
# Bytes of a part's JSON besides its texts: field names, times and punctuation.
_TOOL_OVERHEAD: Final = 150
_PASSAGE_OVERHEAD: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One run as input of a renderer.

    The transcript is the live one: a caller that renders an unfinished run holds its lock.  Times
    are seconds since the request; ``duration`` is None until the run has ended.  ``notice`` is one
    line for the reader from agentnb itself.  ``can_decide`` is whether the view offers buttons for
    a pending approval, ``takes_decisions`` whether the platform takes decisions at all.
    ``segments`` computes the timeline; most renderers do not need it.
    """

    transcript: Transcript
    title: str
    platform: str
    prompt: str
    elapsed: float = 0.0
    duration: float | None = None
    time_to_first_token: float | None = None
    notice: str | None = None
    can_decide: bool = False
    takes_decisions: bool = True
    segments: Callable[[], Sequence[Segment]] = field(default=tuple, repr=False, compare=False)

    @property
    def took(self) -> float:
        """Seconds until the end, or until now."""
        return self.elapsed if self.duration is None else self.duration


def seconds(value: float) -> str:
    """Format a duration: ``0.4 s``, ``12.3 s``, ``2 min 05 s``, ``1 h 04 min``."""
    tenths = max(0, round(value * 10))
    if tenths < 600:
        return f"{tenths / 10:.1f} s"
    whole = tenths // 10
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole // 60 % 60:02d} min"


def brief_seconds(value: float) -> str:
    """Format a duration that may be below 0.1 s, in milliseconds then."""
    return f"{max(0, round(value * 1000))} ms" if value < 0.1 else seconds(value)


def dollars(value: float) -> str:
    """Format an amount with at least two digits, and more of a small one."""
    if value == 0:
        return "$0"
    digits = 2 if abs(value) >= 1 else 3 if abs(value) >= 0.01 else 5
    text = f"{value:.{digits}f}"
    while digits > 2 and text.endswith("0"):
        text, digits = text[:-1], digits - 1
    return f"${text}"


def summary(view: RunView) -> str:
    """Return the run in one line: ``finance_agent · completed · 1.2 s · 123 tokens``.

    The duration that the platform reported follows the one measured here.
    """
    took = seconds(view.took)
    if (own := view.transcript.platform_duration) is not None:
        took += f" ({brief_seconds(own)} on the platform)"
    words = [one_line(view.title), view.transcript.status, took]
    if (total := total_tokens(view.transcript.usage)) is not None:
        words.append(f"{total:,} tokens")
    return " · ".join(words)


def total_tokens(usage: Usage | None) -> int | None:
    """Return the total number of tokens, as reported or as the sum of input and output."""
    if usage is None:
        return None
    if usage.total_tokens is not None:
        return usage.total_tokens
    known = [n for n in (usage.input_tokens, usage.output_tokens) if n is not None]
    return sum(known) if known else None


def metrics(view: RunView) -> list[tuple[str, str]]:
    """Return the metrics of a run as pairs of label and value, in display order."""
    pairs: list[tuple[str, str]] = []
    usage = view.transcript.usage
    if usage is not None:
        # Cached tokens are part of the input, reasoning tokens part of the output.
        for label, total, part, name, alone in (
            ("Input", usage.input_tokens, usage.cached_tokens, "cached", "Cached input"),
            ("Output", usage.output_tokens, usage.reasoning_tokens, "reasoning", "Reasoning"),
        ):
            if total is not None:
                pairs.append((label, f"{total:,}" + (f" ({part:,} {name})" if part else "")))
            elif part is not None:
                pairs.append((alone, f"{part:,}"))
        if usage.total_tokens is not None:
            pairs.append(("Total", f"{usage.total_tokens:,} tokens"))
        if usage.cost_usd is not None:
            pairs.append(("Cost", dollars(usage.cost_usd)))
    if view.time_to_first_token is not None:
        pairs.append(("First token", seconds(view.time_to_first_token)))
    if (own := view.transcript.platform_duration) is not None:
        pairs.append(("Platform time", brief_seconds(own)))
    if view.transcript.model:
        pairs.append(("Model", one_line(view.transcript.model)))
    if custom := len(view.transcript.custom_events):
        pairs.append(("Custom events", f"{custom:,}"))
    if unknown := len(view.transcript.raw_events):
        pairs.append(("Unknown events", f"{unknown:,}"))
    return pairs


def end_note(view: RunView) -> str | None:
    """Return a note for the end of an incomplete answer; None for a complete one."""
    has_parts = bool(view.transcript.parts)
    match view.transcript.status:
        case "completed":
            return None if has_parts else "The agent answered nothing."
        case "cancelled":
            return "Stopped here." if has_parts else "Stopped before anything arrived."
        case "truncated" if has_parts:
            return "The stream ended before the run did. What had arrived is kept."
        case "truncated":
            return "The stream ended before anything arrived."
        case "interrupted":
            failure = view.transcript.failure
            # A failure with this code has a message that says it.
            if failure is not None and failure.code == "left":
                return None
            return "The process that followed this run went away before it ended."
        case _:
            return None


def error_line(view: RunView) -> tuple[str, str, str | None] | None:
    """Return label, message and platform code of the run's error, or None."""
    transcript = view.transcript
    if (failure := transcript.failure) is not None:
        return STATUS_WORDS[transcript.status], failure.line, failure.code
    if transcript.output_error is not None:
        return "Not parsed", transcript.output_error, None
    return None


def tool_texts(call: ToolCall) -> list[tuple[str, str]]:
    """Return arguments, result and error of a tool call, as far as there are any, with labels."""
    texts = [("Arguments", str(call.arguments_text)), ("Result", str(call.result_text))]
    texts = [(label, text) for label, text in texts if text]
    return texts if call.error is None else [*texts, ("Error", call.error)]


def media_words(media: MediaProduced) -> str:
    """Return the name and the type of a file in words: ``chart.png (image/png)``."""
    kind = one_line(media.mime_type, 100)
    if media.name is None:
        return kind or "A file"
    name = one_line(media.name, 200)
    return f"{name} ({kind})" if kind else name


def decision_hint(view: RunView) -> str | None:
    """Return how to decide a pending approval from code; None without one."""
    pending = view.transcript.pending_approvals
    if view.transcript.status != "paused" or not view.takes_decisions:
        return None
    changed = changed_ids(view.transcript.approvals)
    if len(pending) > 1 or any(approval.approval_id in changed for approval in pending):
        return (
            "Approve one of run.transcript.pending_approvals with run.approve(it), "
            "refuse with run.deny(it)."
        )
    for approval in pending:
        if approval.answer_schema and not approval.tool:
            return f"Answer with {_answer_call(approval)}, refuse with run.deny()."
    return "Approve with run.approve(), refuse with run.deny()."


def _answer_call(approval: ApprovalRequested) -> str:
    """Return the call that answers an approval, with the first fields of its schema."""
    try:
        fields = list(json.loads(approval.answer_schema or "")["properties"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return "run.approve(payload=...)"
    names = [f"{one_line(repr(name), _MAX_FIELD)}: ..." for name in fields[:_MAX_FIELDS]]
    names += ["..."] if len(fields) > _MAX_FIELDS else []
    return f"run.approve(payload={{{', '.join(names)}}})"


def first_approvals(view: RunView) -> tuple[list[tuple[ApprovalRequested, str]], str | None]:
    """Return the first pending approvals, and a note with the number of further ones.

    Each comes with a note: that its id was first requested for another call, and when it expires.
    """
    pending = view.transcript.pending_approvals
    changed = changed_ids(view.transcript.approvals)

    def note(approval: ApprovalRequested) -> str:
        is_changed = approval.approval_id in changed
        expiry = approval.expires_at and f"It expires at {one_line(approval.expires_at, 100)}."
        changes = "This has changed since it was first requested." if is_changed else None
        return " ".join(filter(None, (changes, expiry)))

    first = [(each, note(each)) for each in pending[:_MAX_APPROVALS]]
    more = len(pending) - _MAX_APPROVALS
    return first, f"… {more:,} more approvals" if more > 0 else None


def by_priority(passages: Iterable[Passage]) -> list[Passage]:
    """Return passages in the order in which they get a share of a common budget.

    Answers come before reasoning, and later ones before earlier ones.
    """
    latest_first = list(passages)[::-1]
    return sorted(latest_first, key=lambda passage: passage.kind != "text")


def transcript_bytes(view: RunView) -> int:
    """Return about how many bytes the run's transcript takes as JSON in UTF-8."""
    transcript = view.transcript
    total = 0
    texts = [*transcript.followups, transcript.state_text or ""]
    for citation in transcript.citations:
        texts += [citation.url or "", citation.title or "", citation.quote or ""]
        total += _TOOL_OVERHEAD
    for approval, _ in first_approvals(view)[0]:
        texts += [approval.message, approval.tool or "", approval.arguments]
        total += _TOOL_OVERHEAD
    if (error := error_line(view)) is not None:
        texts.append(error[1])
    for part in transcript.parts:
        match part:
            case ToolCall():
                texts += [part.call_id, part.name, *(text for _, text in tool_texts(part))]
                total += _TOOL_OVERHEAD
            case Step():
                texts += [part.step_id, part.name, part.error or ""]
                total += _TOOL_OVERHEAD
            case MediaPart(media):
                texts += [media.url, media.mime_type, media.name or ""]
                total += _TOOL_OVERHEAD
            case Passage():
                texts.append(str(part.text))
                total += _PASSAGE_OVERHEAD
    return total + sum(len(text.encode(errors="replace")) for text in texts)

"""What a renderer is given of a run, and the words that all renderers share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from agentnb.event.approvals import changed_ids
from agentnb.event.timeline import Segment
from agentnb.event.transcript import Passage, Status, ToolCall, Transcript
from agentnb.event.types import ApprovalRequested
from agentnb.render.visible import one_line

__all__ = [
    "STATUS_MARKS",
    "STATUS_WORDS",
    "TOOL_WORDS",
    "RunView",
    "approvals_shown",
    "brief_seconds",
    "changed_note",
    "decision_hint",
    "end_note",
    "error_line",
    "facts",
    "foremost",
    "seconds",
    "summary",
    "transcript_bytes",
]

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


def _no_segments() -> Sequence[Segment]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One run as a renderer sees it.

    The transcript is the live one: whoever renders a run that still goes on holds its lock.  Times
    are seconds since sending; ``duration`` is None until the run has ended.  ``notice`` is one line
    for the reader from agentnb itself.  ``can_decide`` says whether the reader may answer, in the
    view, what the run waits for, ``takes_decisions`` whether its platform lets anybody do so.
    ``segments`` makes its timeline; most renderers have no use for one.
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
    segments: Callable[[], Sequence[Segment]] = field(
        default=_no_segments, repr=False, compare=False
    )

    @property
    def took(self) -> float:
        """Seconds until the end, or until now."""
        return self.elapsed if self.duration is None else self.duration


def seconds(value: float) -> str:
    """Return a duration in words: ``0.4 s``, ``12.3 s``, ``2 min 05 s``, ``1 h 04 min``."""
    tenths = max(0, round(value * 10))
    if tenths < 600:
        return f"{tenths / 10:.1f} s"
    whole = tenths // 10
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole // 60 % 60:02d} min"


def brief_seconds(value: float) -> str:
    """Return a duration that may be very short: what took 3 ms did not take 0.0 s."""
    return f"{max(0, round(value * 1000))} ms" if value < 0.1 else seconds(value)


def dollars(value: float) -> str:
    """Return a sum with as many digits as tell something about a small one."""
    if value == 0:
        return "$0"
    digits = 2 if abs(value) >= 1 else 3 if abs(value) >= 0.01 else 5
    shown = f"{value:.{digits}f}"
    while digits > 2 and shown.endswith("0"):
        shown, digits = shown[:-1], digits - 1
    return f"${shown}"


def total_tokens(view: RunView) -> int | None:
    """Return the tokens of the run; None where the platform reported none."""
    usage = view.transcript.usage
    if usage is None:
        return None
    if usage.total_tokens is not None:
        return usage.total_tokens
    known = [n for n in (usage.input_tokens, usage.output_tokens) if n is not None]
    return sum(known) if known else None


def summary(view: RunView) -> str:
    """Return the run in one line: ``finance_agent · completed · 1.2 s · 123 tokens``.

    Where the platform reported a duration of its own, it stands beside the one measured here.
    """
    took = seconds(view.took)
    if (own := view.transcript.platform_duration) is not None:
        took += f" ({brief_seconds(own)} on the platform)"
    words = [one_line(view.title), view.transcript.status, took]
    if (total := total_tokens(view)) is not None:
        words.append(f"{total:,} tokens")
    return " · ".join(words)


def facts(view: RunView) -> list[tuple[str, str]]:
    """Return the figures of a run in the order in which they are shown, each with what it is."""
    found: list[tuple[str, str]] = []
    usage = view.transcript.usage
    if usage is not None:
        # Cached tokens are part of the input, reasoning tokens part of the output.
        for label, whole, part, name, alone in (
            ("Input", usage.input_tokens, usage.cached_tokens, "cached", "Cached input"),
            ("Output", usage.output_tokens, usage.reasoning_tokens, "reasoning", "Reasoning"),
        ):
            if whole is not None:
                found.append((label, f"{whole:,}" + (f" ({part:,} {name})" if part else "")))
            elif part is not None:
                found.append((alone, f"{part:,}"))
        if usage.total_tokens is not None:
            found.append(("Total", f"{usage.total_tokens:,} tokens"))
        if usage.cost_usd is not None:
            found.append(("Cost", dollars(usage.cost_usd)))
    if view.time_to_first_token is not None:
        found.append(("First token", seconds(view.time_to_first_token)))
    if (own := view.transcript.platform_duration) is not None:
        found.append(("Platform time", brief_seconds(own)))
    if view.transcript.model:
        found.append(("Model", one_line(view.transcript.model)))
    if unknown := len(view.transcript.raw_events):
        found.append(("Unknown events", f"{unknown:,}"))
    return found


def end_note(view: RunView) -> str | None:
    """Return what to say at the end of an answer that is not whole; None where it is."""
    arrived = bool(view.transcript.parts)
    match view.transcript.status:
        case "completed":
            return None if arrived else "The agent answered nothing."
        case "cancelled":
            return "Stopped here." if arrived else "Stopped before anything arrived."
        case "truncated":
            return (
                "The stream ended before the run did. What had arrived is kept."
                if arrived
                else "The stream ended before anything arrived."
            )
        case "interrupted":
            failure = view.transcript.failure
            if failure is not None and failure.code == "left":
                # The message says it.
                return None
            return "The process that followed this run went away before it ended."
        case _:
            return None


def error_line(view: RunView) -> tuple[str, str, str | None] | None:
    """Return what went wrong: a word for it, one line, and the platform's code; None if nothing."""
    transcript = view.transcript
    if (failure := transcript.failure) is not None:
        return STATUS_WORDS[transcript.status], failure.line, failure.code
    if transcript.output_error is not None:
        return "Not parsed", transcript.output_error, None
    return None


def decision_hint(view: RunView) -> str | None:
    """Return how to go on with a run that waits for an approval; None where it does not."""
    pending = view.transcript.pending_approvals
    if view.transcript.status != "paused" or not view.takes_decisions:
        return None
    if len(pending) > 1 or any(changed_note(view, approval) for approval in pending):
        return (
            "Approve one of run.transcript.pending_approvals with run.approve(it), "
            "refuse with run.deny(it)."
        )
    return "Approve with run.approve(), refuse with run.deny()."


def approvals_shown(view: RunView) -> tuple[Sequence[ApprovalRequested], str | None]:
    """Return the first of the approvals that a run waits for, and how many more there are."""
    pending = view.transcript.pending_approvals
    more = len(pending) - _APPROVALS
    return pending[:_APPROVALS], f"… {more:,} more approvals" if more > 0 else None


def changed_note(view: RunView, approval: ApprovalRequested) -> str | None:
    """Return that an approval was requested for something else before; None where it was not."""
    if approval.approval_id in changed_ids(view.transcript.approvals):
        return "This has changed since it was first requested."
    return None


def foremost(passages: Iterable[Passage]) -> list[Passage]:
    """Return passages in the order in which they matter: answers before reasoning, latest first.

    In this order they are given what there is for all of them.
    """
    latest_first = list(passages)
    latest_first.reverse()
    return sorted(latest_first, key=lambda passage: passage.kind != "text")


def transcript_bytes(view: RunView) -> int:
    """Return about how many bytes the run's transcript takes, as JSON in UTF-8."""
    transcript = view.transcript
    total = 0
    texts = [*transcript.followups]
    for approval in approvals_shown(view)[0]:
        texts += [approval.message, approval.tool or "", approval.arguments]
        total += _TOOL_FRAME
    if (error := error_line(view)) is not None:
        texts.append(error[1])
    for part in transcript.parts:
        if isinstance(part, ToolCall):
            texts += [
                part.call_id,
                part.name,
                str(part.arguments_text),
                str(part.result_text),
                part.error or "",
            ]
            total += _TOOL_FRAME
        else:
            texts.append(str(part.text))
            total += _PASSAGE_FRAME
    return total + sum(len(text.encode(errors="replace")) for text in texts)


# As many approvals at once are nothing that a person reads.
_APPROVALS: Final = 20
# What the names of a part's fields, its times and its punctuation take.
_TOOL_FRAME: Final = 150
_PASSAGE_FRAME: Final = 30

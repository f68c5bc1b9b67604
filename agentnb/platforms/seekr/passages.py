"""The text and the reasoning of one stream: what is the answer, and what leads to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from agentnb.event.types import Event, ReasoningDelta, TextDelta
from agentnb.platforms._wire import SurrogateJoiner, mend
from agentnb.platforms.seekr.plans import PlanSplitter
from agentnb.platforms.seekr.speakers import Speakers

__all__ = ["Passages"]

# Chunks of ``/runs/stream`` after which text is another part.
_ENDS_TEXT: Final = frozenset(
    {
        "part_start_event",
        "stream_reasoning",
        "streaming_tool_request",
        "streaming_tool_response",
        "streaming_tool",
        "node_header",
    }
)


class Passages:
    """Turns fragments into events: plans and the text of sub-agents are reasoning.

    ``speakers`` tells who sends a chunk.  ``joiner`` holds back half characters, by
    ``kind:part_id``.
    """

    def __init__(self) -> None:
        self.joiner = SurrogateJoiner()
        self.speakers = Speakers()
        self._starts: dict[str, int] = {}
        self._parts: dict[str | None, PlanSplitter] = {}
        self._planned: PlanSplitter | None = None
        self._plans = 0
        self._plan: list[str] = []
        self._text: list[str] = []
        self._passage = 0

    @property
    def is_plain(self) -> bool:
        """Whether text of no particular part is the answer as it comes."""
        part = self._parts.get(None)
        return (
            part is not None
            and part.is_answer
            and not self.joiner.held
            and not self.speakers.is_sub_agent
        )

    @property
    def said(self) -> str:
        """All text of the answer."""
        return "".join(self._text)

    @property
    def passage(self) -> str:
        """The text since the last tool call or reasoning."""
        return "".join(self._text[self._passage :])

    def note(self, texts: Sequence[str]) -> None:
        """Note text of the answer that was handed out elsewhere."""
        self._text += texts

    def interrupt(self) -> None:
        """End the passage of text: something else comes in between."""
        self._passage = len(self._text)

    def ends_before(self, tag: str) -> list[Event]:
        """Return what of a text part was held back, where a chunk of this kind ends the part."""
        return self._part_ended(None) if tag in _ENDS_TEXT and None in self._parts else []

    def fragment(self, tag: str, text: str, chunk: Mapping[str, Any]) -> list[Event]:
        """Return what a fragment of text or reasoning adds.

        Nearly all chunks are such, and there is nothing in one but its text that could be wrong:
        they are not worth a model each.
        """
        if tag == "stream_reasoning":
            return self.reasoning(text)
        given = chunk.get("id") if tag in ("text-delta", "reasoning-delta") else None
        part = mend(given) if isinstance(given, str) else None
        if tag == "reasoning-delta":
            if not self.speakers.sent("reasoning", part, chunk):
                return self.reasoning(text, self._part_id("reasoning", part))
            part = self._part_id("agent reasoning", part)
            return self.reasoning(text, f"agent reasoning {part or ''}")
        if part is not None and part.startswith("mermaid-"):
            # The source of a diagram, meant for the vendor's own page and no part of the answer.
            return []
        if self.speakers.sent("text", part, chunk):
            # A subordinate agent speaks to its supervisor; only the supervisor answers.
            return self.reasoning(text, f"agent {self._part_id('agent', part) or ''}")
        if tag == "output_guardrail":
            return self._answer(text, None)
        return self.answer(text, self._part_id("text", part))

    def answer(self, text: str, part_id: str | None = None) -> list[Event]:
        """Return what a fragment of a text part adds."""
        text = self.joiner.feed(text, "text:" if part_id is None else f"text:{part_id}")
        part = self._parts.get(part_id)
        if part is None:
            part = self._parts[part_id] = PlanSplitter(holds_space=not self._text)
        return self._shown(part, part.feed(text), part_id)

    def reasoning(self, text: str, part_id: str | None = None) -> list[Event]:
        """Return what a fragment of reasoning adds."""
        text = self.joiner.feed(text, f"reasoning:{part_id or ''}")
        self.interrupt()
        return [ReasoningDelta(text, part_id)] if text else []

    def edge(self, tag: str, part: str | None, chunk: Mapping[str, Any]) -> list[Event]:
        """Return what the start or the end of a part adds."""
        kind, _, edge = tag.partition("-")
        if edge == "start":
            sub_agent = self.speakers.begin_part(kind, part, chunk)
            if part is not None:
                name = _counted(kind, sub_agent)
                self._starts[f"{name}:{part}"] = self._starts.get(f"{name}:{part}", 0) + 1
            return []
        if kind == "text" and not self.speakers.sent(kind, part, chunk):
            return self._part_ended(self._part_id("text", part))
        return []

    def finish(self) -> list[Event]:
        """Return what was still held back when the stream ended cleanly."""
        events: list[Event] = []
        for key, text in self.joiner.flush().items():
            kind, _, part = key.partition(":")
            if kind == "text":
                events += self.answer(text, part or None)
            else:
                events.append(ReasoningDelta(text, part or None))
        for part_id in tuple(self._parts):
            events += self._part_ended(part_id)
        return events

    def sole_plan(self, final: str) -> list[Event]:
        """Return the last plan as the answer, where a run that completed gave no other.

        ``final`` is the answer as the end of the run repeats it, if it does.
        """
        plan = "".join(self._plan)
        if not plan.strip() or self.said.strip() or (final and final.split() != plan.split()):
            return []
        return self._answer(plan, None)

    def missing(self, text: str) -> list[Event]:
        """Return text of the answer that never streamed."""
        return self._answer(text, None)

    def _answer(self, text: str, part_id: str | None) -> list[Event]:
        if not text:
            return []
        self._text.append(text)
        return [TextDelta(text, part_id)]

    def _shown(
        self, part: PlanSplitter, pieces: Sequence[tuple[bool, str]], part_id: str | None
    ) -> list[Event]:
        events: list[Event] = []
        for is_plan, text in pieces:
            if not is_plan:
                # What separates a plan from the answer is no part of either.
                is_first = self._plans and not self._text
                events += self._answer(text.lstrip() if is_first else text, part_id)
                continue
            if part is not self._planned:
                self._planned = part
                self._plans += 1
                self._plan.clear()
            self._plan.append(text)
            self.interrupt()
            events.append(ReasoningDelta(text, f"plan {self._plans}"))
        return events

    def _part_ended(self, part_id: str | None) -> list[Event]:
        part = self._parts.pop(part_id, None)
        return [] if part is None else self._shown(part, part.finish(), part_id)

    def _part_id(self, kind: str, part: str | None) -> str | None:
        # Ids begin anew in each step, so that "0" may name several passages of one run.
        count = 1 if part is None else self._starts.get(f"{kind}:{part}", 1)
        return part if count == 1 else f"{part}#{count}"


def _counted(kind: str, sub_agent: bool) -> str:
    if not sub_agent:
        return kind
    return "agent" if kind == "text" else f"agent {kind}"

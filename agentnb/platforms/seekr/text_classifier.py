"""Classify the text of one stream as answer or reasoning."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

from agentnb._support.text import well_formed
from agentnb.event.surrogates import SurrogateJoiner
from agentnb.event.types import Event, ReasoningDelta, TextDelta
from agentnb.platforms.seekr.plans import PlanSplitter
from agentnb.platforms.seekr.wire import parent_agent

# Chunks of ``/runs/stream`` that end a text part.
_TEXT_ENDS: Final = frozenset(
    {
        "part_start_event",
        "stream_reasoning",
        "streaming_tool_request",
        "streaming_tool_response",
        "streaming_tool",
        "node_header",
    }
)


class SenderTracker:
    """Distinguishes chunks of sub-agents from those of the agent that answers.

    A chunk that does not say so itself is attributed by the start of its part, else by the last
    start or metadata of a message.
    """

    def __init__(self) -> None:
        #: Whether chunks that name no agent are a sub-agent's.
        self.is_sub_agent = False
        self._open_messages = 0
        self._parts: dict[tuple[str, str], bool] = {}

    def begin_message(self, tag: str, chunk: Mapping[str, Any]) -> None:
        """Process a ``start`` or ``message-metadata``."""
        parent = parent_agent(chunk)
        if parent is not None:
            self.is_sub_agent = bool(parent)
        if tag == "start":
            self.is_sub_agent = bool(parent)
            self._open_messages = self._open_messages + 1 if parent else 0

    def end_message(self, chunk: Mapping[str, Any]) -> bool:
        """Process the end of a message; return whether the message is a sub-agent's."""
        parent = parent_agent(chunk)
        if parent == "" or (parent is None and not self._open_messages):
            return False
        self._open_messages = max(0, self._open_messages - 1)
        self.is_sub_agent = self._open_messages > 0
        return True

    def begin_part(self, kind: str, part: str | None, chunk: Mapping[str, Any]) -> bool:
        """Process the start of a text or reasoning part; return whether it is a sub-agent's."""
        parent = parent_agent(chunk)
        is_sub_agent = self.is_sub_agent if parent is None else bool(parent)
        if part is not None:
            self._parts[kind, part] = is_sub_agent
        return is_sub_agent

    def is_from_sub_agent(self, kind: str, part: str | None, chunk: Mapping[str, Any]) -> bool:
        """Return whether a sub-agent sent a fragment or the end of a part."""
        parent = parent_agent(chunk)
        if parent is not None:
            return bool(parent)
        return self._parts.get((kind, part or ""), self.is_sub_agent)


class TextClassifier:
    """Turns fragments into events: plans and the text of sub-agents become reasoning."""

    def __init__(self) -> None:
        self.senders = SenderTracker()
        # Holds back half characters, by ``kind:part_id``.
        self._joiner = SurrogateJoiner()
        self._part_counts: dict[str, int] = {}
        self._parts: dict[str | None, PlanSplitter] = {}
        self._plan_part: PlanSplitter | None = None
        self._plan_count = 0
        self._plan: list[str] = []
        self._text: list[str] = []
        # Index in `_text` of the text since the last tool call or reasoning.
        self._passage_start = 0

    @property
    def is_plain(self) -> bool:
        """Whether text without a part id is the answer, unchanged."""
        part = self._parts.get(None)
        return (
            part is not None
            and part.is_answer
            and not self._joiner.held
            and not self.senders.is_sub_agent
        )

    def add_text(self, texts: Sequence[str]) -> None:
        """Record text of the answer that was delivered by the caller."""
        self._text += texts

    def end_passage(self) -> None:
        """End the current passage of text: a tool call or reasoning follows."""
        self._passage_start = len(self._text)

    def whole_part(self, text: str) -> list[Event]:
        """Return the events of a text part that did not stream."""
        part = PlanSplitter(is_whole=True)
        return self._piece_events(part, [*part.feed(text), *part.finish()], None)

    def end_part_before(self, tag: str) -> list[Event]:
        """Return held-back text of a part that a chunk with this tag ends."""
        return self._end_part(None) if tag in _TEXT_ENDS and None in self._parts else []

    def fragment(self, tag: str, text: str, chunk: Mapping[str, Any]) -> list[Event]:
        """Return the events of a fragment of text or reasoning.

        Called for nearly all chunks, hence without a model of the chunk.
        """
        if tag == "stream_reasoning":
            return self.reasoning(text)
        part = _part_id(chunk) if tag in ("text-delta", "reasoning-delta") else None
        if tag == "reasoning-delta":
            if not self.senders.is_from_sub_agent("reasoning", part, chunk):
                return self.reasoning(text, self._unique_id("reasoning", part))
            part = self._unique_id("agent reasoning", part)
            return self.reasoning(text, f"agent reasoning {part or ''}")
        if part is not None and part.startswith("mermaid-"):
            # Source of a diagram for the vendor's own page, not part of the answer.
            return []
        if self.senders.is_from_sub_agent("text", part, chunk):
            # A sub-agent answers its supervisor; only the supervisor answers the user.
            return self.reasoning(text, f"agent {self._unique_id('agent', part) or ''}")
        if tag == "output_guardrail":
            return self._answer(text, None)
        return self._part_text(text, self._unique_id("text", part))

    def reasoning(self, text: str, part_id: str | None = None) -> list[Event]:
        """Return the event of a fragment of reasoning."""
        text = self._joiner.feed(text, f"reasoning:{part_id or ''}")
        self.end_passage()
        return [ReasoningDelta(text, part_id)] if text else []

    def part_boundary(self, tag: str, chunk: Mapping[str, Any]) -> list[Event]:
        """Return the events of the start or end of a part."""
        kind, _, boundary = tag.partition("-")
        part = _part_id(chunk)
        if boundary == "start":
            if self.senders.begin_part(kind, part, chunk):
                kind = "agent" if kind == "text" else f"agent {kind}"
            if part is not None:
                key = f"{kind}:{part}"
                self._part_counts[key] = self._part_counts.get(key, 0) + 1
            return []
        if kind == "text" and not self.senders.is_from_sub_agent(kind, part, chunk):
            return self._end_part(self._unique_id("text", part))
        return []

    def flush(self) -> list[Event]:
        """Return held-back text after the end of the stream."""
        events: list[Event] = []
        for key, text in self._joiner.flush().items():
            kind, _, part = key.partition(":")
            if kind == "text":
                events += self._part_text(text, part or None)
            else:
                events.append(ReasoningDelta(text, part or None))
        for part_id in tuple(self._parts):
            events += self._end_part(part_id)
        return events

    def missing_answer(self, final: str) -> list[Event]:
        """Return the text of the final answer that was not streamed."""
        passage = "".join(self._text[self._passage_start :])
        return self._answer(_missing_text(final, "".join(self._text), passage), None)

    def plan_as_answer(self, final: str) -> list[Event]:
        """Return the last plan as the answer of a completed run without another one.

        ``final`` is the answer as the end of the run repeats it, if it does.
        """
        plan = "".join(self._plan)
        has_answer = bool("".join(self._text).strip())
        if not plan.strip() or has_answer or (final and final.split() != plan.split()):
            return []
        return self._answer(plan, None)

    def _part_text(self, text: str, part_id: str | None) -> list[Event]:
        text = self._joiner.feed(text, f"text:{part_id or ''}")
        part = self._parts.get(part_id)
        if part is None:
            part = self._parts[part_id] = PlanSplitter(holds_space=not self._text)
        return self._piece_events(part, part.feed(text), part_id)

    def _answer(self, text: str, part_id: str | None) -> list[Event]:
        if not text:
            return []
        self._text.append(text)
        return [TextDelta(text, part_id)]

    def _piece_events(
        self, part: PlanSplitter, pieces: Sequence[tuple[bool, str]], part_id: str | None
    ) -> list[Event]:
        events: list[Event] = []
        for is_plan, text in pieces:
            if not is_plan:
                # White space between a plan and the answer belongs to neither.
                is_first = self._plan_count and not self._text
                events += self._answer(text.lstrip() if is_first else text, part_id)
                continue
            if part is not self._plan_part:
                self._plan_part = part
                self._plan_count += 1
                self._plan.clear()
            self._plan.append(text)
            self.end_passage()
            events.append(ReasoningDelta(text, f"plan {self._plan_count}"))
        return events

    def _end_part(self, part_id: str | None) -> list[Event]:
        part = self._parts.pop(part_id, None)
        return [] if part is None else self._piece_events(part, part.finish(), part_id)

    def _unique_id(self, kind: str, part: str | None) -> str | None:
        # Ids restart in each step, so "0" may name several parts of one run.
        count = 1 if part is None else self._part_counts.get(f"{kind}:{part}", 1)
        return part if count == 1 else f"{part}#{count}"


def _part_id(chunk: Mapping[str, Any]) -> str | None:
    part = chunk.get("id")
    return well_formed(part) if isinstance(part, str) else None


def _missing_text(final: str, streamed: str, passage: str) -> str:
    """Return the text of the final answer to append to what was streamed.

    ``streamed`` is all text of the run, ``passage`` that since the last tool call or reasoning.
    White space is ignored, since platforms trim.  Nothing is missing if nothing was streamed: then
    the terminal event carries the answer.
    """
    wanted, text, last = ("".join(t.split()) for t in (final, streamed, passage))
    if not wanted or not text or wanted in text:
        return ""
    if last and wanted.startswith(last):
        # Skip as many characters, white space not counted.
        ends = (match.end() for match in re.finditer(r"\S", final))
        return final[next(islice(ends, len(last) - 1, None), len(final)) :]
    if last and wanted.endswith(last) and 2 * len(last) >= len(wanted):
        # The beginning was not streamed, and displayed text cannot be moved.
        return ""
    return f"\n\n{final}"

"""Convert a thread's messages into events, and match them to runs."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, cast

from agentnb._support.text import well_formed
from agentnb.event.transcript import fold
from agentnb.event.types import (
    Event,
    RawEvent,
    ReasoningDelta,
    ToolCallFinished,
    ToolCallStarted,
)
from agentnb.platforms._payloads import as_object, first_value
from agentnb.platforms._wire import as_text, mend_deep
from agentnb.platforms.base import Exchange
from agentnb.platforms.seekr.api import SeekrApi
from agentnb.platforms.seekr.text_classifier import TextClassifier
from agentnb.platforms.seekr.wire import TEXT_PARTS, Message, parent_agent

_PAGE_SIZE: Final = 1000
_MAX_MESSAGES: Final = 10_000
# Messages expected per run, its question included.
_PER_RUN: Final = 4
# A run may be created a little before the message that it answers.
_TOLERANCE: Final = timedelta(seconds=1)


async def answer_messages(
    api: SeekrApi, thread_id: str, *, run_id: str, question_id: str | None = None
) -> list[Message]:
    """Return the newest messages of a thread up to the question, oldest first.

    Those of other runs than ``run_id`` are left out.
    """
    answer: list[Message] = []
    async with aclosing(api.walk_messages(thread_id)) as pages:
        async for page in pages:
            has_question = False
            for message in page:
                if question_id is not None and message.id == question_id:
                    return answer[::-1]
                if message.role == "user":
                    if answer:
                        return answer[::-1]
                    # Possibly the question of a later run.
                    has_question = True
                elif message.run_id == run_id or (message.run_id is None and not has_question):
                    answer.append(message)
            if has_question:
                break
    return answer[::-1]


# --- events -----------------------------------------------------------------------------------


def message_events(messages: Sequence[Message]) -> list[Event]:
    """Return the events that a stream would have had for these messages.

    Plans and the text of sub-agents become reasoning.  Without another answer, the last plan is it.
    """
    events: list[Event] = []
    text = TextClassifier()
    for message in messages:
        is_sub_agent = bool(parent_agent(message.raw))
        for part in _parts(message):
            if (content := _text_of(part, TEXT_PARTS)) is None:
                events.append(_part_event(part))
            elif is_sub_agent or parent_agent(as_object(part)):
                events += [ReasoningDelta(content, f"agent {len(events)}")] if content else []
            else:
                events += text.whole_part(content)
    return [*events, *text.plan_as_answer("")]


def _parts(message: Message) -> list[Any]:
    content = message.content
    if isinstance(content, list):
        return cast("list[Any]", content)
    return [content if isinstance(content, dict) else as_text(content)]


def _text_of(part: Any, types: Collection[Any]) -> str | None:
    """Return the text of a part that is text, or an object of one of these types."""
    if isinstance(part, str):
        return well_formed(part)
    fields = as_object(part)
    if not isinstance(part, dict) or fields.get("type") not in types:
        return None
    return as_text(first_value(fields, "text", "content"))


def _part_event(part: Any) -> Event:
    if not isinstance(part, dict):
        return RawEvent(name="message part", data=as_text(part), problem="not a JSON object")
    fields = as_object(cast("object", part))

    def text(*names: str) -> str:
        return as_text(first_value(fields, *names))

    kind = text("type")
    call_id = text("toolCallId", "tool_call_id", "tool_id")
    name = text("toolName", "tool_name")
    match kind:
        case "reasoning":
            return ReasoningDelta(text("text", "reasoning", "content"))
        case "tool-call" if call_id:
            arguments = text("args", "input", "arguments")
            return ToolCallStarted(call_id=call_id, name=name, arguments=arguments)
        case "tool-result" if call_id:
            result = text("result", "output")
            return ToolCallFinished(call_id=call_id, name=name or None, result=result)
        case "tool-error" if call_id:
            error = text("error", "errorText") or "The tool failed."
            return ToolCallFinished(call_id=call_id, name=name or None, error=error)
        case _:
            return RawEvent(name=kind or "message part", data=as_text(mend_deep(fields)))


# --- exchanges --------------------------------------------------------------------------------


@dataclass(slots=True)
class _Turn:
    """A question and the messages that follow it."""

    question: Message | None
    answers: list[Message] = field(default_factory=list[Message])

    @property
    def time(self) -> datetime | None:
        return None if self.question is None else self.question.created_at

    @property
    def run_ids(self) -> list[str]:
        """The runs that its messages name, each once."""
        ids = (m.run_id for m in (self.question, *self.answers) if m is not None)
        return list(dict.fromkeys(run_id for run_id in ids if run_id is not None))


async def read_exchanges(
    api: SeekrApi, thread_id: str, began: Mapping[str, datetime]
) -> dict[str, Exchange]:
    """Return the exchanges of runs by run id; ``began`` holds the start time of each.

    One request suffices, unless the thread's messages need several pages.
    """
    newest_first: list[Message] = []
    exchanges: dict[str, Exchange] = {}
    size = min(_PAGE_SIZE, max(20, _PER_RUN * len(began)))
    async with aclosing(api.walk_messages(thread_id, size=size, limit=_MAX_MESSAGES)) as pages:
        async for page in pages:
            newest_first += page
            exchanges = match_exchanges(newest_first[::-1], began)
            complete = {run_id for run_id, found in exchanges.items() if found.prompt is not None}
            if began.keys() <= complete:
                break
    return exchanges


def match_exchanges(
    oldest_first: Sequence[Message], began: Mapping[str, datetime]
) -> dict[str, Exchange]:
    """Return the exchanges of runs by run id, as far as messages belong to them.

    A message belongs to the run that it names.  One that names none belongs to the run that began
    between its turn's question and itself.  Without times, turns and runs that do not name each
    other are paired in order, unless there are more turns than runs.
    """
    turns = _turns(oldest_first)
    naming: dict[str, list[_Turn]] = {}
    for turn in turns:
        for run_id in turn.run_ids:
            naming.setdefault(run_id, []).append(turn)
    exchanges = {run_id: _named(run_id, naming[run_id]) for run_id in began if run_id in naming}
    rest = sorted((run_id for run_id in began if run_id not in exchanges), key=began.__getitem__)
    timed = [(turn.time, turn) for turn in turns if turn.time is not None]
    if timed and all(turn.question is None or turn.time for turn in turns):
        timed.sort(key=lambda pair: pair[0])
        times = [time for time, _ in timed]
        starts = sorted(began.values())
        for run_id in rest:
            start = began[run_id]
            if index := bisect_right(times, start + _TOLERANCE):
                following = bisect_right(starts, start)
                until = starts[following] if following < len(starts) else None
                exchanges[run_id] = _between(timed[index - 1][1], start, until)
        return exchanges
    unnamed = [turn for turn in turns if turn.question is not None and not turn.run_ids]
    if len(unnamed) <= len(rest):
        # From the end, since the oldest messages may be missing.
        for run_id, turn in zip(reversed(rest), reversed(unnamed), strict=False):
            exchanges[run_id] = _exchange(turn.question, turn.answers)
    return exchanges


def _turns(messages: Sequence[Message]) -> list[_Turn]:
    turns: list[_Turn] = []
    for message in messages:
        if message.role == "user":
            turns.append(_Turn(message))
        elif turns:
            turns[-1].answers.append(message)
        else:
            turns.append(_Turn(None, [message]))
    return turns


def _named(run_id: str, turns: Sequence[_Turn]) -> Exchange:
    """Return the exchange of a run from the turns with messages that name it."""
    question: Message | None = None
    answers: list[Message] = []
    for turn in turns:
        own = [message for message in turn.answers if message.run_id == run_id]
        if turn.question is not None and turn.question.run_id == run_id:
            question = turn.question
            # Messages that name no run answer the same question.
            own = [m for m in turn.answers if m.run_id in (None, run_id)]
        elif own and question is None:
            question = turn.question
        answers += own
    return _exchange(question, answers)


def _between(turn: _Turn, start: datetime, until: datetime | None) -> Exchange:
    """Return a turn's question with the answers that a run begun at ``start`` may have given."""

    def fits(message: Message) -> bool:
        time = message.created_at
        return message.run_id is None and (
            time is None or (time >= start and (until is None or time < until))
        )

    return _exchange(turn.question, list(filter(fits, turn.answers)))


def _exchange(question: Message | None, answers: Sequence[Message]) -> Exchange:
    answer = fold(message_events(answers))
    return Exchange(
        prompt=None if question is None else _question_text(question) or None,
        text=answer.text or None,
        reasoning=answer.reasoning or None,
    )


def _question_text(message: Message) -> str:
    """Return the text of a message without attachments."""
    types = [None, "input_text", *TEXT_PARTS]
    return "\n".join(text for part in _parts(message) if (text := _text_of(part, types)))

"""What was asked and answered in the runs of a thread, by the thread's messages."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from agentnb.event.transcript import fold
from agentnb.platforms.base import Exchange
from agentnb.platforms.seekr.api import SeekrApi
from agentnb.platforms.seekr.messages import message_events, message_text
from agentnb.platforms.seekr.wire import Message

__all__ = ["match_exchanges", "read_exchanges"]

# How many messages to ask for at a time, and altogether.
_PAGE: Final = 1000
_MOST: Final = 10_000
# How many messages a run is expected to have, its question among them.
_PER_RUN: Final = 4
# A run's record may have been made a little before the message that it answers.
_TOLERANCE: Final = timedelta(seconds=1)


async def read_exchanges(
    api: SeekrApi, thread_id: str, began: Mapping[str, datetime]
) -> dict[str, Exchange]:
    """Return the exchanges of runs by their ids; ``began`` is when each of them began.

    It takes one request, but for a thread whose messages do not come in one page.
    """
    newest_first: list[Message] = []
    found: dict[str, Exchange] = {}
    size = min(_PAGE, max(20, _PER_RUN * len(began)))
    async with aclosing(api.walk_messages(thread_id, size=size, limit=_MOST)) as pages:
        async for page in pages:
            newest_first += page
            found = match_exchanges(newest_first[::-1], began)
            if all(run_id in found and found[run_id].prompt is not None for run_id in began):
                break
    return found


@dataclass(slots=True)
class _Turn:
    """A question, and the messages that follow it."""

    question: Message | None
    answers: list[Message] = field(default_factory=list[Message])

    @property
    def asked_at(self) -> datetime | None:
        return None if self.question is None else self.question.created_at

    @property
    def run_ids(self) -> list[str]:
        """The runs that its messages name, each once."""
        messages = (self.question, *self.answers)
        named = (m.run_id for m in messages if m is not None and m.run_id is not None)
        return list(dict.fromkeys(named))


def match_exchanges(
    oldest_first: Sequence[Message], began: Mapping[str, datetime]
) -> dict[str, Exchange]:
    """Return the exchanges of runs by their ids, as far as messages belong to them.

    A message belongs to the run that it names.  One that names none belongs to the run that began
    between its turn's question and itself; where messages have no times, turns and runs that name
    nothing of each other are taken in order, unless there are more turns than runs.
    """
    turns = _turns(oldest_first)
    naming: dict[str, list[_Turn]] = {}
    for turn in turns:
        for run_id in turn.run_ids:
            naming.setdefault(run_id, []).append(turn)
    found = {run_id: _named(run_id, naming[run_id]) for run_id in began if run_id in naming}
    rest = sorted((run_id for run_id in began if run_id not in found), key=began.__getitem__)
    timed = [(turn.asked_at, turn) for turn in turns if turn.asked_at is not None]
    if timed and all(turn.question is None or turn.asked_at for turn in turns):
        timed.sort(key=lambda pair: pair[0])
        moments = [moment for moment, _ in timed]
        starts = sorted(began.values())
        for run_id in rest:
            start = began[run_id]
            if place := bisect_right(moments, start + _TOLERANCE):
                following = bisect_right(starts, start)
                until = starts[following] if following < len(starts) else None
                found[run_id] = _between(timed[place - 1][1], start, until)
        return found
    free = [turn for turn in turns if turn.question is not None and not turn.run_ids]
    if len(free) <= len(rest):
        # The oldest messages may be missing.
        for run_id, turn in zip(reversed(rest), reversed(free), strict=False):
            found[run_id] = _exchange(turn.question, turn.answers)
    return found


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
    """Return what the messages tell that name a run; ``turns`` are those with such messages."""
    question: Message | None = None
    answers: list[Message] = []
    for turn in turns:
        own = [message for message in turn.answers if message.run_id == run_id]
        if turn.question is not None and turn.question.run_id == run_id:
            question = turn.question
            # Other messages of the turn that name nobody follow from the same question.
            own = [m for m in turn.answers if m.run_id in (None, run_id)]
        elif own and question is None:
            question = turn.question
        answers += own
    return _exchange(question, answers)


def _between(turn: _Turn, start: datetime, until: datetime | None) -> Exchange:
    """Return a question with the answers that a run may have given that began at ``start``."""
    answers = [
        message
        for message in turn.answers
        if message.run_id is None and _is_between(message.created_at, start, until)
    ]
    return _exchange(turn.question, answers)


def _is_between(moment: datetime | None, start: datetime, until: datetime | None) -> bool:
    return moment is None or (moment >= start and (until is None or moment < until))


def _exchange(question: Message | None, answers: Sequence[Message]) -> Exchange:
    said = fold(message_events(answers))
    return Exchange(
        prompt=None if question is None else message_text(question) or None,
        text=said.text or None,
        reasoning=said.reasoning or None,
    )

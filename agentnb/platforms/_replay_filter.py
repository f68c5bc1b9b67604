"""Resume a run's stream: filter what was delivered before out of a stream that repeats it."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Final

from agentnb.event.types import (
    ApprovalRequested,
    CitationAdded,
    CustomEvent,
    Event,
    FollowupsSuggested,
    MediaProduced,
    RawEvent,
    ReasoningDelta,
    RefusalDelta,
    RunFailed,
    RunStarted,
    StateDelta,
    StateSnapshot,
    StepFinished,
    StepStarted,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from agentnb.platforms._replayed_tool_calls import ReplayedToolCalls

Delta = TextDelta | ReasoningDelta | RefusalDelta
_Key = tuple[type[Delta], str | None]

# A match of this many characters is no coincidence.
_UNIQUE_LENGTH: Final = 32
_CONTENT: Final = (
    *(TextDelta, ReasoningDelta, RefusalDelta, MediaProduced),
    *(ToolCallStarted, ToolCallDelta, ToolCallFinished),
)
# Compared as a whole, since they come at once.
_WHOLE: Final = (
    *(MediaProduced, CitationAdded, CustomEvent),
    *(StateSnapshot, StateDelta, StepStarted, StepFinished),
)


def has_content(events: Iterable[Event]) -> bool:
    """Return whether there is text, reasoning or a tool call."""
    return any(isinstance(event, _CONTENT) for event in events)


def incomplete(kept: str, *, platform: str) -> list[Event]:
    """Return the end of a run that completed and whose answer cannot be completed here.

    ``kept`` is the answer at the platform; it is reported raw, since parts of it might be repeated.
    """
    problem = "it does not continue the text received before the stream broke off"
    return [
        *([RawEvent(name="answer", data=kept, problem=problem)] if kept else []),
        RunFailed(
            message="The run completed, but its stream broke off, and the rest of the answer is "
            f"not available from {platform}.",
            status="truncated",
            code="answer_incomplete",
        ),
    ]


class ReplayFilter:
    """Passes what a repeated stream adds to the events ``delivered`` before.

    Content is compared, not its division into events: text and reasoning by characters, part by
    part; tool calls by id, else by name and order; raw events by name, and approvals, by number;
    citations, media, steps, states and custom events as they are.
    `RunStarted`, usage and followups without news are dropped.  A part or a call that has another
    id this time continues under its first one.

    Where text differs from the delivered one, `diverged` is true and the rest of that kind is
    dropped, so that no text is doubled.  With ``loose``, for records that trim and have no parts,
    white space and parts are ignored.
    """

    def __init__(self, delivered: Sequence[Event], *, loose: bool = False) -> None:
        self._loose = loose
        self._calls = ReplayedToolCalls(delivered)
        self._parts: dict[_Key, _Part] = {}
        self._renamed: dict[_Key, _Key] = {}
        self._last_part: dict[type[Delta], str | None] = {}
        self._diverged_kinds: set[type[Delta]] = set()
        self._raw: Counter[str] = Counter()
        self._approvals = 0
        self._facts: deque[Event] = deque()
        self._whole: deque[Event] = deque()
        self._run = RunStarted()
        self._usage = UsageReported(usage=Usage())
        self._text: list[str] = []
        self._passage = 0
        pieces: dict[_Key, list[str]] = {}
        for event in delivered:
            self._note(event)
            match event:
                case TextDelta() | ReasoningDelta() | RefusalDelta():
                    self._last_part[type(event)] = event.part_id
                    pieces.setdefault(self._key(event), []).append(event.text)
                case RawEvent():
                    self._raw[event.name] += 1
                case ApprovalRequested():
                    self._approvals += 1
                case _ if _is_whole(event):
                    self._whole.append(event)
                case RunStarted() | UsageReported() | FollowupsSuggested():
                    self._facts.append(event)
                case _:
                    pass
        for key, texts in pieces.items():
            self._parts[key] = _Part("".join(texts), loose=loose)

    @property
    def diverged(self) -> bool:
        """Whether repeated text differs from the delivered one."""
        return bool(self._diverged_kinds)

    @property
    def answer_diverged(self) -> bool:
        """Whether the repeated answer differs, apart from its reasoning."""
        return TextDelta in self._diverged_kinds

    @property
    def caught_up(self) -> bool:
        """Whether all delivered text and tool calls were repeated."""
        return self._calls.caught_up and all(part.is_done for part in self._parts.values())

    @property
    def has_text_again(self) -> bool:
        """Whether all delivered text was repeated."""
        return all(part.is_done for key, part in self._parts.items() if key[0] is TextDelta)

    @property
    def weight(self) -> int:
        """How much delivered content can be recognized, in characters; a tool call counts 100."""
        return self._calls.count * 100 + sum(len(part.text) for part in self._parts.values())

    def feed(self, events: Iterable[Event]) -> list[Event]:
        """Return the content of ``events``, the next of the stream, that was not delivered."""
        found: list[Event] = []
        for event in events:
            for new in self._new(event):
                self._note(new)
                found.append(new)
        return found

    def news(self, events: Iterable[Event]) -> list[Event]:
        """Return ``events``, which follow the delivered ones, without known facts."""
        found = [event for event in events if not self._is_known(event)]
        for event in found:
            self._note(event)
        return found

    def complete(self, whole: str | None) -> list[Event] | None:
        """Return what is missing of a whole answer, at the end of a run that streamed less.

        None where that is unknown: there is no answer, or it does not continue the delivered text.
        Where no text was delivered nothing is returned: the end itself has the answer.
        """
        if not self._text:
            return []
        rest = self.rest(whole) if whole else None
        if not rest:
            return None if rest is None else []
        event = TextDelta(rest, self._last_part.get(TextDelta))
        self._note(event)
        return [event]

    def rest(self, whole: str) -> str | None:
        """Return what of a whole answer was neither delivered nor passed, see `rest_of`."""
        return rest_of(
            whole, text="".join(self._text), passage="".join(self._text[self._passage :])
        )

    def _new(self, event: Event) -> list[Event]:
        match event:
            case TextDelta() | ReasoningDelta() | RefusalDelta():
                return self._delta(event)
            case ToolCallStarted() | ToolCallDelta() | ToolCallFinished():
                return self._calls.feed(event)
            case RawEvent():
                self._raw[event.name] -= 1
                return [event] if self._raw[event.name] < 0 else []
            case ApprovalRequested():
                self._approvals -= 1
                return [event] if self._approvals < 0 else []
            case _ if _is_whole(event) and event in self._whole:
                self._whole.remove(event)
                return []
            case _:
                return [] if self._is_known(event) else [event]

    def _note(self, event: Event) -> None:
        """Update the delivered content."""
        match event:
            case TextDelta():
                self._text.append(event.text)
            case ReasoningDelta() | ToolCallStarted() | ToolCallFinished():
                self._passage = len(self._text)
            case RunStarted():
                self._run = _merged(self._run, event)
            case UsageReported(scope=None):
                self._usage = _with_usage(self._usage, event)
            case _:
                pass

    # --- facts about the run --------------------------------------------------------------------

    def _is_known(self, event: Event) -> bool:
        if _is_whole(event) or not isinstance(
            event, RunStarted | UsageReported | FollowupsSuggested
        ):
            return False
        if event in self._facts:
            # In order: facts before it were skipped.
            while self._facts.popleft() != event:
                pass
            return True
        match event:
            case RunStarted():
                return _merged(self._run, event) == self._run
            case UsageReported():
                return _with_usage(self._usage, event) == self._usage
            case _:
                return False

    # --- text -----------------------------------------------------------------------------------

    def _key(self, event: Delta) -> _Key:
        return type(event), None if self._loose else event.part_id

    def _delta(self, event: Delta) -> list[Event]:
        kind = type(event)
        if kind in self._diverged_kinds:
            return []
        key = self._key(event)
        key = self._renamed.get(key, key)
        part = self._parts.get(key)
        if part is None:
            found = self._same_part(kind, event.text)
            if found is None:
                return [event] if event.text else []
            self._renamed[key] = key = found
            part = self._parts[key]
        part.claimed = True
        was_done = part.is_done
        rest = part.take(event.text)
        if rest is None:
            self._diverged_kinds.add(kind)
            return []
        if not rest:
            return []
        if not self._loose:
            return [replace(event, text=rest, part_id=key[1])]
        # Text in the middle of a part continues that part.
        return [event if was_done else replace(event, text=rest, part_id=self._last_part[kind])]

    def _same_part(self, kind: type[Delta], text: str) -> _Key | None:
        """Return the delivered part that this text repeats under another id, if any."""
        for key, part in self._parts.items():
            available = key[1] is None or not part.claimed
            if key[0] is kind and available and not part.is_done and part.fits(text):
                return key
        return None


def _is_whole(event: Event) -> bool:
    if isinstance(event, UsageReported):
        return event.scope == "step"
    return isinstance(event, _WHOLE)


@dataclass(slots=True)
class _Part:
    """The delivered text of one part, and how much of it was repeated."""

    text: str
    loose: bool
    claimed: bool = False
    at: int = 0
    compared: str = field(init=False)

    def __post_init__(self) -> None:
        self.compared = _dense(self.text) if self.loose else self.text

    @property
    def is_done(self) -> bool:
        return self.at == len(self.compared)

    def fits(self, text: str) -> bool:
        piece = _dense(text) if self.loose else text
        return self.compared.startswith(piece, self.at) or piece.startswith(
            self.compared[self.at :]
        )

    def take(self, text: str) -> str | None:
        """Return what a repeated piece adds; None where it differs."""
        if self.is_done:
            return text
        if not self.fits(text):
            return None
        piece = _dense(text) if self.loose else text
        count = min(len(piece), len(self.compared) - self.at)
        self.at += count
        if count == len(piece) and (self.loose or count == len(text)):
            return ""
        return _continuing(self.text, _after(text, count)) if self.loose else text[count:]


def rest_of(whole: str, *, text: str, passage: str) -> str | None:
    """Return what of a whole answer was not delivered; None where it does not continue the text.

    ``text`` is all text so far, ``passage`` that since the last tool call or reasoning: some
    platforms have all of the text as the answer, and some the last passage alone.  White space is
    ignored, since platforms trim.
    """
    wanted, had, last = (_dense(each) for each in (whole, text, passage))
    if not had:
        return whole
    if wanted.startswith(had):
        return _continuing(text, _after(whole, len(had)))
    if wanted in had:
        return ""
    if len(had) >= _UNIQUE_LENGTH and wanted.count(had) == 1:
        # The stream was attached to in the middle.
        return _continuing(text, _after(whole, wanted.index(had) + len(had)))
    if last and wanted.startswith(last):
        return _continuing(passage, _after(whole, len(last)))
    return None


def _dense(text: str) -> str:
    return "".join(text.split())


def _after(text: str, count: int) -> str:
    """Return the text after its first ``count`` characters that are not white space."""
    if not count:
        return text
    for found in re.finditer(r"\S", text):
        count -= 1
        if count == 0:
            return text[found.end() :]
    return ""


def _continuing(text: str, rest: str) -> str:
    """Return ``rest`` without the white space that ``text`` ends with; "" for white space alone."""
    space = text[len(text.rstrip()) :]
    if not rest.strip():
        return ""
    return rest[len(space) :] if rest.startswith(space) else rest.lstrip()


def _merged(known: RunStarted, event: RunStarted) -> RunStarted:
    reported = {
        f.name: value for f in fields(event) if (value := getattr(event, f.name)) is not None
    }
    return replace(known, **reported)


def _with_usage(known: UsageReported, event: UsageReported) -> UsageReported:
    usage = known.usage.merged(event.usage)
    return UsageReported(usage=usage, model=event.model or known.model)

"""State of one run's stream, and the events that follow from its content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, ClassVar, Final

from agentnb._support.text import well_formed
from agentnb.event.surrogates import SurrogateJoiner
from agentnb.event.types import (
    Event,
    ReasoningDelta,
    RunFinished,
    RunStarted,
    TextDelta,
    Usage,
    UsageReported,
)
from agentnb.platforms._payloads import as_object, first_text
from agentnb.platforms._wire import MalformedError, as_text
from agentnb.platforms.generic.categories import Category, normalized, words
from agentnb.platforms.generic.content import Content, stop_reason
from agentnb.platforms.generic.fields import usage_in
from agentnb.platforms.generic.run_ends import cancelled_end, completed_end, failed_end
from agentnb.platforms.generic.tool_calls import ToolCallTracker, read_call

# A fragment that equals all text before it, of this many fragments and characters, is a repeat.
_MIN_FRAGMENTS: Final = 3
_MIN_CHARACTERS: Final = 12

Source = tuple[str, str]
"""The name of an event, and the name of its field with text."""


class ReceivedText:
    """The text of one run so far, to distinguish text that continues it from text that repeats it.

    Many servers stream an answer in fragments and repeat it whole in another kind of event.
    Others have the text under a name of their own; `fallback` keeps such text in case there is no
    other.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        #: The events it came in.
        self.sources: set[Source] = set()
        #: How many characters came since the latest tool call.
        self.size = 0
        # Index of the first text after the latest tool call.
        self._passage = 0
        # The latest text of each source that may be cumulative; None for one of fragments.
        self._latest: dict[Source, str | None] = {}
        self._cumulative: set[Source] = set()
        self._fallbacks: dict[Source, list[str]] = {}

    def is_fragments(self, source: Source) -> bool:
        """Return whether the text of such events is known to continue the text before it."""
        return self._latest.get(source, "") is None

    def add(self, texts: Sequence[str], source: Source | None = None) -> None:
        """Append fragments."""
        self.texts += texts
        self.size += sum(map(len, texts))
        if source is not None:
            self.sources.add(source)

    def begin_passage(self) -> None:
        """Begin another passage, after a tool call."""
        self._passage = len(self.texts)
        self.size = 0

    def repeats(self, text: str, source: Source, *, is_last: bool = False) -> bool:
        """Return whether ``text`` repeats the answer, or its latest passage.

        From a source of fragments, only text that ``is_last`` or as long as many of them can.
        """
        if source in self.sources and not is_last:
            is_short = len(text) < _MIN_CHARACTERS or 2 * len(text) < self.size
            if is_short or len(self.texts) - self._passage < _MIN_FRAGMENTS:
                return False
        passages = "".join(self.texts[self._passage :]), "".join(self.texts)
        whole = "".join(text.split())
        return whole != "" and whole in ("".join(passage.split()) for passage in passages)

    def new_part(self, text: str, source: Source) -> str:
        """Return the new part of ``text``: some servers send all text so far each time."""
        latest = self._latest.get(source, "")
        if latest is None or not text:
            return text
        # The second text shows whether the source is cumulative.
        is_longer = len(text) > len(latest) and text.startswith(latest)
        if is_longer and any(map(str.isalpha, latest)) and text.replace(latest, ""):
            self._cumulative.add(source)
        is_cumulative = source in self._cumulative
        self._latest[source] = text if is_cumulative or not latest else None
        return text.removeprefix(latest) if is_cumulative else text

    def keep_fallback(self, text: str, source: Source, *, is_whole: bool = False) -> None:
        """Keep text that may be the answer; ``is_whole``: it replaces that of the same source."""
        if is_whole:
            self._fallbacks[source] = [text]
        elif not self.texts:
            self._fallbacks.setdefault(source, []).append(text)

    @property
    def fallback(self) -> str:
        """The text to use if there is no other: the longest of one source."""
        return max(("".join(texts) for texts in self._fallbacks.values()), key=len, default="")


class StreamState:
    """Ids, text and tool calls of a run so far, and whether it has ended."""

    run_id_keys: ClassVar[tuple[str, ...]] = ("runId", "run_id")
    """Fields of a frame that may have the run's id."""
    session_id_keys: ClassVar[tuple[str, ...]] = words(
        "sessionId session_id threadId thread_id conversationId conversation_id"
    )
    """Fields of a frame that may have the session's id."""

    def __init__(self, *, run_id: str | None = None, session_id: str | None = None) -> None:
        self.run_id = run_id
        self.session_id = session_id
        self.calls = ToolCallTracker()
        #: Whether a terminal event was decoded.
        self.ended = False
        self._has_run_id = run_id is not None
        self._has_session_id = session_id is not None
        self._answer = ReceivedText()
        self._thoughts = ReceivedText()
        self._joiner = SurrogateJoiner()
        # Why the model stopped, if that may be the end of the run.
        self._stopped: str | None = None
        self._model: str | None = None
        # The sum over the run's steps.
        self._step_usage = Usage()
        # Whether the server calls the latest message partial.
        self._is_partial = False
        # Whether any frame had a name or a JSON object.
        self._is_structured = False

    def finish(self) -> list[Event]:
        """Return the text held back when the stream ends."""
        return [
            TextDelta(text) if key == "text" else ReasoningDelta(text)
            for key, text in self._joiner.flush().items()
        ]

    # -- content ---------------------------------------------------------------------------------

    def _content_events(
        self, found: Iterable[Content], kind: str, *, is_last: bool = False
    ) -> list[Event]:
        events: list[Event] = []
        problem: MalformedError | None = None
        for category, value, key, place in found:
            try:
                match category:
                    case "text":
                        events += self._text(value, (kind, key), is_last=is_last)
                    case "reasoning":
                        events += self._reasoning(value, (kind, key))
                    case "call" if key == "tool_calls":
                        events += self._started(self.calls.fragments(value))
                    case "call":
                        started = self.calls.start(read_call(value), place=place, streams=True)
                        events += self._started(started)
                    case "arguments":
                        events += self.calls.arguments(read_call(value), place=place)
                    case _:
                        failed = category == "tool_error"
                        events += self.calls.finish(read_call(value), failed=failed)
            except MalformedError as error:
                problem = error
        if problem is not None and not events:
            raise problem
        return events

    def _started(self, events: list[Event]) -> list[Event]:
        """Return the events of a call's start, after which another passage of text begins."""
        self._answer.begin_passage()
        self._thoughts.begin_passage()
        self._stopped = None
        return events

    def _text(self, text: str, source: Source, *, is_last: bool = False) -> list[Event]:
        if self._answer.repeats(text, source, is_last=is_last):
            self._stopped = self._stopped or "stop"
            return []
        text = self._answer.new_part(text, source)
        joined = self._joiner.feed(text, "text")
        if text:
            self._stopped = None
        self._answer.add([joined] if joined else [], source)
        return [TextDelta(joined)] if joined else []

    def _reasoning(self, text: str, source: Source) -> list[Event]:
        if self._thoughts.repeats(text, source):
            return []
        joined = self._joiner.feed(self._thoughts.new_part(text, source), "reasoning")
        self._thoughts.add([joined] if joined else [], source)
        return [ReasoningDelta(joined)] if joined else []

    def _keep_fallback(self, text: str | None, source: Source, *, is_whole: bool = False) -> None:
        if text or is_whole:
            self._answer.keep_fallback(well_formed(text or ""), source, is_whole=is_whole)

    def _ids(self, fields: Mapping[str, Any], category: Category | None) -> list[Event]:
        """Return a `RunStarted` for an id that was unknown, or the agent or model at a start."""
        # Frames may have the ids of runs inside the run.
        session_keys = self.session_id_keys[:1] if self._has_session_id else self.session_id_keys
        run_id = None if self._has_run_id else first_text(fields, *self.run_id_keys)
        run_id = run_id or self.run_id
        session_id = first_text(fields, *session_keys) or self.session_id
        agent = model = None
        if category == "start":
            agent, model = first_text(fields, "agent"), first_text(fields, "model")
            model = None if model == self._model else model
            self._model = model or self._model
        if (run_id, session_id) == (self.run_id, self.session_id) and not (agent or model):
            return []
        self.run_id, self.session_id = run_id, session_id
        return [RunStarted(run_id=run_id, session_id=session_id, agent=agent, model=model)]

    # -- usage -----------------------------------------------------------------------------------

    def _usage(self, fields: Mapping[str, Any], *, bare: bool = False) -> list[Event]:
        usage = usage_in(fields, bare=bare)
        if usage is None:
            return []
        return [UsageReported(usage=usage, model=as_text(fields.get("model")) or None)]

    def _end_step(self, fields: dict[str, Any]) -> list[Event] | None:
        """Return the usage at the end of a step, which may be the end of the run, see `close`."""
        self.calls.forget_places()
        events: list[Event] = []
        if (usage := usage_in(fields)) is not None:
            # Each step reports only its own.
            total = asdict(self._step_usage)
            counts = asdict(usage).items()
            total |= {name: (total[name] or 0) + n for name, n in counts if n is not None}
            self._step_usage = replace(usage, **total)
            model = as_text(fields.get("model")) or None
            events = [UsageReported(usage=self._step_usage, model=model)]
        reason = stop_reason(fields) or as_object(fields.get("stepResult")).get("reason")
        reason = reason or fields.get("reason")
        if isinstance(reason, str) and reason:
            self._stopped = normalized(reason)
            return events
        return events or None

    # -- ends ------------------------------------------------------------------------------------

    def _complete(self, fields: dict[str, Any]) -> list[Event]:
        if self._stopped is not None:
            fields = {"finish_reason": self._stopped, **fields}
        events: list[Event] = []
        for name in ("delta", "token", "chunk"):
            text = fields.get(name)
            if isinstance(text, str) and self._answer.texts and not self.ended:
                events += self._text(text, ("", name), is_last=True)
        end = completed_end(fields)
        if isinstance(end, RunFinished) and not self._answer.texts:
            output = end.output or self._answer.fallback
            end = replace(end, output=output or None)
            # Later events may repeat it.
            self._answer.add([output] if output else [])
        return [*events, *self.finish(), *self._usage(fields, bare=True), *self._end(end)]

    def _fail(self, category: Category, fields: dict[str, Any]) -> list[Event]:
        end = cancelled_end(fields) if category == "cancelled" else failed_end(fields)
        return [*self._use_fallback(), *self.finish(), *self._usage(fields), *self._end(end)]

    def _use_fallback(self) -> list[Event]:
        """Return the text that may be the answer, if the run ends without any other."""
        text = self._answer.fallback
        if self.ended or self._answer.texts or not text:
            return []
        self._answer.add([text])
        return [TextDelta(text)]

    def _end(self, event: Event) -> list[Event]:
        # The first end counts: a completion after an error is no success.
        if self.ended:
            return []
        self.ended = True
        return [event]

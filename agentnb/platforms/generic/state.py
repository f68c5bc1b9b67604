"""State of one run's stream, and the events that follow from its content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any, ClassVar

from agentnb.event.types import (
    Event,
    ReasoningDelta,
    RunFinished,
    RunStarted,
    TextDelta,
    Usage,
    UsageReported,
)
from agentnb.platforms._wire import MalformedError, SurrogateJoiner, as_text, mend
from agentnb.platforms.generic.answer_text import AnswerText, Source
from agentnb.platforms.generic.categories import Category, normalized, words
from agentnb.platforms.generic.content import Content, stop_reason
from agentnb.platforms.generic.fields import as_object, read_call, usage_in
from agentnb.platforms.generic.run_ends import cancelled_end, completed_end, failed_end
from agentnb.platforms.generic.tool_calls import ToolCallTracker

__all__ = ["StreamState"]


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
        self._answer = AnswerText()
        self._thoughts = AnswerText()
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
        for each in found:
            source = (kind, each.key)
            try:
                match each.category:
                    case "text":
                        events += self._text(each.value, source, is_last=is_last)
                    case "reasoning":
                        events += self._reasoning(each.value, source)
                    case "call" if each.key == "tool_calls":
                        events += self._started(self.calls.fragments(each.value))
                    case "call":
                        call = read_call(each.value)
                        started = self.calls.start(call, place=each.place, streams=True)
                        events += self._started(started)
                    case "arguments":
                        events += self.calls.arguments(read_call(each.value), place=each.place)
                    case category:
                        failed = category == "tool_error"
                        events += self.calls.finish(read_call(each.value), failed=failed)
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
            self._answer.keep_fallback(mend(text or ""), source, is_whole=is_whole)

    def _ids(self, fields: Mapping[str, Any], category: Category | None) -> list[Event]:
        """Return a `RunStarted` for an id that was unknown, or the agent or model at a start."""
        # Frames may have the ids of runs inside the run.
        session_keys = self.session_id_keys[:1] if self._has_session_id else self.session_id_keys
        run_id = None if self._has_run_id else _id(fields, self.run_id_keys)
        run_id = run_id or self.run_id
        session_id = _id(fields, session_keys) or self.session_id
        agent = model = None
        if category == "start":
            agent, model = _id(fields, ("agent",)), _id(fields, ("model",))
            model = None if model == self._model else model
            self._model = model or self._model
        if (run_id, session_id) == (self.run_id, self.session_id) and not (agent or model):
            return []
        self.run_id, self.session_id = run_id, session_id
        return [RunStarted(run_id=run_id, session_id=session_id, agent=agent, model=model)]

    def _ends_partial(self, fields: dict[str, Any]) -> bool:
        """Return whether a message is whole after partial ones."""
        was_partial, self._is_partial = self._is_partial, fields.get("partial") is True
        return was_partial and not self._is_partial

    def _repeats_block(self, fields: dict[str, Any]) -> bool:
        """Return whether Strands repeats a block's delta, which it sent in Bedrock's form."""
        text = fields.get("data")
        is_delta = isinstance(text, str) and as_object(fields.get("delta")).get("text") == text
        return is_delta and self._answer.has_source(("content_block_delta", "delta"))

    # -- usage -----------------------------------------------------------------------------------

    def _usage(self, fields: Mapping[str, Any], *, bare: bool = False) -> list[Event]:
        usage = usage_in(fields, bare=bare)
        if usage is None:
            return []
        return [UsageReported(usage=usage, model=as_text(fields.get("model")) or None)]

    def _end_step(self, fields: dict[str, Any]) -> list[Event] | None:
        """Return the usage at the end of a step, which may be the end of the run, see `close`."""
        self.calls.forget_places()
        events = self._usage_of_steps(fields)
        reason = stop_reason(fields) or as_object(fields.get("stepResult")).get("reason")
        reason = reason or fields.get("reason")
        if isinstance(reason, str) and reason:
            self._stopped = normalized(reason)
            return events
        return events or None

    def _usage_of_steps(self, fields: Mapping[str, Any]) -> list[Event]:
        """Return the usage of all steps so far: each step reports only its own."""
        usage = usage_in(fields)
        if usage is None:
            return []
        total = self._step_usage
        for name, count in asdict(usage).items():
            if count is not None:
                total = replace(total, **{name: (getattr(total, name) or 0) + count})
        self._step_usage = total
        return [UsageReported(usage=total, model=as_text(fields.get("model")) or None)]

    # -- ends ------------------------------------------------------------------------------------

    def _complete(self, fields: dict[str, Any]) -> list[Event]:
        if self._stopped is not None:
            fields = {"finish_reason": self._stopped, **fields}
        events: list[Event] = []
        for name in ("delta", "token", "chunk"):
            text = fields.get(name)
            if isinstance(text, str) and self._answer.has_text and not self.ended:
                events += self._text(text, ("", name), is_last=True)
        end = completed_end(fields)
        if isinstance(end, RunFinished) and not self._answer.has_text:
            output = end.output or self._answer.fallback
            end = RunFinished(output=output or None, duration=end.duration, details=end.details)
            # Later events may repeat it.
            self._answer.add([output] if output else [])
        return [*events, *self.finish(), *self._usage(fields, bare=True), *self._end(end)]

    def _fail(self, category: Category, fields: dict[str, Any]) -> list[Event]:
        end = cancelled_end(fields) if category == "cancelled" else failed_end(fields)
        return [*self._use_fallback(), *self.finish(), *self._usage(fields), *self._end(end)]

    def _use_fallback(self) -> list[Event]:
        """Return the text that may be the answer, if the run ends without any other."""
        text = self._answer.fallback
        if self.ended or self._answer.has_text or not text:
            return []
        self._answer.add([text])
        return [TextDelta(text)]

    def _end(self, event: Event) -> list[Event]:
        # The first end counts: a completion after an error is no success.
        if self.ended:
            return []
        self.ended = True
        return [event]


def _id(fields: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((mend(v) for name in names if isinstance(v := fields.get(name), str) and v), None)

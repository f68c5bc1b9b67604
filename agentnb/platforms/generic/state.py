"""The state of one run's stream, and the events that go with what it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
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
from agentnb.platforms.generic import ends
from agentnb.platforms.generic.answer import Answer, Source
from agentnb.platforms.generic.fields import mapping, read_call, usage_in
from agentnb.platforms.generic.messages import Said, stop_in
from agentnb.platforms.generic.names import Category, normalized
from agentnb.platforms.generic.tool_calls import ToolCalls

__all__ = ["StreamState"]


class StreamState:
    """What a stream has said so far: ids, text, calls, and whether the run has ended."""

    run_id_keys: ClassVar[tuple[str, ...]] = ("runId", "run_id")
    """Where a frame may hold the run's id."""
    session_id_keys: ClassVar[tuple[str, ...]] = (
        *("sessionId", "session_id", "threadId", "thread_id", "conversationId"),
        "conversation_id",
    )
    """Where a frame may hold the session's id."""

    def __init__(self, *, run_id: str | None = None, session_id: str | None = None) -> None:
        self.run_id = run_id
        self.session_id = session_id
        self._given = (run_id is not None, session_id is not None)
        self.calls = ToolCalls()
        self._answer = Answer()
        self._thoughts = Answer()
        self._joiner = SurrogateJoiner()
        self._ended = False
        # Why the model stopped, where the run may have ended by that.
        self._stopped: str | None = None
        self._model: str | None = None
        # What its steps used so far.
        self._steps = Usage()
        # Whether the latest message was one that the server calls partial.
        self._is_partial = False
        # Whether frames have had names or JSON objects.
        self._is_structured = False

    @property
    def ended(self) -> bool:
        """Whether a terminal event has come."""
        return self._ended

    def finish(self) -> list[Event]:
        """Return what was held back when the stream ends."""
        return [
            TextDelta(text) if key == "text" else ReasoningDelta(text)
            for key, text in self._joiner.flush().items()
        ]

    # -- what is said ----------------------------------------------------------------------------

    def _say(self, said: Iterable[Said], word: str, *, is_last: bool = False) -> list[Event]:
        events: list[Event] = []
        problem: MalformedError | None = None
        for each in said:
            try:
                match each.category:
                    case "text":
                        events += self._text(each.value, (word, each.key), is_last=is_last)
                    case "reasoning":
                        events += self._reasoning(each.value, (word, each.key))
                    case "call" if each.key == "tool_calls":
                        events += self._called(self.calls.fragments(each.value))
                    case "call":
                        call = read_call(each.value)
                        events += self._called(
                            self.calls.start(call, place=each.place, streams=True)
                        )
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

    def _called(self, events: list[Event]) -> list[Event]:
        self._answer.begin_passage()
        self._thoughts.begin_passage()
        self._stopped = None
        return events

    def _text(self, text: str, source: Source, *, is_last: bool = False) -> list[Event]:
        if self._answer.repeats(text, source, is_last=is_last):
            self._stopped = self._stopped or "stop"
            return []
        text = self._answer.added(text, source)
        shown = self._joiner.feed(text, "text")
        if text:
            self._stopped = None
        self._answer.add([shown] if shown else [], source)
        return [TextDelta(shown)] if shown else []

    def _reasoning(self, text: str, source: Source) -> list[Event]:
        if self._thoughts.repeats(text, source):
            return []
        shown = self._joiner.feed(self._thoughts.added(text, source), "reasoning")
        self._thoughts.add([shown] if shown else [], source)
        return [ReasoningDelta(shown)] if shown else []

    def _keep_spare(self, text: str | None, source: Source) -> None:
        if text:
            self._answer.keep_spare(mend(text), source)

    def _usage(self, fields: Mapping[str, Any], *, bare: bool = False) -> list[Event]:
        usage = usage_in(fields, bare=bare)
        if usage is None:
            return []
        model = fields.get("model")
        return [UsageReported(usage=usage, model=as_text(model) or None)]

    def _ids(self, fields: Mapping[str, Any], category: Category | None) -> list[Event]:
        """Return a `RunStarted` where a frame brings an id, or a start more, that was unknown."""
        # Frames may hold the ids of what runs inside of the run.
        is_run_given, is_session_given = self._given
        session_keys = self.session_id_keys[:1] if is_session_given else self.session_id_keys
        run_id = None if is_run_given else _id(fields, self.run_id_keys)
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

    def _is_whole(self, fields: dict[str, Any]) -> bool:
        """Return whether a message is no longer partial, as those before it were."""
        was_partial, self._is_partial = self._is_partial, fields.get("partial") is True
        return was_partial and not self._is_partial

    def _blocks_repeat(self, fields: dict[str, Any]) -> bool:
        """Return whether Strands repeats the delta of a block, which came as Bedrock has it."""
        text = fields.get("data")
        is_delta = isinstance(text, str) and mapping(fields.get("delta")).get("text") == text
        return is_delta and self._answer.has_source(("content_block_delta", "delta"))

    def _step_end(self, fields: dict[str, Any]) -> list[Event] | None:
        """Return what the end of a step reports; the run may have ended by it, see `close`."""
        self.calls.forget_places()
        events = self._step_usage(fields)
        reason = stop_in(fields) or mapping(fields.get("stepResult")).get("reason")
        reason = reason or fields.get("reason")
        if isinstance(reason, str) and reason:
            self._stopped = normalized(reason)
            return events
        return events or None

    def _step_usage(self, fields: Mapping[str, Any]) -> list[Event]:
        """Return the usage of all steps so far: each reports its own."""
        usage = usage_in(fields)
        if usage is None:
            return []
        counts = {
            name: (count, getattr(self._steps, name)) for name, count in asdict(usage).items()
        }
        known = {name: [n for n in both if n is not None] for name, both in counts.items()}
        self._steps = Usage(**{name: sum(both) if both else None for name, both in known.items()})
        return [UsageReported(usage=self._steps, model=as_text(fields.get("model")) or None)]

    # -- ends ------------------------------------------------------------------------------------

    def _complete(self, fields: dict[str, Any]) -> list[Event]:
        if self._stopped is not None:
            fields = {"finish_reason": self._stopped, **fields}
        events: list[Event] = []
        for name in ("delta", "token", "chunk"):
            text = fields.get(name)
            if isinstance(text, str) and self._answer.has_text and not self._ended:
                events += self._text(text, ("", name), is_last=True)
        end = ends.end_of(fields)
        if isinstance(end, RunFinished) and not self._answer.has_text:
            output = end.output or self._answer.spare
            end = RunFinished(output=output or None, duration=end.duration, details=end.details)
            # An event that repeats it must not add it.
            self._answer.add([output] if output else [])
        return [*events, *self.finish(), *self._usage(fields, bare=True), *self._end(end)]

    def _failed(self, category: Category, fields: dict[str, Any]) -> list[Event]:
        end = ends.cancelled(fields) if category == "cancelled" else ends.failed(fields)
        return [*self._spared(), *self.finish(), *self._usage(fields), *self._end(end)]

    def _spared(self) -> list[Event]:
        """Return the text whose place was not certain, where the run ends without any other."""
        if self._ended or self._answer.has_text or not (spare := self._answer.spare):
            return []
        self._answer.add([spare])
        return [TextDelta(spare)]

    def _end(self, event: Event) -> list[Event]:
        # The first end counts: a completion that follows an error is no success.
        if self._ended:
            return []
        self._ended = True
        return [event]


def _id(fields: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((mend(v) for name in names if isinstance(v := fields.get(name), str) and v), None)

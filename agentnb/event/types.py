"""The events of a run: the `Event` union.

Every platform's wire format is decoded into these classes, and everything else (the transcript, the
live view, the tables) is made from them alone.  Events are immutable and have no clock and no
reference to a platform, so a recorded list of them can be folded, sent and compared anywhere.

Users' functions make events, too, so the constructors validate their fields: data given as a tool's
arguments or result becomes JSON, an exception given as an error becomes its text, a dict given as
usage becomes `Usage`; anything else raises `TypeError` or `ValueError`.  Control characters in ids,
names and approvals are replaced by visible symbols.

`event_to_dict` and `event_from_dict` are the JSON form, which the store and the fixtures use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields
from itertools import repeat
from typing import Any, ClassVar, Final, Literal, cast, get_args

from agentnb._support.text import name_signs, printable, strip_controls
from agentnb.errors import retry_hint, with_hint
from agentnb.event.content import (
    CitationAdded,
    CustomEvent,
    MediaProduced,
    StateDelta,
    StateSnapshot,
    StepFinished,
    StepStarted,
)
from agentnb.event.usage import Usage, usage_fields
from agentnb.event.validation import EventField, Validated, identifier, plain_text

__all__ = [
    "TERMINAL_EVENTS",
    "ApprovalRequested",
    "CitationAdded",
    "CustomEvent",
    "Event",
    "FollowupsSuggested",
    "MediaProduced",
    "RawEvent",
    "ReasoningDelta",
    "RefusalDelta",
    "RunCancelled",
    "RunFailed",
    "RunFinished",
    "RunStarted",
    "StateDelta",
    "StateSnapshot",
    "StepFinished",
    "StepStarted",
    "TextDelta",
    "ToolCallDelta",
    "ToolCallFinished",
    "ToolCallStarted",
    "Usage",
    "UsageReported",
    "event_from_dict",
    "event_to_dict",
    "text_deltas",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Validated):
    """The platform accepted the run.  It may be repeated with fields that were unknown before.

    An id with control characters becomes None.
    """

    type: ClassVar[Literal["run_started"]] = "run_started"
    run_id: str | None = None
    session_id: str | None = None
    agent: str | None = None
    model: str | None = None


# Nearly all events are fragments.  The `__init__` of a frozen dataclass sets fields by name, which
# takes longer than everything that follows for a fragment; this one sets its slots.
@dataclass(frozen=True, slots=True, init=False)
class _Fragment:
    text: str
    part_id: str | None = None

    def __init__(self, text: str, part_id: str | None = None) -> None:
        if type(text) is not str:
            text = EventField(type(self).__name__, "text").checked(plain_text, text)
        if part_id is not None and type(part_id) is not str:
            part_id = EventField(type(self).__name__, "part_id").checked(identifier, part_id)
        _set_text(self, text)
        _set_part(self, part_id and name_signs(part_id))


_set_text: Final = _Fragment.__dict__["text"].__set__
_set_part: Final = _Fragment.__dict__["part_id"].__set__


@dataclass(frozen=True, slots=True, init=False)
class ReasoningDelta(_Fragment):
    """A fragment of the reasoning, to be appended; ``part_id`` is as in `TextDelta`."""

    type: ClassVar[Literal["reasoning_delta"]] = "reasoning_delta"


@dataclass(frozen=True, slots=True, init=False)
class TextDelta(_Fragment):
    """A fragment of the answer (Markdown), to be appended.

    It continues the part with the same ``part_id``; ``run.text`` joins parts without a separator.
    """

    type: ClassVar[Literal["text_delta"]] = "text_delta"


@dataclass(frozen=True, slots=True, init=False)
class RefusalDelta(_Fragment):
    """A fragment of the agent's refusal to answer, to be appended."""

    type: ClassVar[Literal["refusal_delta"]] = "refusal_delta"


def text_deltas(pieces: Sequence[str]) -> list[TextDelta]:
    """Return a `TextDelta` for each text; faster for many than one by one."""
    if len(pieces) < 2 or set(map(type, pieces)) != {str}:
        return [TextDelta(text) for text in pieces]
    deltas = [*map(object.__new__, repeat(TextDelta, len(pieces)))]
    for delta, text in zip(deltas, pieces, strict=True):
        _set_text(delta, text)
        _set_part(delta, None)
    return deltas


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallStarted(Validated):
    """The agent calls a tool.

    ``arguments`` are those known so far, as text: JSON where the platform sends JSON, and "" where
    they follow in `ToolCallDelta` or are never sent.  Those of a repeated start replace them.
    """

    type: ClassVar[Literal["tool_call_started"]] = "tool_call_started"
    call_id: str
    name: str
    arguments: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallDelta(Validated):
    """A further fragment of a call's arguments or of its output, to be appended."""

    type: ClassVar[Literal["tool_call_delta"]] = "tool_call_delta"
    call_id: str
    arguments: str = ""
    output: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallFinished(Validated):
    """A tool call ended.

    ``result`` is text (JSON where the platform sends JSON); None keeps the output of
    `ToolCallDelta`.  ``arguments``, where given, replace those that were streamed.  A call that
    failed has an ``error``.  A repeated end replaces the result.  Neither a start nor an end needs
    the other.
    """

    type: ClassVar[Literal["tool_call_finished"]] = "tool_call_finished"
    call_id: str
    name: str | None = None
    arguments: str | None = None
    result: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReported(Validated):
    """The usage of the run so far, as a running total, or that of one step.

    ``scope`` is ``step`` for the usage of one step, which is added to the others; None for a total.
    """

    type: ClassVar[Literal["usage_reported"]] = "usage_reported"
    usage: Usage
    model: str | None = None
    scope: Literal["step"] | None = None

    def __post_init__(self) -> None:
        if not isinstance(usage := cast("Any", self.usage), Usage):
            given = EventField(type(self).__name__, "usage").checked(usage_fields, usage)
            object.__setattr__(self, "usage", Usage(**given))
        Validated.__post_init__(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowupsSuggested(Validated):
    """Questions that the agent suggests to ask next."""

    type: ClassVar[Literal["followups_suggested"]] = "followups_suggested"
    followups: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequested(Validated):
    """The run waits for a user's decision and is ``paused``; no terminal event needs to follow.

    ``arguments`` are those of the ``tool``, or other data to decide about, as JSON.
    ``answer_schema`` is the JSON schema, as JSON, of the answer that an approval may carry, see
    `Run.approve`; for a tool it is that of its arguments, which the answer replaces.
    ``expires_at`` is when the platform stops waiting, in ISO 8601.
    """

    type: ClassVar[Literal["approval_requested"]] = "approval_requested"
    approval_id: str | None = None
    message: str = ""
    tool: str | None = None
    arguments: str = ""
    answer_schema: str | None = None
    expires_at: str | None = None

    def __post_init__(self) -> None:
        Validated.__post_init__(self)
        object.__setattr__(self, "message", printable(strip_controls(self.message)))
        object.__setattr__(self, "arguments", printable(self.arguments))
        if self.answer_schema is not None:
            object.__setattr__(self, "answer_schema", printable(self.answer_schema))


@dataclass(frozen=True, slots=True, kw_only=True)
class RawEvent(Validated):
    """A wire event kept as received, because its kind is unknown or its content malformed.

    ``name`` is the event name on the wire, ``data`` its payload as text, ``problem`` what is wrong
    with an event of a known kind; None for an unknown kind.
    """

    type: ClassVar[Literal["raw_event"]] = "raw_event"
    name: str
    data: str
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Validated):
    """The run completed.

    ``output`` is the whole answer where the platform repeats it at the end: it is the text of a run
    that streamed none.  ``duration`` is the platform's own figure in seconds.  ``details`` are
    further JSON-like values that it reported.
    """

    type: ClassVar[Literal["run_finished"]] = "run_finished"
    output: str | None = None
    duration: float | None = None
    details: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed(Validated):
    """The run ended without completing.

    ``status`` is ``failed`` (on the platform, or the request was refused), ``truncated`` (the
    stream ended without a terminal event) or ``interrupted`` (the process that ran it ended).
    ``hint`` is one line about what to do next.  ``retry_after`` is how many seconds the platform
    wants clients to wait before another attempt.  ``error_type`` is the name of the exception's
    class, where it came from one.
    """

    type: ClassVar[Literal["run_failed"]] = "run_failed"
    message: str
    status: Literal["failed", "truncated", "interrupted"] = "failed"
    code: str | None = None
    retry_after: float | None = None
    error_type: str | None = None
    hint: str | None = None
    details: dict[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if isinstance(error := cast("Any", self.message), BaseException) and not self.error_type:
            object.__setattr__(self, "error_type", type(error).__name__)
        Validated.__post_init__(self)

    @property
    def next_step(self) -> str | None:
        """The hint and the time to retry; None where neither is known."""
        wait = retry_hint(self.retry_after)
        if self.hint is None or wait is None or wait in self.hint:
            return self.hint or wait
        return with_hint(self.hint, wait)

    @property
    def line(self) -> str:
        """The message and the next step, as displayed."""
        return with_hint(self.message, self.next_step)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCancelled(Validated):
    """The run was cancelled, here or on the platform."""

    type: ClassVar[Literal["run_cancelled"]] = "run_cancelled"
    reason: str | None = None


Event = (
    RunStarted
    | ReasoningDelta
    | TextDelta
    | RefusalDelta
    | ToolCallStarted
    | ToolCallDelta
    | ToolCallFinished
    | CitationAdded
    | MediaProduced
    | StateSnapshot
    | StateDelta
    | StepStarted
    | StepFinished
    | CustomEvent
    | UsageReported
    | FollowupsSuggested
    | ApprovalRequested
    | RawEvent
    | RunFinished
    | RunFailed
    | RunCancelled
)

TERMINAL_EVENTS: Final = (RunFinished, RunFailed, RunCancelled)

_CLASSES: Final[dict[str, type[Event]]] = {cls.type: cls for cls in get_args(Event)}


def event_to_dict(event: Event) -> dict[str, Any]:
    """Return the event's JSON form: its ``type`` and every field that is not None."""
    result: dict[str, Any] = {"type": event.type}
    for f in fields(event):
        value: Any = getattr(event, f.name)
        if value is None:
            continue
        if isinstance(value, Usage):
            value = value.to_dict()
        elif isinstance(value, tuple):
            value = list(cast("tuple[Any, ...]", value))
        result[f.name] = value
    return result


def event_from_dict(data: dict[str, Any]) -> Event:
    """Return the event of a JSON form that `event_to_dict` returned.

    Unknown fields are dropped, so that newer records stay readable; an unknown ``type`` becomes a
    `RawEvent`, and so does an event with a field that its constructor refuses, which earlier
    versions did not validate.

    Raises:
        KeyError: ``data`` has no ``type``.
        TypeError: a required field is missing.
    """
    kind = data["type"]
    cls = _CLASSES.get(kind)
    if cls is None:
        return RawEvent(name=str(kind), data=str(data))
    values = {f.name: data[f.name] for f in fields(cls) if f.name in data}
    required = [f for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]
    if missing := [f.name for f in required if f.name not in values]:
        raise TypeError(f"{cls.__name__} needs {', '.join(missing)}.")
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        return RawEvent(name=str(kind), data=repr(data), problem=str(error))

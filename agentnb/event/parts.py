"""The statuses of a run, and the parts of its transcript: passages, tool calls, steps, media.

The ``depth`` of a part is the number of steps that it is within.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from agentnb._support.text import printable
from agentnb.event.content import MediaProduced

Status = Literal[
    "queued", "running", "paused", "completed", "failed", "cancelled", "truncated", "interrupted"
]
FINAL_STATUSES: frozenset[Status] = frozenset(
    {"completed", "failed", "cancelled", "truncated", "interrupted"}
)
#: Steps deeper than this are displayed at this depth.
MAX_DEPTH: Final = 8


class TextBuffer:
    """Text that grows at its end.

    Appending is O(1) and `since` costs the length of its result: a long answer stays linear.
    """

    __slots__ = ("_chunks", "_length")

    def __init__(self, text: str = "") -> None:
        self._chunks: list[str] = [text] if text else []
        self._length = len(text)

    def append(self, text: str) -> None:
        if text:
            self._chunks.append(text)
            self._length += len(text)

    def extend(self, texts: Sequence[str]) -> None:
        self._chunks.extend(texts)
        self._length += sum(map(len, texts))

    def since(self, offset: int) -> str:
        """Return the text from ``offset`` (code points) on."""
        missing = self._length - offset
        tail: list[str] = []
        # `__str__` may replace the list on another thread; `reversed` keeps this one.
        for chunk in reversed(self._chunks):
            if missing <= 0:
                break
            tail.append(chunk if len(chunk) <= missing else chunk[len(chunk) - missing :])
            missing -= len(chunk)
        return "".join(reversed(tail))

    def __len__(self) -> int:
        return self._length

    def __str__(self) -> str:
        if len(self._chunks) > 1:
            self._chunks = ["".join(self._chunks)]
        return self._chunks[0] if self._chunks else ""

    def __repr__(self) -> str:
        return f"TextBuffer({str(self)!r})"


@dataclass(slots=True)
class Passage:
    """Consecutive text, consecutive reasoning, or a consecutive refusal."""

    kind: Literal["text", "reasoning", "refusal"]
    part_id: str | None = None
    text: TextBuffer = field(default_factory=TextBuffer)
    depth: int = 0
    step: Step | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "text": str(self.text), "depth": self.depth}


@dataclass(slots=True)
class ToolCall:
    """One call of a tool.

    ``arguments_text`` and ``result_text`` are as the platform sent them.  ``started`` and
    ``finished`` are seconds since the run was sent, None without times.
    """

    call_id: str
    name: str
    arguments_text: TextBuffer = field(default_factory=TextBuffer)
    result_text: TextBuffer = field(default_factory=TextBuffer)
    error: str | None = None
    status: Literal["running", "completed", "failed", "abandoned"] = "running"
    started: float | None = None
    finished: float | None = None
    depth: int = 0

    @property
    def kind(self) -> Literal["tool"]:
        return "tool"

    @property
    def arguments(self) -> str:
        """The arguments as text, usually JSON; safe to print, with signs for controls."""
        return printable(str(self.arguments_text))

    @property
    def result(self) -> str:
        """The result as text, "" while there is none; safe to print, too."""
        return printable(str(self.result_text))

    @property
    def duration(self) -> float | None:
        """Seconds from start to end, None while it runs or without times."""
        if self.started is None or self.finished is None:
            return None
        return self.finished - self.started

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": "tool",
            "call_id": self.call_id,
            "name": self.name,
            "arguments": str(self.arguments_text),
            "result": str(self.result_text),
            "error": self.error,
            "status": self.status,
            "started": self.started,
            "finished": self.finished,
            "depth": self.depth,
        }


@dataclass(slots=True)
class Step:
    """A step of the run, or a sub-agent, which the following parts of a greater depth belong to.

    A step that goes on after parts of others is in the list of parts again.  Status and times are
    as those of a tool call.
    """

    step_id: str
    name: str
    error: str | None = None
    status: Literal["running", "completed", "failed", "abandoned"] = "running"
    started: float | None = None
    finished: float | None = None
    depth: int = 0
    parent: Step | None = field(default=None, repr=False)

    @property
    def kind(self) -> Literal["step"]:
        return "step"

    @property
    def duration(self) -> float | None:
        """Seconds from start to end, None while it runs or without times."""
        if self.started is None or self.finished is None:
            return None
        return self.finished - self.started

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": "step",
            "step_id": self.step_id,
            "name": self.name,
            "error": self.error,
            "status": self.status,
            "started": self.started,
            "finished": self.finished,
            "depth": self.depth,
        }


@dataclass(slots=True)
class MediaPart:
    """An image or another file that the run produced."""

    media: MediaProduced
    depth: int = 0

    @property
    def kind(self) -> Literal["media"]:
        return "media"

    def to_dict(self) -> dict[str, Any]:
        fields = {"url": self.media.url, "mime_type": self.media.mime_type, "name": self.media.name}
        return {"kind": "media", **fields, "depth": self.depth}


Part = Passage | ToolCall | Step | MediaPart


@dataclass(slots=True)
class PartIndex:
    """The parts of a transcript by their ids: a search would cost the square of their number.

    ``step`` is the one that the last part belongs to.
    """

    calls: dict[str, ToolCall] = field(default_factory=dict[str, ToolCall])
    passages: dict[tuple[str, str], Passage] = field(default_factory=dict[tuple[str, str], Passage])
    steps: dict[str, Step] = field(default_factory=dict[str, Step])
    step: Step | None = None

    def append(self, parts: list[Part], part: Part, step: Step | None) -> None:
        """Append a part of ``step``, after the steps around it that other parts interrupted."""
        if step is not self.step:
            current = {id(each) for each in _with_parents(self.step)}
            parts += [each for each in _with_parents(step) if id(each) not in current]
        parts.append(part)
        self.step = part if isinstance(part, Step) else step


def _with_parents(step: Step | None) -> list[Step]:
    """Return a step and those around it, as many as are displayed, the outermost first."""
    found: list[Step] = []
    while step is not None and len(found) <= MAX_DEPTH:
        found.insert(0, step)
        step = step.parent
    return found

"""What changed in a run since its page was last told.

`Cursor` is pure: it remembers how far the page has been told, and turns what is new in a transcript
into operations.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from agentnb.event.transcript import Passage, TextBuffer, ToolCall
from agentnb.recording.recording import Waiting
from agentnb.render import RunView
from agentnb.render.visible import well_formed
from agentnb.widgets.bounds import ERROR_TEXT, SHORT_TEXT, part_limit, part_state, shortened
from agentnb.widgets.protocol import (
    Op,
    jsonable,
    run_fields,
    run_state,
    utf16_length,
    waiting_state,
)

__all__ = ["Cursor"]

_Field = Literal["text", "arguments", "result"]
_TOOL_FIELDS: Final = ("status", "started", "finished")


class _Told:
    """How much of one growing text the page has, which is at most its first ``limit``."""

    __slots__ = ("buffer", "limit", "points", "units")

    def __init__(self, buffer: TextBuffer, limit: int) -> None:
        self.buffer = buffer
        self.limit = limit
        self.points = min(len(buffer), limit)
        self.units = utf16_length(str(buffer)[:limit])

    @property
    def more(self) -> int:
        return max(0, len(self.buffer) - self.limit)

    def news(self, buffer: TextBuffer) -> tuple[int, str] | None:
        """Return the offset in UTF-16 units and the text to append; None where none could do.

        Costs what is new, but for a buffer that took another's place.
        """
        if buffer is not self.buffer:
            # Final arguments mostly repeat what had streamed; then nothing, or a tail, is new.
            if not str(buffer).startswith(str(self.buffer)[: self.points]):
                return None
            self.buffer = buffer
        room = self.limit - self.points
        # Not even looked at where the page has all that it is told.
        text = buffer.since(self.points)[:room] if room else ""
        offset = self.units
        self.points += len(text)
        self.units += utf16_length(text)
        return offset, well_formed(text)


class _PartCursor:
    """How much of one part the page has."""

    __slots__ = ("fields", "limit", "seen", "texts")

    def __init__(self, part: Passage | ToolCall, index: int) -> None:
        self.limit = part_limit(part, index)
        self.seen = _look_of(part)
        self.texts: dict[_Field, _Told] = {
            name: _Told(buffer, self.limit) for name, buffer in _buffers(part).items()
        }
        self.fields = self._plain_fields(part)

    def ops(self, index: int, part: Passage | ToolCall) -> list[Op]:
        # Of a thousand parts one or two have changed.
        look = _look_of(part)
        if look == self.seen:
            return []
        self.seen = look
        ops: list[Op] = []
        changed: dict[str, Any] = {}
        for name, buffer in _buffers(part).items():
            news = self.texts[name].news(buffer)
            if news is None:
                changed[name] = jsonable(str(buffer)[: self.limit])
                self.texts[name] = _Told(buffer, self.limit)
            elif news[1]:
                offset, text = news
                ops.append(
                    {"op": "append", "index": index, "field": name, "offset": offset, "text": text}
                )
        fields = self._plain_fields(part)
        if fields != self.fields:
            changed |= {k: jsonable(v) for k, v in fields.items() if v != self.fields[k]}
            self.fields = fields
        if changed:
            ops.append({"op": "set", "index": index, "set": changed})
        return ops

    def _plain_fields(self, part: Passage | ToolCall) -> dict[str, Any]:
        fields: dict[str, Any] = {f"{name}_more": told.more for name, told in self.texts.items()}
        if isinstance(part, ToolCall):
            fields |= {name: getattr(part, name) for name in _TOOL_FIELDS}
            fields["name"] = shortened(part.name, SHORT_TEXT)
            fields["error"] = None if part.error is None else shortened(part.error, ERROR_TEXT)
        return fields


class Cursor:
    """How far the page has been told of a run."""

    def __init__(self) -> None:
        self._parts: list[_PartCursor] = []
        self._run: dict[str, Any] = {}
        self._waiting: Waiting | None = None

    def snapshot(self, view: RunView, waiting: Waiting | None = None) -> dict[str, Any]:
        """Return the whole state; the page knows all of it from here on."""
        parts = enumerate(view.transcript.parts)
        self._parts = [_PartCursor(part, index) for index, part in parts]
        self._run = run_fields(view)
        self._waiting = waiting
        return run_state(view, waiting)

    def ops(self, view: RunView, waiting: Waiting | None = None) -> list[Op]:
        """Return what is new since the last call of this or of `snapshot`; [] where nothing is."""
        ops: list[Op] = []
        fields = run_fields(view)
        changed = {k: jsonable(v) for k, v in fields.items() if v != self._run[k]}
        if waiting != self._waiting or (changed and waiting is not None):
            # Its seconds count from the time that is told beside it.
            changed["waiting"] = jsonable(waiting_state(waiting, now=view.took))
            self._waiting = waiting
        if changed:
            # The page's clock goes on by itself; this sets it right whenever something is said.
            ops.append({"op": "run", "set": {**changed, "elapsed": view.took}})
            self._run = fields
        parts = view.transcript.parts
        for index, told in enumerate(self._parts):
            ops += told.ops(index, parts[index])
        for index in range(len(self._parts), len(parts)):
            part = parts[index]
            ops.append({"op": "part", "index": index, "part": jsonable(part_state(part, index))})
            self._parts.append(_PartCursor(part, index))
        return ops


def _look_of(part: Passage | ToolCall) -> tuple[object, ...]:
    """Return what differs wherever anything of the part does; buffers are equal to none other."""
    if not isinstance(part, ToolCall):
        return part.text, len(part.text)
    given, result = part.arguments_text, part.result_text
    times = part.started, part.finished
    return given, len(given), result, len(result), part.name, part.error, part.status, times


def _buffers(part: Passage | ToolCall) -> dict[_Field, TextBuffer]:
    if isinstance(part, ToolCall):
        return {"arguments": part.arguments_text, "result": part.result_text}
    return {"text": part.text}

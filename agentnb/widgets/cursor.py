"""`Cursor`, the changes of a run since its page was last updated, as operations."""

from __future__ import annotations

from typing import Any

from agentnb._support.text import well_formed
from agentnb.event.transcript import MediaPart, Part, Passage, TextBuffer
from agentnb.recording.recording import Waiting
from agentnb.render import RunView
from agentnb.widgets.bounds import part_fields, part_limit, part_state, part_texts
from agentnb.widgets.protocol import (
    Op,
    jsonable,
    run_fields,
    run_state,
    utf16_length,
    waiting_state,
)


class _TextCursor:
    """Position up to which the page has a growing text, at most ``limit``."""

    __slots__ = ("buffer", "limit", "points", "units")

    def __init__(self, buffer: TextBuffer, limit: int) -> None:
        self.buffer = buffer
        self.limit = limit
        self.points = min(len(buffer), limit)
        self.units = utf16_length(str(buffer)[:limit])

    @property
    def more(self) -> int:
        return max(0, len(self.buffer) - self.limit)

    def advance(self, buffer: TextBuffer) -> tuple[int, str] | None:
        """Return offset in UTF-16 units and text to append; None if the text was replaced.

        The cost is that of the new text, except for a new buffer.
        """
        if buffer is not self.buffer:
            # Final arguments mostly repeat the streamed ones, perhaps with a tail.
            if not str(buffer).startswith(str(self.buffer)[: self.points]):
                return None
            self.buffer = buffer
        room = self.limit - self.points
        text = buffer.since(self.points)[:room] if room else ""
        offset = self.units
        self.points += len(text)
        self.units += utf16_length(text)
        return offset, well_formed(text)


class _PartCursor:
    """State of one part in the page."""

    __slots__ = ("fields", "limit", "signature", "texts")

    def __init__(self, part: Part, index: int) -> None:
        self.limit = part_limit(part, index)
        self.signature = _signature(part)
        self.texts = {
            name: _TextCursor(buffer, self.limit) for name, buffer in part_texts(part).items()
        }
        self.fields = self._fields(part)

    def ops(self, index: int, part: Part) -> list[Op]:
        # Of a thousand parts one or two have changed.
        signature = _signature(part)
        if signature == self.signature:
            return []
        self.signature = signature
        ops: list[Op] = []
        changed: dict[str, Any] = {}
        for name, buffer in part_texts(part).items():
            appended = self.texts[name].advance(buffer)
            if appended is None:
                changed[name] = jsonable(str(buffer)[: self.limit])
                self.texts[name] = _TextCursor(buffer, self.limit)
            elif appended[1]:
                offset, text = appended
                ops.append(
                    {"op": "append", "index": index, "field": name, "offset": offset, "text": text}
                )
        fields = self._fields(part)
        if fields != self.fields:
            changed |= {k: jsonable(v) for k, v in fields.items() if v != self.fields[k]}
            self.fields = fields
        if changed:
            ops.append({"op": "set", "index": index, "set": changed})
        return ops

    def _fields(self, part: Part) -> dict[str, Any]:
        return {f"{name}_more": text.more for name, text in self.texts.items()} | part_fields(part)


class Cursor:
    """State of a run in the page; does no I/O."""

    def __init__(self) -> None:
        self._parts: list[_PartCursor] = []
        self._run: dict[str, Any] = {}
        self._waiting: Waiting | None = None

    def snapshot(self, view: RunView, waiting: Waiting | None = None) -> dict[str, Any]:
        """Return the whole state, from which `ops` continues."""
        parts = enumerate(view.transcript.parts)
        self._parts = [_PartCursor(part, index) for index, part in parts]
        self._run = run_fields(view)
        self._waiting = waiting
        return run_state(view, waiting)

    def ops(self, view: RunView, waiting: Waiting | None = None) -> list[Op]:
        """Return the changes since the last call of this method or of `snapshot`."""
        ops: list[Op] = []
        fields = run_fields(view)
        changed = {k: jsonable(v) for k, v in fields.items() if v != self._run[k]}
        if waiting != self._waiting or (changed and waiting is not None):
            # Its seconds are relative to ``elapsed`` below.
            changed["waiting"] = jsonable(waiting_state(waiting, now=view.took))
            self._waiting = waiting
        if changed:
            # The page's clock runs on its own; each change synchronizes it.
            ops.append({"op": "run", "set": {**changed, "elapsed": view.took}})
            self._run = fields
        parts = view.transcript.parts
        for index, cursor in enumerate(self._parts):
            ops += cursor.ops(index, parts[index])
        for index in range(len(self._parts), len(parts)):
            part = parts[index]
            ops.append({"op": "part", "index": index, "part": jsonable(part_state(part, index))})
            self._parts.append(_PartCursor(part, index))
        return ops


def _signature(part: Part) -> tuple[object, ...]:
    """Return a value that changes with the part; buffers compare by identity."""
    texts = tuple((buffer, len(buffer)) for buffer in part_texts(part).values())
    if isinstance(part, Passage | MediaPart):
        return texts
    return *texts, part.name, part.error, part.status, part.started, part.finished

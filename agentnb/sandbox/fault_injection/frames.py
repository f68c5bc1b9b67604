"""Faults of single events: damaged, duplicated, reordered."""

from __future__ import annotations

from collections.abc import Sequence

from agentnb.sandbox.fault_injection.script import (
    DuplicateFault,
    Fault,
    MalformedFault,
    ReorderFault,
)


def split_frames(body: bytes) -> list[bytes]:
    """Return the frames of a piece of an event stream, each with the blank line that ends it."""
    # The dialects send whole frames, and none contains a blank line.
    return [frame + b"\n\n" for frame in body.split(b"\n\n") if frame]


def is_comment(frame: bytes) -> bool:
    """Return whether ``frame`` is a comment, which does not count as an event."""
    return frame.startswith(b":")


class FrameShaper:
    """Applies the faults of single events to one stream, and counts its events."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.count = 0
        self._faults = [
            f for f in faults if isinstance(f, DuplicateFault | MalformedFault | ReorderFault)
        ]
        self._late: bytes | None = None

    def take(self, frame: bytes) -> list[bytes]:
        """Return the frames to send for the next event."""
        number, self.count = self.count, self.count + 1
        copies = 1
        late = False
        for fault in self._faults:
            match fault:
                case MalformedFault() if fault.events == number:
                    frame = _damaged(frame)
                case DuplicateFault() if fault.events in (None, number):
                    copies += 1
                case ReorderFault() if fault.events == number or (
                    fault.events is None and self._late is None
                ):
                    late = True
                case _:
                    pass
        frames = [frame] * copies
        if late and self._late is None:
            self._late = b"".join(frames)
            return []
        if self._late is not None:
            frames.append(self._late)
            self._late = None
        return frames

    def rest(self) -> list[bytes]:
        """Return the delayed frame that has no successor."""
        rest, self._late = self._late, None
        return [] if rest is None else [rest]


def _damaged(frame: bytes) -> bytes:
    lines = frame.removesuffix(b"\n\n").split(b"\n")
    return b"\n".join(map(_halved, lines)) + b"\n\n"


def _halved(line: bytes) -> bytes:
    name, colon, value = line.partition(b":")
    if name != b"data" or not colon:
        return line
    value = value.removeprefix(b" ")
    head = len(line) - len(value)
    # May cut a character in half, which makes the bytes invalid UTF-8.
    return line[: head + len(value) // 2]

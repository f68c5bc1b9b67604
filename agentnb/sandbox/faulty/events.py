"""What happens to single events on their way: damaged, doubled, out of order."""

from __future__ import annotations

from collections.abc import Sequence

from agentnb.sandbox.faulty.script import Duplicate, Fault, Malformed, Reorder

__all__ = ["Shaper", "frames_of", "is_comment"]


def frames_of(body: bytes) -> list[bytes]:
    """Return the frames of a piece of an event stream, each with the blank line that ends it."""
    # Whole frames are what the dialects send, and none has a blank line inside.
    return [frame + b"\n\n" for frame in body.split(b"\n\n") if frame]


def is_comment(frame: bytes) -> bool:
    """Return whether a frame is a comment, which is no event."""
    return frame.startswith(b":")


class Shaper:
    """One stream's events, counted, and changed as the faults say."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.count = 0
        self._faults = [f for f in faults if isinstance(f, Duplicate | Malformed | Reorder)]
        self._late: bytes | None = None

    def take(self, frame: bytes) -> list[bytes]:
        """Return what is sent for the next event."""
        number, self.count = self.count, self.count + 1
        copies = 1
        late = False
        for fault in self._faults:
            match fault:
                case Malformed() if fault.events == number:
                    frame = _damaged(frame)
                case Duplicate() if fault.events in (None, number):
                    copies += 1
                case Reorder() if fault.events == number or (
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
        """Return what was held back and has no successor."""
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
    # In the middle of a character, too: such bytes are no text at all.
    return line[: head + len(value) // 2]

"""Recorded streams, damaged: as bytes, as lines, as frames, and inside their JSON."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

__all__ = ["Mutator"]

# What parsers have stumbled over: ends of lines, byte order marks, half and overlong characters.
_BYTES: Final = (
    b"\r", b"\n", b"\r\n", b"\n\n", b"\r\r", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc0\x80", b"\xff",
    b"\x00", b"\x1b]8;;", b"\xe2\x80\xa8", b"\xc2\x85", b":", b"data:", b"data: ", b"event: ",
    b"id: ", b"id: \x00\n", b"retry: 99999999999999999999\n", b"[DONE]", b"data: [DONE]\n\n",
)  # fmt: skip
_VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 2**63, 10**400, 1e308, float("nan"), float("inf"), "", "0", "\ud800",
    "\u202e", "null", "{", "x" * 300, [], {}, [[[[]]]], {"type": "text_delta"}, {"a": {"a": {}}},
)  # fmt: skip
_DEEP: Final = 3_000
_FRAME: Final = re.compile(rb"(?:\r\n|\n|\r){2}")
_DATA: Final = re.compile(rb"^data: ?(\{.*\})\r?$", re.MULTILINE)


class Mutator:
    """Makes damaged streams out of whole ones; the same ``seed`` makes the same."""

    def __init__(self, streams: Sequence[bytes], *, seed: int) -> None:
        self._streams = streams
        self._random = random.Random(seed)
        self._ways: Sequence[Callable[[bytes], bytes]] = (
            self._flip,
            self._cut,
            self._repeat,
            self._insert,
            self._splice,
            self._swap_frames,
            self._double_frame,
            self._drop_frame,
            self._truncate,
            self._alter_json,
            self._alter_json,
            self._alter_json,
            self._nest,
        )

    def stream(self) -> bytes:
        """Return a recorded stream with one to five damages."""
        data = self._random.choice(self._streams)
        for _ in range(self._random.randint(1, 5)):
            data = self._random.choice(self._ways)(data)
        return data

    def chunks(self, data: bytes) -> list[bytes]:
        """Return ``data`` in pieces of any sizes, empty ones among them."""
        cuts = sorted(self._random.randint(0, len(data)) for _ in range(self._random.randint(0, 9)))
        return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    def _span(self, data: bytes) -> tuple[int, int]:
        start = self._random.randint(0, len(data))
        return start, min(len(data), start + self._random.choice((1, 1, 2, 5, 20, 200)))

    def _flip(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(self._random.randint(1, 4)):
            if changed:
                changed[self._random.randrange(len(changed))] = self._random.randrange(256)
        return bytes(changed)

    def _cut(self, data: bytes) -> bytes:
        start, end = self._span(data)
        return data[:start] + data[end:]

    def _repeat(self, data: bytes) -> bytes:
        start, end = self._span(data)
        return data[:end] + data[start:end] * self._random.choice((1, 2, 50)) + data[end:]

    def _insert(self, data: bytes) -> bytes:
        at, _ = self._span(data)
        return data[:at] + self._random.choice(_BYTES) + data[at:]

    def _splice(self, data: bytes) -> bytes:
        other = self._random.choice(self._streams)
        at, _ = self._span(data)
        start, end = self._span(other)
        return data[:at] + other[start:end] + data[at:]

    def _truncate(self, data: bytes) -> bytes:
        return data[: self._random.randint(0, len(data))]

    def _frames(self, data: bytes) -> list[bytes]:
        return _FRAME.split(data)

    def _swap_frames(self, data: bytes) -> bytes:
        frames = self._frames(data)
        a, b = (self._random.randrange(len(frames)) for _ in range(2))
        frames[a], frames[b] = frames[b], frames[a]
        return b"\n\n".join(frames)

    def _double_frame(self, data: bytes) -> bytes:
        frames = self._frames(data)
        frames.insert(self._random.randrange(len(frames)), self._random.choice(frames))
        return b"\n\n".join(frames)

    def _drop_frame(self, data: bytes) -> bytes:
        frames = self._frames(data)
        del frames[self._random.randrange(len(frames))]
        return b"\n\n".join(frames)

    def _alter_json(self, data: bytes) -> bytes:
        found = list(_DATA.finditer(data))
        if not found:
            return data
        match = self._random.choice(found)
        try:
            value = json.loads(match[1])
        except (ValueError, RecursionError):
            return data
        changed = json.dumps(self._altered(value)).encode()
        return data[: match.start(1)] + changed + data[match.end(1) :]

    def _altered(self, value: Any) -> Any:
        """Return ``value`` with something in it replaced, left out, renamed or put elsewhere."""
        roll = self._random.random()
        if isinstance(value, dict) and value and roll < 0.8:
            table = dict(cast("dict[str, Any]", value))
            name = self._random.choice(list(table))
            match self._random.randrange(4):
                case 0:
                    table.pop(name)
                case 1:
                    table[name + "_"] = table.pop(name)
                case _:
                    table[name] = self._altered(table[name])
            return table
        if isinstance(value, list) and value and roll < 0.8:
            items = list(cast("list[Any]", value))
            at = self._random.randrange(len(items))
            items[at] = self._altered(items[at])
            return items
        return self._random.choice(_VALUES)

    def _nest(self, data: bytes) -> bytes:
        at, _ = self._span(data)
        deep = b'{"a":' * _DEEP + b"1" + b"}" * _DEEP
        return data[:at] + b"\n\ndata: " + deep + b"\n\n" + data[at:]

"""Recorded streams, and what they are expected to decode to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from agentnb import sse
from agentnb.event.types import Event

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


class EventDecoder(Protocol):
    def decode(self, sse: sse.ServerSentEvent) -> list[Event]: ...
    def finish(self) -> list[Event]: ...


def streams(platform: str) -> list[Path]:
    """The recorded streams of a platform; there is at least one."""
    found = sorted((FIXTURES / platform).glob("*.sse"))
    if not found:
        raise FileNotFoundError(f"no recorded streams of {platform}")
    return found


def by_name(platform: str) -> dict[str, bytes]:
    """The recorded streams of a platform, by name."""
    return {path.stem: path.read_bytes() for path in streams(platform)}


def frames(data: bytes) -> list[sse.ServerSentEvent]:
    return sse.Decoder().feed(data)


def decoded(decoder: EventDecoder, stream: bytes | Iterable[sse.ServerSentEvent]) -> list[Event]:
    """All events of a stream, given as its bytes or its frames."""
    given = frames(stream) if isinstance(stream, bytes) else stream
    events = [event for frame in given for event in decoder.decode(frame)]
    return [*events, *decoder.finish()]


def expected(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def data_frames(payloads: Iterable[Any]) -> bytes:
    """Data-only frames with these JSON payloads."""
    return "".join(f"data: {json.dumps(payload)}\n\n" for payload in payloads).encode()

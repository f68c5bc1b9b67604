"""What goes between a page and its widgets: every comm message, with its size."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, cast

from playwright.sync_api import Page, WebSocket

Direction = Literal["in", "out"]


@dataclass(frozen=True)
class Frame:
    """One comm message; ``size`` is that of the whole frame in bytes, headers and buffers too.

    ``direction`` is as the page sees it.  ``kind`` is ``comm_open``, ``comm_msg`` or
    ``comm_close``, and ``data`` what the widget's side made of it.
    """

    direction: Direction
    kind: str
    comm: str
    data: dict[str, Any]
    size: int

    @property
    def custom(self) -> dict[str, Any] | None:
        """What was sent by a custom message, None where this is none."""
        return self.data.get("content") if self.data.get("method") == "custom" else None

    @property
    def state(self) -> dict[str, Any]:
        """The traits that were told."""
        return self.data.get("state") or {}


class Wire:
    """Listens to the sockets of a page from the moment it is made; make it before opening."""

    def __init__(self, page: Page) -> None:
        self.frames: list[Frame] = []
        page.on("websocket", self._listen)

    def clear(self) -> None:
        self.frames.clear()

    def bytes(self, direction: Direction | None = None) -> int:
        """Return how much went by, one way or both."""
        return sum(f.size for f in self.frames if direction in (None, f.direction))

    def custom(self, direction: Direction) -> list[dict[str, Any]]:
        """Return the custom messages of one direction, in order."""
        return [f.custom for f in self.frames if f.direction == direction and f.custom is not None]

    def _listen(self, socket: WebSocket) -> None:
        # A kernel's socket; others tell of files and terminals.
        if "/channels" in socket.url:
            socket.on("framereceived", lambda payload: self._note("in", payload))
            socket.on("framesent", lambda payload: self._note("out", payload))

    def _note(self, direction: Direction, payload: bytes | str) -> None:
        kind, content = _parse(payload)
        if kind in ("comm_open", "comm_msg", "comm_close"):
            data: dict[str, Any] = content.get("data") or {}
            self.frames.append(Frame(direction, kind, content["comm_id"], data, len(payload)))


def _parse(payload: bytes | str) -> tuple[str, dict[str, Any]]:
    """Return a message's type and content, from the text form of it or the binary one.

    The latter is a number of offsets, the offsets, and then the parts from one to the next.
    """
    if isinstance(payload, str):
        message = cast("dict[str, Any]", json.loads(payload))
        return message["header"]["msg_type"], message["content"]
    count = int.from_bytes(payload[:8], "little")
    starts = [int.from_bytes(payload[8 * at : 8 * at + 8], "little") for at in range(1, count + 1)]
    # The channel, the header, the parent's header, the metadata, the content, the buffers.
    header, content = (payload[starts[at] : starts[at + 1]] for at in (1, 4))
    return json.loads(header)["msg_type"], json.loads(content)

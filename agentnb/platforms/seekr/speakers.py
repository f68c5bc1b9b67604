"""Telling what a sub-agent sent from what the agent that answers sent.

A sub-agent's chunks, or those that begin its messages and parts, name its ``parent_agent_id``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agentnb.platforms.seekr.frames import object_in

__all__ = ["Speakers", "is_from_sub_agent", "parent_agent"]

_PLACES: Final = ("providerMetadata", "messageMetadata", "meta_data", "metadata")
_PARENT: Final = ("parent_agent_id", "parentAgentId")
_AGENT: Final = frozenset({*_PARENT, "agent_id", "agentId"})


def parent_agent(chunk: Mapping[str, Any]) -> str | None:
    """Return the id of the sender's parent agent, "" where it has none, None where it is not told.

    ``chunk`` may be a chunk of a stream, a message or a part of one.
    """
    for place in _PLACES:
        if place not in chunk:
            continue
        outer = object_in(chunk, place)
        for fields in (object_in(outer, "metadata"), outer):
            if not _AGENT.isdisjoint(fields):
                named = (fields.get(name) for name in _PARENT)
                return next((str(parent) for parent in named if parent), "")
    return None


def is_from_sub_agent(record: Mapping[str, Any]) -> bool:
    """Return whether a message, or a part of one, names a parent agent."""
    return bool(parent_agent(record))


class Speakers:
    """Keeps track of who sends the chunks of one stream.

    What a chunk does not tell itself is told by the start of its part, else by the last start or
    metadata of a message.
    """

    def __init__(self) -> None:
        #: Whether what names no agent is a sub-agent's.
        self.is_sub_agent = False
        self._messages = 0
        self._parts: dict[tuple[str, str], bool] = {}

    def begin_message(self, tag: str, chunk: Mapping[str, Any]) -> None:
        """Note a ``start`` or a ``message-metadata``."""
        parent = parent_agent(chunk)
        if parent is not None:
            self.is_sub_agent = bool(parent)
        if tag == "start":
            self.is_sub_agent = bool(parent)
            self._messages = self._messages + 1 if parent else 0

    def end_message(self, chunk: Mapping[str, Any]) -> bool:
        """Note the end of a message; return whether it is that of a sub-agent's."""
        parent = parent_agent(chunk)
        if parent == "" or (parent is None and not self._messages):
            return False
        self._messages = max(0, self._messages - 1)
        self.is_sub_agent = self._messages > 0
        return True

    def begin_part(self, kind: str, part: str | None, chunk: Mapping[str, Any]) -> bool:
        """Note the start of a text or reasoning part; return whether it is a sub-agent's."""
        parent = parent_agent(chunk)
        is_sub_agent = self.is_sub_agent if parent is None else bool(parent)
        if part is not None:
            self._parts[kind, part] = is_sub_agent
        return is_sub_agent

    def sent(self, kind: str, part: str | None, chunk: Mapping[str, Any]) -> bool:
        """Return whether a sub-agent sent a fragment or the end of a part."""
        parent = parent_agent(chunk)
        if parent is not None:
            return bool(parent)
        return self._parts.get((kind, part or ""), self.is_sub_agent)

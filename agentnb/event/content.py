"""Events of an answer's content beyond text: sources, media, steps, state, custom values."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import unquote_to_bytes

from agentnb.event.validation import Validated


@dataclass(frozen=True, slots=True, kw_only=True)
class CitationAdded(Validated):
    """The answer cites a source, by its address, its title, or a passage of it."""

    type: ClassVar[Literal["citation_added"]] = "citation_added"
    url: str | None = None
    title: str | None = None
    quote: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaProduced(Validated):
    """The run produced an image, a sound or another file.

    ``url`` is its address, or a ``data:`` URL with its content.
    """

    type: ClassVar[Literal["media_produced"]] = "media_produced"
    url: str
    mime_type: str = ""
    name: str | None = None

    def __post_init__(self) -> None:
        Validated.__post_init__(self)
        if not self.mime_type and self.url[:5].lower() == "data:":
            kind = self.url[5:].partition(",")[0].partition(";")[0].strip().lower()
            object.__setattr__(self, "mime_type", kind or "text/plain")

    @property
    def content(self) -> bytes | None:
        """The content of a ``data:`` URL; None for another address, or where it is damaged."""
        if self.url[:5].lower() != "data:":
            return None
        head, _, data = self.url[5:].partition(",")
        content = unquote_to_bytes(data)
        if not head.lower().replace(" ", "").endswith(";base64"):
            return content
        try:
            return base64.b64decode(content, validate=True)
        except binascii.Error:
            return None

    def save(self, path: str | Path) -> Path:
        """Write the content to a file, and return its path.

        Raises:
            ValueError: the event has an address only, or its content is damaged.
        """
        if (content := self.content) is None:
            raise ValueError(f"There is no content to save, only the address {self.url[:200]!r}.")
        path = Path(path)
        path.write_bytes(content)
        return path


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted(Validated):
    """A step of the run, or a sub-agent, starts; a repeated one continues.

    What follows belongs to it, until it ends or another step starts or continues; with a
    ``step_id`` of None, to no step.  ``parent_id`` is the step that it is a part of; None means the
    current one.
    """

    type: ClassVar[Literal["step_started"]] = "step_started"
    step_id: str | None = None
    name: str = ""
    parent_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished(Validated):
    """A step ended; one that failed has an ``error``."""

    type: ClassVar[Literal["step_finished"]] = "step_finished"
    step_id: str
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSnapshot(Validated):
    """The whole state that an agent shares with its user, as JSON-like data."""

    type: ClassVar[Literal["state_snapshot"]] = "state_snapshot"
    state: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDelta(Validated):
    """A change of the state: the operations of a JSON Patch (RFC 6902), applied all or none."""

    type: ClassVar[Literal["state_delta"]] = "state_delta"
    patch: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomEvent(Validated):
    """An event that an agent defines: a name, and JSON-like data."""

    type: ClassVar[Literal["custom_event"]] = "custom_event"
    name: str
    value: Any = None

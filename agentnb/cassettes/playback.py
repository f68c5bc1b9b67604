"""Play a cassette back: platforms answer from it, without key, network or configuration."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, cast, overload

from pydantic import ValidationError

from agentnb.cassettes import ACTIVE, PlayableCassette, flush_recorder
from agentnb.cassettes.entries import (
    FORMAT,
    CassetteRun,
    has_cassette_format,
    read_agents,
    read_header,
    read_platform,
)
from agentnb.cassettes.matching import quoted_name
from agentnb.cassettes.platform import PlaybackPlatform
from agentnb.cassettes.player import validate_speed
from agentnb.config import config
from agentnb.config.names import quoted
from agentnb.errors import PlaybackError
from agentnb.platforms import registry
from agentnb.platforms.base import AgentInfo, Capabilities

# Platforms that a message names.
_MAX_NAMES: Final = 10
# Far more than a notebook's runs take; only their requests are kept in memory.
_MAX_BYTES: Final = 512 * 2**20
_MALFORMED: Final = (
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    RecursionError,
)


class Playback(PlayableCassette):
    """A cassette that is played back, until `stop` or the end of a ``with`` block."""

    def __init__(self, path: Path, *, speed: float) -> None:
        super().__init__(path)
        # Absolute, since runs are read again when they are played.
        self._header, entries = _read(path.absolute())
        self._platforms = {
            name: PlaybackPlatform(
                name,
                capabilities,
                [run for run in entries.runs if run.platform == name],
                [agents for platform, agents in entries.lists if platform == name],
                speed=speed,
            )
            for name, capabilities in entries.platforms.items()
        }
        self._configured: tuple[dict[str, str], str | None, str | None] | None = None

    @property
    def left(self) -> int:
        """Number of recorded runs not yet played."""
        return sum(platform.left for platform in self._platforms.values())

    def platform(self, name: str) -> PlaybackPlatform:
        """Return the recorded platform ``name``.

        Raises:
            PlaybackError: the cassette has no such platform.
        """
        if name not in self._platforms:
            names = [*self._platforms][:_MAX_NAMES]
            raise PlaybackError(
                f"{quoted_name(self.path.name)} has nothing of the platform {quoted_name(name)}.",
                hint=f"It has: {', '.join(map(quoted_name, names)) or 'no platform'}.",
            )
        return self._platforms[name]

    def start(self) -> None:
        """Use the recorded platforms, aliases and defaults in place of the configured ones."""
        current, header = config(), self._header
        self._configured = (current.aliases, current.default_agent, current.default_platform)
        current.aliases = {**current.aliases, **(header.get("aliases") or {})}
        current.default_agent = header.get("default_agent") or current.default_agent
        current.default_platform = header.get("default_platform") or current.default_platform
        registry.set_played(tuple(self._platforms))
        ACTIVE.playback = self

    def stop(self) -> None:
        """Return to the platforms and names that are configured."""
        if ACTIVE.playback is not self:
            return
        ACTIVE.playback = None
        registry.set_played(())
        if self._configured is not None:
            current = config()
            current.aliases, current.default_agent, current.default_platform = self._configured


@overload
def playback(path: str | Path, *, speed: float = math.inf) -> Playback: ...
@overload
def playback(path: None) -> None: ...
@overload
def playback(path: str | Path | None, *, speed: float = math.inf) -> Playback | None: ...
def playback(path: str | Path | None, *, speed: float = math.inf) -> Playback | None:
    """Answer from the recording in the file ``path`` from now on; None stops that.

    Every platform of the recording answers as it did when `record` wrote it, with the same times
    and ids, and without key, network or configuration.  A request is answered where all of its
    fields are equal; one that was recorded several times is answered in the recorded order.  A run
    whose request was not recorded fails with `PlaybackError`.  ``speed`` is a multiple of the
    recorded pace; infinity (or 0) waits for nothing.

    The returned cassette stops by its method ``stop``, or as a context manager.  Its runs are not
    kept in the history.

    Raises:
        PlaybackError: the file cannot be read, or is no recording.
    """
    speed = validate_speed(speed)
    flush_recorder()
    cassette = None if path is None else Playback(Path(path), speed=speed)
    if ACTIVE.playback is not None:
        ACTIVE.playback.stop()
    if cassette is not None:
        cassette.start()
    return cassette


@dataclass(slots=True)
class _Entries:
    platforms: dict[str, Capabilities] = field(default_factory=dict[str, Capabilities])
    lists: list[tuple[str, list[AgentInfo]]] = field(
        default_factory=list[tuple[str, list[AgentInfo]]]
    )
    runs: list[CassetteRun] = field(default_factory=list[CassetteRun])

    def add(self, entry: Any, loader: Callable[[], CassetteRun]) -> None:
        """Add a parsed line; ``loader`` reads it again where it is a run.

        Raises:
            KeyError, TypeError, ValueError: any of `_MALFORMED`, where it is no entry.
        """
        kind = entry["entry"]
        if kind == "platform":
            name, capabilities = read_platform(entry)
            self.platforms.setdefault(name, capabilities)
        elif kind == "agents":
            self.lists.append(read_agents(entry))
        elif kind == "run":
            run = CassetteRun.from_json(entry)
            # Validate now what is used only when the run is played.
            run.exception()
            self.runs.append(run.stub(loader))
        elif not isinstance(kind, str):  # a text is an entry of a newer version
            raise TypeError("a name is no text")


def _read(path: Path) -> tuple[dict[str, Any], _Entries]:
    """Return the header of a cassette and its entries."""
    header: dict[str, Any] | None = None
    entries = _Entries()
    name = quoted(str(path), longest=200)[1:-1]
    try:
        if path.exists() and not path.is_file():
            # Reading a pipe or a device may never end.
            raise PlaybackError(f"The recording {name} is no regular file.")
        if path.stat().st_size > _MAX_BYTES:
            raise PlaybackError(f"The recording {name} is larger than {_MAX_BYTES:,} bytes.")
        for number, offset, text in _lines(path):
            where = f"Line {number} of {quoted_name(path.name)}"
            try:
                entry: Any = json.loads(text.decode())
            except (ValueError, RecursionError) as error:
                raise PlaybackError(f"{where} is not JSON: {_reason(error)}.") from error
            if header is None:
                header = _validate_header(path, number, entry)
                continue
            try:
                entries.add(entry, partial(_load, path, number, offset, hash(text)))
            except _MALFORMED as error:
                raise PlaybackError(
                    f"{where} is no entry of a recording: {_reason(error)}.",
                    hint="agentnb.record() makes it anew.",
                ) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise PlaybackError(
            f"The recording {name} cannot be read: {quoted(str(reason))[1:-1]}.",
            hint="agentnb.record() makes one.",
        ) from error
    return (_validate_header(path, 1, None) if header is None else header), entries


def _lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Yield the number, the offset and the text of each line that is not empty."""
    offset = 0
    with path.open("rb") as file:
        # Only a line feed ends a line: text may contain other line separators.
        for number, text in enumerate(file, 1):
            if text.strip():
                yield number, offset, text
            offset += len(text)


def _load(path: Path, number: int, offset: int, digest: int) -> CassetteRun:
    """Return the run of a line that was read before.

    Raises:
        PlaybackError: the line has changed since.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            text = file.readline()
        if hash(text) == digest:
            return CassetteRun.from_json(json.loads(text))
    except OSError:
        pass
    raise PlaybackError(
        f"Line {number} of {quoted_name(path.name)} was changed since the playback began.",
        hint="agentnb.playback() begins another one.",
    )


def _validate_header(path: Path, number: int, first: Any) -> dict[str, Any]:
    """Return the first line of a cassette.

    Raises:
        PlaybackError: it is not one.
    """
    header = cast("dict[str, Any]", first) if isinstance(first, dict) else {}
    kind, name = header.get("format"), quoted_name(path.name)
    if kind != FORMAT:
        raise PlaybackError(
            f"{name} was recorded by another version of agentnb ({quoted_name(kind)})."
            if has_cassette_format(header)
            else f"{name} is no recording.",
            hint="agentnb.record() writes what agentnb.playback() reads.",
        )
    try:
        return read_header(header)
    except ValidationError as error:
        raise PlaybackError(f"Line {number} of {name} is no beginning of a recording.") from error


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        text = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    else:
        text = f"there is no {error}" if isinstance(error, KeyError) else str(error)
    return quoted(text, longest=120)[1:-1]

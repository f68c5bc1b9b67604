"""Playing back: platforms answer from a recording, without key, network or configuration."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, cast, overload

from pydantic import ValidationError

from agentnb.cassettes.cassette import Tape
from agentnb.cassettes.current import NOW, catch_up
from agentnb.cassettes.entries import FORMAT, TapedRun, capabilities_from, read_agents
from agentnb.cassettes.matching import named
from agentnb.cassettes.platform import PlaybackPlatform
from agentnb.cassettes.player import checked_speed
from agentnb.config import config
from agentnb.config.names import quoted
from agentnb.errors import PlaybackError
from agentnb.platforms import registry
from agentnb.platforms.base import AgentInfo, Capabilities

__all__ = ["Playback", "playback"]


class Playback(Tape):
    """A recording that is played back, until `stop` or the end of a ``with`` block."""

    def __init__(self, path: Path, *, speed: float) -> None:
        super().__init__(path)
        # The folder may change before a run is read again.
        header, found = _read(path.absolute())
        self._platforms = {
            name: PlaybackPlatform(
                name,
                capabilities,
                [run for run in found.runs if run.platform == name],
                [agents for platform, agents in found.lists if platform == name],
                speed=speed,
            )
            for name, capabilities in found.platforms.items()
        }
        self._names = _Names(header, tuple(self._platforms))

    @property
    def left(self) -> int:
        """How many recorded runs have not been played."""
        return sum(platform.left for platform in self._platforms.values())

    def platform(self, name: str) -> PlaybackPlatform:
        """Return the recorded platform ``name``.

        Raises:
            PlaybackError: nothing of it was recorded.
        """
        if name not in self._platforms:
            known = ", ".join(map(named, [*self._platforms][:_MOST_NAMES])) or "no platform"
            raise PlaybackError(
                f"{named(self.path.name)} has nothing of the platform {named(name)}.",
                hint=f"It has: {known}.",
            )
        return self._platforms[name]

    def begin(self) -> None:
        """Put its names in force."""
        self._names.put()

    def stop(self) -> None:
        """Let platforms answer themselves again."""
        if NOW.playback is self:
            NOW.playback = None
            self._names.restore()


class _Names:
    """The recording's names in force: its platforms, aliases and defaults."""

    def __init__(self, header: Mapping[str, Any], platforms: tuple[str, ...]) -> None:
        self._header = header
        self._platforms = platforms
        self._before: tuple[dict[str, str], str | None, str | None] | None = None

    def put(self) -> None:
        current = config()
        self._before = (current.aliases, current.default_agent, current.default_platform)
        current.aliases = {**current.aliases, **self._header.get("aliases", {})}
        current.default_agent = self._header.get("default_agent") or current.default_agent
        current.default_platform = self._header.get("default_platform") or current.default_platform
        registry.set_played(self._platforms)

    def restore(self) -> None:
        registry.set_played(())
        if self._before is not None:
            current = config()
            current.aliases, current.default_agent, current.default_platform = self._before


@overload
def playback(path: str | Path, *, speed: float = math.inf) -> Playback: ...
@overload
def playback(path: None) -> None: ...
@overload
def playback(path: str | Path | None, *, speed: float = math.inf) -> Playback | None: ...
def playback(path: str | Path | None, *, speed: float = math.inf) -> Playback | None:
    """Answer from the recording in the file ``path`` from now on; None ends that.

    Every platform of the recording answers as it did when `record` wrote it, with the same times
    and ids, and without key, network or configuration.  A question counts as the same where all
    that was asked is; one that was recorded several times is answered in the recorded order.  A
    run whose question was not recorded fails with `PlaybackError`.  ``speed`` is how many times as
    fast as recorded it is shown, infinity (or 0) is at once.

    What is returned ends the playback by `Tape.stop`, or as a context manager.  Its runs are
    not kept in the history.

    Raises:
        PlaybackError: the file cannot be read, or is no recording.
    """
    speed = checked_speed(speed)
    catch_up()
    made = None if path is None else Playback(Path(path), speed=speed)
    if NOW.playback is not None:
        NOW.playback.stop()
    if made is not None:
        made.begin()
    NOW.playback = made
    return made


@dataclass(slots=True)
class _Found:
    """The entries of a recording."""

    platforms: dict[str, Capabilities] = field(default_factory=dict[str, Capabilities])
    lists: list[tuple[str, list[AgentInfo]]] = field(
        default_factory=list[tuple[str, list[AgentInfo]]]
    )
    runs: list[TapedRun] = field(default_factory=list[TapedRun])

    def take(self, entry: Any, reread: Callable[[], TapedRun]) -> None:
        """Take one entry; of one that is none, any of the exceptions of `_MALFORMED` is raised.

        ``reread`` returns the run of it again, where it is one.
        """
        match entry["entry"]:
            case "platform":
                self.platforms.setdefault(
                    _text(entry["name"]), capabilities_from(entry["capabilities"])
                )
            case "agents":
                agents = read_agents(entry)
                for each in agents:
                    _text(each.id)
                self.lists.append((_text(entry["platform"]), agents))
            case "run":
                run = TapedRun.from_json(entry)
                _text(run.platform)
                # Used when it is played, which would be late to find it wrong.
                run.exception()
                dict[str, Any](run.asked)
                if not all(0 <= at < math.inf for at in (*run.times, run.duration or 0.0)):
                    raise ValueError("a time is none")
                self.runs.append(run.shortened(reread))
            case _:
                # Of a newer version.
                _text(entry["entry"])


# Platforms that a message names.
_MOST_NAMES: Final = 10
# Far more than a notebook's runs take; only questions are kept in memory.
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


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a name is no text")
    return value


def _read(path: Path) -> tuple[dict[str, Any], _Found]:
    """Return the first line of a recording and its entries."""
    header: dict[str, Any] | None = None
    found = _Found()
    shown = quoted(str(path), longest=200)[1:-1]
    try:
        if path.exists() and not path.is_file():
            # Reading a pipe or a device may never end.
            raise PlaybackError(f"The recording {shown} is no regular file.")
        if path.stat().st_size > _MAX_BYTES:
            raise PlaybackError(f"The recording {shown} is larger than {_MAX_BYTES:,} bytes.")
        for number, offset, text in _lines(path):
            try:
                entry: Any = json.loads(text.decode())
            except (ValueError, RecursionError) as error:
                raise PlaybackError(
                    f"Line {number} of {named(path.name)} is not JSON: {_shown(error)}."
                ) from error
            if header is None:
                header = _header(path, number, entry)
                continue
            try:
                found.take(entry, partial(_reread, path, number, offset, hash(text)))
            except _MALFORMED as error:
                raise PlaybackError(
                    f"Line {number} of {named(path.name)} is no entry of a recording: "
                    f"{_shown(error)}.",
                    hint="agentnb.record() makes it anew.",
                ) from error
    except (OSError, ValueError) as error:  # ValueError: no path, as with a NUL
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise PlaybackError(
            f"The recording {shown} cannot be read: {quoted(str(reason))[1:-1]}.",
            hint="agentnb.record() makes one.",
        ) from error
    return (_header(path, 1, None) if header is None else header), found


def _lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Yield the number, the place and the text of each line that is not empty."""
    offset = 0
    with path.open("rb") as file:
        # Only a line feed ends a line: text has other characters that Python takes for line ends.
        for number, text in enumerate(file, 1):
            if text.strip():
                yield number, offset, text
            offset += len(text)


def _reread(path: Path, number: int, offset: int, known: int) -> TapedRun:
    """Return the run of a line that was read before.

    Raises:
        PlaybackError: the file, or what stands there, is another now.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            text = file.readline()
        if hash(text) == known:
            return TapedRun.from_json(json.loads(text))
    except OSError:
        pass
    raise PlaybackError(
        f"Line {number} of {named(path.name)} was changed since the playback began.",
        hint="agentnb.playback() begins another one.",
    )


def _header(path: Path, number: int, first: Any) -> dict[str, Any]:
    """Return the first line of a recording.

    Raises:
        PlaybackError: it is not one.
    """
    header = cast("dict[str, Any]", first) if isinstance(first, dict) else {}
    kind, name = header.get("format"), named(path.name)
    if kind != FORMAT:
        newer = isinstance(kind, str) and kind.startswith(FORMAT.partition("/")[0] + "/")
        raise PlaybackError(
            f"{name} was recorded by another version of agentnb ({named(kind)})."
            if newer
            else f"{name} is no recording.",
            hint="agentnb.record() writes what agentnb.playback() reads.",
        )
    aliases, names = header.get("aliases"), ("default_agent", "default_platform")
    if not (
        aliases is None or (isinstance(aliases, dict) and _are_texts(cast("Any", aliases)))
    ) or not all(isinstance(header.get(each), str | None) for each in names):
        raise PlaybackError(f"Line {number} of {name} is no beginning of a recording.")
    return header


def _shown(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        text = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    else:
        text = f"there is no {error}" if isinstance(error, KeyError) else str(error)
    return quoted(text, longest=120)[1:-1]


def _are_texts(names: Mapping[Any, Any]) -> bool:
    return all(isinstance(part, str) for pair in names.items() for part in pair)

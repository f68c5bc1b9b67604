"""Record the runs of platforms to a file, and play them back without the platforms.

with agentnb.record("answers.jsonl"):
    agentnb.agent("seekr:finance_agent").run("What is the NVDA stock price?")

with agentnb.playback("answers.jsonl"):
    agentnb.agent("seekr:finance_agent").run("What is the NVDA stock price?")

Every run looks here for the active cassette; `recorder` and `playback` are imported where they are
used.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from agentnb.platforms.base_platform import OfflinePlatform

if TYPE_CHECKING:
    from agentnb.platforms.base import AgentInfo, Platform
    from agentnb.recording.base_run import BaseRun, PlatformFacts

__all__ = [
    "active_playback",
    "cassette_count",
    "platform_or_playback",
    "record_agents",
    "record_run",
]


class Cassette(ABC):
    """A file that is recorded to or played back until `stop` or the end of a ``with`` block."""

    _count = 0

    def __init__(self, path: Path) -> None:
        self.path = path
        Cassette._count += 1

    @abstractmethod
    def stop(self) -> None:
        """Stop recording or playing; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        # The same for both, since a notebook displays it when recorded and when played back.
        return f"<Cassette {self.path.name}>"


class RecordableCassette(Cassette):
    """A cassette that runs are recorded to."""

    @abstractmethod
    def flush(self) -> None: ...

    @abstractmethod
    def follow(self, run: BaseRun) -> None: ...

    @abstractmethod
    def write_agents(self, platform: PlatformFacts, agents: Iterable[AgentInfo]) -> None: ...


class PlayableCassette(Cassette):
    """A cassette whose platforms are played back."""

    @abstractmethod
    def platform(self, name: str) -> OfflinePlatform: ...


class _Active:
    recorder: RecordableCassette | None = None
    playback: PlayableCassette | None = None


ACTIVE: Final = _Active()


def cassette_count() -> int:
    """Return how many cassettes this process has opened."""
    return Cassette._count  # pyright: ignore[reportPrivateUsage]


def flush_recorder() -> None:
    """Write the runs that have ended, if a recorder is active."""
    if ACTIVE.recorder is not None:
        ACTIVE.recorder.flush()


def record_run(run: BaseRun) -> None:
    """Have ``run``, which is about to start, recorded if a recorder is active."""
    # Played runs and functions of this process are reproducible without a cassette.
    if ACTIVE.recorder is not None and run.durable and run.client.name != "local":
        ACTIVE.recorder.follow(run)


def record_agents(platform: Platform, agents: Iterable[AgentInfo]) -> None:
    """Record a platform's list of agents if a recorder is active."""
    if ACTIVE.recorder is not None and platform.name != "local":
        ACTIVE.recorder.write_agents(platform, agents)


def active_playback() -> PlayableCassette | None:
    """Return the cassette that is played back; None where platforms answer themselves."""
    return ACTIVE.playback


def platform_or_playback(platform: Platform) -> Platform:
    """Return ``platform``, or the recorded one of its name while a cassette is played back.

    Raises:
        PlaybackError: the cassette has no such platform.
    """
    playback = ACTIVE.playback
    if playback is None or platform.name == "local" or isinstance(platform, OfflinePlatform):
        return platform
    return playback.platform(platform.name)

"""What is recorded and what is played back at this moment.

Every run asks; what records and plays is imported when somebody does that.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from agentnb.cassettes.offline import OfflinePlatform

if TYPE_CHECKING:
    from agentnb.cassettes.playback import Playback
    from agentnb.cassettes.recorder import LiveRun, Recorder
    from agentnb.platforms.base import AgentInfo, Platform

__all__ = ["NOW", "catch_up", "note_agents", "now_playing", "stand_in", "watch"]


class _Now:
    """The recording and the playback that go on, None where there is none."""

    recorder: Recorder | None = None
    playback: Playback | None = None


NOW: Final = _Now()


def catch_up() -> None:
    """Write what has ended, if anything is recorded."""
    if NOW.recorder is not None:
        NOW.recorder.catch_up()


def watch(run: LiveRun) -> None:
    """Have ``run``, which is about to begin, recorded if anything is."""
    # What is played back, and a function of this process, can be had again without.
    if NOW.recorder is not None and run.durable and run.client.name != "local":
        NOW.recorder.follow(run)


def note_agents(platform: Platform, agents: Iterable[AgentInfo]) -> None:
    """Have the list that a platform gave recorded if anything is."""
    if NOW.recorder is not None and platform.name != "local":
        NOW.recorder.list_agents(platform, agents)


def now_playing() -> Playback | None:
    """Return what is played back, None where platforms answer themselves."""
    return NOW.playback


def stand_in(platform: Platform) -> Platform:
    """Return what answers for ``platform`` now: itself, but while a recording is played back.

    Raises:
        PlaybackError: the recording has nothing of it.
    """
    playing = NOW.playback
    if playing is None or platform.name == "local" or isinstance(platform, OfflinePlatform):
        return platform
    return playing.platform(platform.name)

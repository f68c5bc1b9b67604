"""What is remembered of runs: where they are, and what was heard of those that broke off."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from agentnb.errors import RequestError
from agentnb.platforms._run_starts import Asked, AskedRuns
from agentnb.platforms.seekr.api import SeekrApi
from agentnb.platforms.seekr.stream_state import Heard

__all__ = ["Place", "Places"]

# How many runs to remember the place of.
_REMEMBERED: Final = 1000
# How many streams that broke off to remember what was heard of.  Most are taken up again at once or
# never; one that is forgotten is taken up all the same, by comparing what it tells.
_UNFINISHED: Final = 32


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run is: it is found by its thread, cancelled by its agent, and seen by its team."""

    thread_id: str
    agent: str | None
    api: SeekrApi


class Places:
    """The latest runs' places; ``api`` is that of runs that are not among them."""

    def __init__(self, api: SeekrApi) -> None:
        self._api = api
        self._places: OrderedDict[str, Place] = OrderedDict()
        self._heard: OrderedDict[str, Heard] = OrderedDict()
        self._asked = AskedRuns()

    def remember(self, run_id: str, place: Place) -> None:
        """Note where a run is."""
        self._places[run_id] = place
        if len(self._places) > _REMEMBERED:
            self._places.popitem(last=False)

    def of(self, run_id: str | None, session_id: str | None) -> Place:
        """Return where a run is.

        Raises:
            RequestError: no session is given, and the run is not known.
        """
        known = self._places.get(run_id) if run_id is not None else None
        if known is not None and session_id in (None, known.thread_id):
            return known
        if not session_id:
            raise RequestError(
                f"{self._api.name}: a run is found by its thread; session_id is needed.",
                hint="Give session=..., the id of the run's thread.",
            )
        return Place(session_id, None, self._api)

    def ask(self, thread_id: str, *, fresh: bool) -> Asked:
        """Note that a run is asked for now; ``fresh``: in a thread that was made for it."""
        known = {run_id for run_id, p in self._places.items() if p.thread_id == thread_id}
        return self._asked.note(thread_id, Asked(fresh=fresh, known=known))

    def asked(self, thread_id: str, *, fresh: bool = False) -> Asked:
        """Return what is known of the latest run that was asked for in a thread.

        ``fresh`` says that the thread was made for it, where that is known by itself.
        """
        return Asked(fresh=True) if fresh else self._asked.latest(thread_id) or Asked(fresh=False)

    def keep(self, run_id: str, heard: Heard | None) -> None:
        """Keep what was heard of a stream that broke off."""
        if heard is not None:
            self._heard[run_id] = heard
            self._heard.move_to_end(run_id)
        while len(self._heard) > _UNFINISHED:
            self._heard.popitem(last=False)

    def heard(self, run_id: str) -> Heard | None:
        """Return what was kept of a stream, and forget it."""
        return self._heard.pop(run_id, None)

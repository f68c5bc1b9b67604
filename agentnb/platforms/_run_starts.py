"""Asking for a run: what comes before it, and telling it from the others of its session."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from agentnb._http import parse_date
from agentnb.errors import ConnectionFailedError, StreamCutError

__all__ = ["Asked", "AskedRuns", "not_begun"]

# A date in a header has whole seconds; two machines of one platform differ by a little more.
_BEFORE: Final = timedelta(seconds=1)
_AFTER: Final = timedelta(seconds=5)
# Of how many sessions to remember the latest question.
_REMEMBERED: Final = 1000


class Asked:
    """One request for a run; make it before that is sent.

    In a session that is ``fresh``, made for this run, any run is the one.  In another it is one
    that is not ``known`` from before and that began after the request, by the platform's own clock:
    others may have runs there, too.
    """

    def __init__(self, *, fresh: bool, known: Collection[str] = ()) -> None:
        self.is_fresh = fresh
        self._known = frozenset(known)
        self._sent = time.monotonic()
        self._answered = self._sent
        self._date: datetime | None = None

    @property
    def can_tell(self) -> bool:
        """Whether a run can be told from others at all."""
        return self.is_fresh or self._date is not None

    def answered(self, headers: Mapping[str, str]) -> None:
        """Take note of the platform's clock; ``headers`` are those of the request's answer."""
        self._answered = time.monotonic()
        self._date = parse_date(headers.get("date", "")) or self._date

    def began(self, *, within: timedelta | None = None) -> tuple[datetime, datetime] | None:
        """Return between which moments of the platform's clock the run began; None if unknown.

        ``within`` bounds how long after the answer it may have begun.
        """
        if self._date is None:
            return None
        took = timedelta(seconds=self._answered - self._sent)
        since = timedelta(seconds=time.monotonic() - self._answered)
        if within is not None:
            since = min(since, within)
        return self._date - took - _BEFORE, self._date + since + _AFTER

    def is_known(self, run_id: str) -> bool:
        """Tell whether a run is known to be another one, of an earlier request."""
        return run_id in self._known

    def may_be(self, run_id: str, created_at: datetime | None) -> bool:
        """Tell whether a run that the platform lists is the one that was asked for."""
        if self.is_fresh:
            return True
        window = self.began()
        if window is None or created_at is None or self.is_known(run_id):
            return False
        # A later one is of a platform that writes times of another zone without saying so.
        return window[0] <= created_at <= window[1]


class AskedRuns:
    """The latest request in each session that this client has asked in."""

    def __init__(self) -> None:
        self._asked: OrderedDict[str, Asked] = OrderedDict()

    def note(self, session_id: str, asked: Asked) -> Asked:
        """Remember the latest request in a session; return it."""
        self._asked[session_id] = asked
        self._asked.move_to_end(session_id)
        while len(self._asked) > _REMEMBERED:
            self._asked.popitem(last=False)
        return asked

    def latest(self, session_id: str) -> Asked | None:
        """Return the latest request in a session, None where this client has made none."""
        return self._asked.get(session_id)


@contextmanager
def not_begun(name: str) -> Generator[None, None, None]:
    """Have an answer that breaks off in here reported as a failed connection.

    No stream has broken off: the run was not asked for yet, and there is nothing to take up.
    """
    try:
        yield
    except StreamCutError as error:
        raise ConnectionFailedError(
            f"The connection to {name} broke off before the run was asked for."
        ) from error

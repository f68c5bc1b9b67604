"""Identify the run that a request started among the others of its session."""

from __future__ import annotations

import time
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from agentnb._http import parse_date
from agentnb.errors import ConnectionFailedError, StreamCutError

# The Date header has whole seconds; the clocks of a platform's machines differ by a little more.
_BEFORE: Final = timedelta(seconds=1)
_AFTER: Final = timedelta(seconds=5)


class RunStart:
    """One request that starts a run; created before it is sent.

    In a session that is ``fresh``, created for this run, any run is its run.  In another one it is
    a run that is not ``known`` from before and that started after the request, by the platform's
    clock: other clients may have runs there, too.
    """

    def __init__(self, *, fresh: bool, known: Collection[str] = ()) -> None:
        self.is_fresh = fresh
        self._known = frozenset(known)
        self._sent = time.monotonic()
        self._answered = self._sent
        self._date: datetime | None = None

    @property
    def can_tell(self) -> bool:
        """Whether the run can be identified at all."""
        return self.is_fresh or self._date is not None

    def answered(self, headers: Mapping[str, str]) -> None:
        """Read the platform's clock from the headers of the response."""
        self._answered = time.monotonic()
        self._date = parse_date(headers.get("date", "")) or self._date

    def began(self, *, within: timedelta | None = None) -> tuple[datetime, datetime] | None:
        """Return the earliest and latest start of the run by the platform's clock; None if unknown.

        ``within`` bounds how long after the response it may have started.
        """
        if self._date is None:
            return None
        took = timedelta(seconds=self._answered - self._sent)
        since = timedelta(seconds=time.monotonic() - self._answered)
        if within is not None:
            since = min(since, within)
        return self._date - took - _BEFORE, self._date + since + _AFTER

    def is_known(self, run_id: str) -> bool:
        """Return whether a run belongs to an earlier request."""
        return run_id in self._known

    def may_be(self, run_id: str, created_at: datetime | None) -> bool:
        """Return whether a listed run may be the run of this request."""
        if self.is_fresh:
            return True
        window = self.began()
        if window is None or created_at is None or self.is_known(run_id):
            return False
        # A later time comes from a platform that sends local times without their zone.
        return window[0] <= created_at <= window[1]


@contextmanager
def connection_errors(name: str) -> Generator[None, None, None]:
    """Report a truncated response as a failed connection: there is no run to resume."""
    try:
        yield
    except StreamCutError as error:
        raise ConnectionFailedError(
            f"The connection to {name} broke off before the run was requested."
        ) from error

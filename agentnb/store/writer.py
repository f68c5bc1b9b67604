"""The rows of many runs written together: what is new of all that are due."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict, deque
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final

from agentnb.errors import HistoryWarning
from agentnb.recording.base_run import RunFacts
from agentnb.store.entries import Entry, is_of_one_run, prepare
from agentnb.store.processes import HEARTBEAT, end_process, write_process

if TYPE_CHECKING:
    from agentnb.store.store import Store

__all__ = ["Writer"]

_log = logging.getLogger(__name__)

# Runs in one transaction.
_AT_ONCE: Final = 500
# After so many runs that there is no room for, larger ones are not tried.
_NO_ROOM: Final = 3
# Runs that were written and are kept to be written again, where the store's log is removed.
_WRITTEN: Final = 1000


class Writer:
    """What is due of the runs of one process, and the writing of it; used by one thread."""

    def __init__(self) -> None:
        # Runs of which there is something new; any thread adds to it.
        self._queue: deque[Entry] = deque()
        self._due: dict[Entry, None] = {}
        self._live: set[Entry] = set()
        # Ended runs that the store holds, oldest first.
        self._written: OrderedDict[str, RunFacts] = OrderedDict()
        self._store: Store | None = None
        self._epoch = 0
        self._seen_at: float | None = None

    def write_due(self, store: Store, *, ending: bool) -> None:
        """Write all that is due, and with ``ending`` all that goes on, as ending here.

        Raises:
            SQLAlchemyError: the store fails; what is not written stays due.
        """
        from agentnb.store.failures import has_no_room

        if ending:
            self._due |= dict.fromkeys(self._live)
        while True:
            entries = list(islice(self._due, _AT_ONCE))
            try:
                is_whole = self._write(store, entries, ending=ending)
            except Exception as error:
                if has_no_room(error):
                    # Small ones first: where one has no room, what follows has none, either.
                    entries = sorted(self._due, key=_size)
                elif not is_of_one_run(error):
                    raise
                is_whole = self._write_apart(store, entries, ending=ending)
            self._gather()
            if is_whole and (len(entries) < _AT_ONCE or not self._due):
                break

    def _gather(self) -> None:
        while self._queue:
            entry = self._queue.popleft()
            # Before it is looked at: what comes from now on puts it there again.
            entry.queued = False
            self._due[entry] = None
            if not entry.run.done:
                self._live.add(entry)
        for entry in [entry for entry in self._due if entry.closed]:
            self._forget(entry)

    def _begin_anew(self) -> None:
        """Take it that nothing is known of what the store holds."""
        self._epoch += 1
        self._seen_at = None
        self._due |= dict.fromkeys(self._live)

    def _write(self, store: Store, entries: list[Entry], *, ending: bool) -> bool:
        """Write what is new of ``entries``; return False where all that goes on is due again."""
        from agentnb.store.transactions import write

        moment, was_ended = time.monotonic(), False
        prepared = [prepare(entry, self._epoch, store, ending=ending) for entry in entries]
        is_due = self._seen_at is None or moment - self._seen_at >= HEARTBEAT
        if not (entries or ending or (is_due and self._live)):
            return True
        with store.begin() as connection:
            if is_due:
                was_ended = write_process(connection, store)
            write(connection, store, [one.written for one in prepared])
            if ending:
                end_process(connection)
        if is_due:
            self._seen_at = moment
        for one in prepared:
            self.forget(one.entry.replaced)
            one.keep(self._epoch)
            del self._due[one.entry]
            if one.entry.run.done:
                self._live.discard(one.entry)
            if one.is_over:
                one.entry.close()
                self._keep(one.entry)
        if was_ended:
            # Somebody took this process for gone, and its runs for interrupted.
            self._begin_anew()
            self._seen_at = moment
        return not was_ended

    def write_again(self, store: Store) -> bool:
        """Make the written runs due that ``store`` does not have; return whether there are any."""
        from sqlalchemy import select

        from agentnb.store.schema import run

        known = list(self._written)
        there: set[str] = set()
        with store.connect() as connection:
            for start in range(0, len(known), _AT_ONCE):
                some = run.c.key.in_(known[start : start + _AT_ONCE])
                there.update(connection.execute(select(run.c.key).where(some)).scalars())
        missing = [key for key in known if key not in there]
        for key in missing:
            self._due[Entry(self._written.pop(key), ())] = None
        return bool(missing)

    def forget(self, keys: Iterable[str]) -> None:
        """Let go of written runs that were deleted from the store; from any thread."""
        for key in keys:
            self._written.pop(key, None)

    def _keep(self, entry: Entry) -> None:
        self._written[entry.run.local_id] = entry.run
        while len(self._written) > _WRITTEN:
            self._written.popitem(last=False)

    def _write_apart(self, store: Store, entries: list[Entry], *, ending: bool) -> bool:
        """Write runs in ever smaller groups: what cannot be written must not cost the others.

        Raises:
            SQLAlchemyError: there was no room for some of them, which stay due.
        """
        from agentnb.store.failures import has_no_room

        full: list[Exception] = []
        may_make_room = True
        starts = range(0, len(entries), _AT_ONCE)
        groups = deque(entries[start : start + _AT_ONCE] for start in starts)
        while groups and len(full) < _NO_ROOM:
            self._begin_anew()
            group = groups.popleft()
            try:
                self._write(store, group, ending=ending)
                may_make_room = True
            except Exception as error:
                is_full = has_no_room(error)
                if not (is_full or is_of_one_run(error)):
                    raise
                if is_full and may_make_room:
                    # What is written back into the file makes room in SQLite's log.
                    store.write_back()
                    may_make_room = False
                    groups.appendleft(group)
                elif len(group) > 1:
                    middle = len(group) // 2
                    groups.extendleft((group[middle:], group[:middle]))
                elif is_full:
                    full.append(error)
                else:
                    self._give_up(group[0], error)
        if full:
            raise full[-1]
        return True

    def _give_up(self, entry: Entry, error: Exception) -> None:
        _log.info("A run could not be written", exc_info=error)
        self._begin_anew()
        self._forget(entry)
        entry.close()
        self._warn(f"The run {entry.run.id} is not recorded: {type(error).__name__} was raised.")

    def _forget(self, entry: Entry) -> None:
        self._due.pop(entry, None)
        self._live.discard(entry)

    def _warn(self, message: str) -> None:
        # Shown below the cell that runs, or ran last, since a thread has none of its own.
        from agentnb.store.failures import warn

        with suppress(HistoryWarning):
            warn(message)


def _size(entry: Entry) -> int:
    """Return about how many characters of a run are to be written."""
    run = entry.run
    calls = sum(len(call.arguments_text) + len(call.result_text) for call in run.tool_calls)
    transcript = run.transcript
    return len(run.request.prompt) + len(transcript.text) + len(transcript.reasoning) + calls

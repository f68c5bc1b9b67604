"""Writing what is new of the runs of this process."""

from __future__ import annotations

import logging
import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from agentnb.errors import HistoryWarning
from agentnb.recording.base_run import BaseRun
from agentnb.store.processes import HEARTBEAT, process_id, user_name, write_process

if TYPE_CHECKING:
    from agentnb.store.rows import Progress, Rows
    from agentnb.store.store import Store

_log = logging.getLogger(__name__)

# Runs in one transaction.
_BATCH: Final = 500
# After so many runs that do not fit on the disk, larger ones are not tried.
_MAX_FULL: Final = 3
# Written runs that are kept, to be written again if the store's log is removed.
_MAX_WRITTEN: Final = 1000
# Errors of drivers about a value of an unsupported type.
_UNSUPPORTED: Final = re.compile(r"binding parameter|cannot adapt type", re.IGNORECASE)


class Entry:
    """A run, and how much of it is in the store, for the writer's ``epoch``.

    ``replaced`` are the keys of runs that it replaces, ``known_as`` the values by which a pulled
    row of it was last looked up.
    """

    def __init__(self, run: BaseRun, replaced: tuple[str, ...] = ()) -> None:
        self.run = run
        self.replaced = replaced
        self.progress: Progress | None = None
        self.epoch = -1
        self.known_as: Hashable = None
        self.queued = False
        self.closed = False
        self.unsubscribe: Callable[[], None] = lambda: None

    def close(self) -> None:
        """Write nothing more of the run."""
        self.closed = True
        self.unsubscribe()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Update:
    """New rows of an entry, and the entry's state once they are written."""

    entry: Entry
    rows: Rows
    progress: Progress
    known_as: Hashable
    is_last: bool

    def apply(self, epoch: int) -> None:
        entry = self.entry
        entry.progress, entry.epoch, entry.known_as = self.progress, epoch, self.known_as
        entry.replaced = ()


class Writer:
    """The runs of one process that have something to write; used by one thread."""

    def __init__(self) -> None:
        # Any thread appends.
        self._queue: deque[Entry] = deque()
        self._due: dict[Entry, None] = {}
        self._live: set[Entry] = set()
        # Ended runs that the store has, oldest first.
        self._written: OrderedDict[str, BaseRun] = OrderedDict()
        self._store: Store | None = None
        self._epoch = 0
        self._heartbeat_at: float | None = None

    def add(self, entry: Entry) -> None:
        """Write ``entry`` the next time, whether it has something new or not."""
        self._due[entry] = None

    def write_due(self, store: Store, *, ending: bool) -> None:
        """Write all that is due, and with ``ending`` all live runs, as interrupted.

        Raises:
            SQLAlchemyError: the store fails; what is not written stays due.
        """
        from agentnb.store.failures import has_no_room

        if ending:
            self._due |= dict.fromkeys(self._live)
        while True:
            entries = list(islice(self._due, _BATCH))
            try:
                is_complete = self._write(store, entries, ending=ending)
            except Exception as error:
                if has_no_room(error):
                    # Small ones first: where one does not fit, later ones do not, either.
                    entries = sorted(self._due, key=_size)
                elif not is_error_of_run(error):
                    raise
                is_complete = self._write_in_groups(store, entries, ending=ending)
            self._take_queued()
            if is_complete and (len(entries) < _BATCH or not self._due):
                break

    def write_missing(self, store: Store) -> bool:
        """Make written runs due that ``store`` does not have; return whether there are any."""
        from sqlalchemy import select

        from agentnb.store.schema import run

        keys = list(self._written)
        stored: set[str] = set()
        with store.connect() as connection:
            for start in range(0, len(keys), _BATCH):
                batch = run.c.key.in_(keys[start : start + _BATCH])
                stored.update(connection.execute(select(run.c.key).where(batch)).scalars())
        missing = [key for key in keys if key not in stored]
        for key in missing:
            self._due[Entry(self._written.pop(key))] = None
        return bool(missing)

    def forget(self, keys: Iterable[str]) -> None:
        """Never write the runs again that were deleted from the store; from any thread."""
        for key in keys:
            self._written.pop(key, None)

    def _take_queued(self) -> None:
        while self._queue:
            entry = self._queue.popleft()
            # Reset before the run is read: what arrives from now on queues it again.
            entry.queued = False
            self._due[entry] = None
            if not entry.run.done:
                self._live.add(entry)
        for entry in [entry for entry in self._due if entry.closed]:
            self._drop(entry)

    def _reset(self) -> None:
        """Assume nothing about what the store has."""
        self._epoch += 1
        self._heartbeat_at = None
        self._due |= dict.fromkeys(self._live)

    def _write(self, store: Store, entries: list[Entry], *, ending: bool) -> bool:
        """Write what is new of ``entries``; return False where all live runs are due again."""
        from agentnb.store.interruption import end_process
        from agentnb.store.transactions import write

        moment, was_ended = time.monotonic(), False
        updates = [_update(entry, self._epoch, store, ending=ending) for entry in entries]
        beats = self._heartbeat_at is None or moment - self._heartbeat_at >= HEARTBEAT
        if not (entries or ending or (beats and self._live)):
            return True
        with store.begin() as connection:
            if beats:
                was_ended = write_process(connection, store)
            write(connection, store, [update.rows for update in updates])
            if ending:
                end_process(connection)
        if beats:
            self._heartbeat_at = moment
        for update in updates:
            entry = update.entry
            self.forget(entry.replaced)
            update.apply(self._epoch)
            del self._due[entry]
            if entry.run.done:
                self._live.discard(entry)
            if update.is_last:
                entry.close()
                self._written[entry.run.local_id] = entry.run
                while len(self._written) > _MAX_WRITTEN:
                    self._written.popitem(last=False)
        if was_ended:
            # Another process took this one for gone, and its runs for interrupted.
            self._reset()
            self._heartbeat_at = moment
        return not was_ended

    def _write_in_groups(self, store: Store, entries: list[Entry], *, ending: bool) -> bool:
        """Write runs in ever smaller groups, so that one that fails does not cost the others.

        Raises:
            SQLAlchemyError: there is no room for some of them, which stay due.
        """
        from agentnb.store.failures import has_no_room

        full: list[Exception] = []
        may_make_room = True
        starts = range(0, len(entries), _BATCH)
        groups = deque(entries[start : start + _BATCH] for start in starts)
        while groups and len(full) < _MAX_FULL:
            self._reset()
            group = groups.popleft()
            try:
                self._write(store, group, ending=ending)
                may_make_room = True
            except Exception as error:
                is_full = has_no_room(error)
                if not (is_full or is_error_of_run(error)):
                    raise
                if is_full and may_make_room:
                    # A checkpoint makes room in SQLite's log.
                    store.checkpoint()
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
        self._reset()
        self._drop(entry)
        entry.close()
        self._warn(f"The run {entry.run.id} is not recorded: {type(error).__name__} was raised.")

    def _drop(self, entry: Entry) -> None:
        self._due.pop(entry, None)
        self._live.discard(entry)

    def _warn(self, message: str) -> None:
        # Displayed below the cell that runs, or ran last, since a thread has none of its own.
        from agentnb.store.failures import warn

        with suppress(HistoryWarning):
            warn(message)


def _update(entry: Entry, epoch: int, store: Store, *, ending: bool) -> _Update:
    # Imported at the first write: at start-up they would delay the first request.
    from agentnb.store.rows import Progress, rows_of

    run = entry.run
    progress = (entry.progress if entry.epoch == epoch else None) or Progress()
    # Read before the rows are made: what arrives in between is written the next time.
    has_ended = run.done
    is_last = has_ended and run.transcript.is_final
    is_attached = getattr(run, "via", None) == "attach"
    rows, after = rows_of(
        run,
        progress,
        process=process_id(),
        user=user_name(),
        store_content=store.store_content,
        last=ending,
    )
    known_as = (rows.run["run_id"], is_last, epoch)
    rows.replaced = entry.replaced
    rows.may_be_pulled = known_as != entry.known_as and not is_attached
    rows.attach_ended = is_last and is_attached
    rows.has_ended = has_ended and not is_attached
    return _Update(entry=entry, rows=rows, progress=after, known_as=known_as, is_last=is_last)


def is_error_of_run(error: Exception) -> bool:
    """Return whether ``error`` comes from the data of a run rather than from the store."""
    from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

    if isinstance(error, DBAPIError) and _UNSUPPORTED.search(str(error.orig)):
        return True
    return isinstance(error, DataError | IntegrityError) or not isinstance(
        error, SQLAlchemyError | OSError | HistoryWarning | MemoryError
    )


def _size(entry: Entry) -> int:
    """Return about how many characters of a run are to be written."""
    run = entry.run
    calls = sum(len(call.arguments_text) + len(call.result_text) for call in run.tool_calls)
    transcript = run.transcript
    return len(run.request.prompt) + len(transcript.text) + len(transcript.reasoning) + calls

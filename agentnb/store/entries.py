"""What the recorder remembers of each run that it writes."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentnb.errors import HistoryWarning
from agentnb.recording.base_run import RunFacts
from agentnb.store.processes import process_id, user_name

if TYPE_CHECKING:
    from agentnb.store.rows import Progress
    from agentnb.store.store import Store
    from agentnb.store.transactions import Written

__all__ = ["Entry", "Prepared", "is_of_one_run", "prepare"]


_UNBOUND: Final = re.compile(r"binding parameter|cannot adapt type", re.IGNORECASE)


class Entry:
    """A run, and how much of it is in the store that has the number ``epoch``.

    ``replaced`` are the keys of runs in whose place it stands, ``known_as`` what a pulled row of it
    was last looked for by.
    """

    def __init__(self, run: RunFacts, replaced: tuple[str, ...]) -> None:
        self.run = run
        self.replaced = replaced
        self.progress: Progress | None = None
        self.epoch = -1
        self.known_as: Hashable = None
        # Whether it stands in the queue, and whether nothing of it is to be written any more.
        self.queued = False
        self.closed = False
        self.unsubscribe: Callable[[], None] = lambda: None

    def close(self) -> None:
        self.closed = True
        self.unsubscribe()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What is to be written of an entry, and what is known of it once that is written.

    ``is_over``: nothing is to be written of it any more then.
    """

    entry: Entry
    written: Written
    progress: Progress
    known_as: Hashable
    is_over: bool

    def keep(self, epoch: int) -> None:
        """Remember that it was written."""
        entry = self.entry
        entry.progress, entry.epoch, entry.known_as = self.progress, epoch, self.known_as
        entry.replaced = ()


def prepare(entry: Entry, epoch: int, store: Store, *, ending: bool) -> Prepared:
    """Return what is new of ``entry`` since the last time in ``epoch``."""
    # Not before something is written: a first question would wait for it.
    from agentnb.store.rows import Progress, rows_of
    from agentnb.store.transactions import Written

    run = entry.run
    known = entry.progress if entry.epoch == epoch else None
    progress = known or Progress()
    # Before the rows are made: what comes in between is written the next time.
    has_ended = run.done
    is_over = has_ended and run.transcript.is_final
    is_joined = getattr(run, "via", None) == "attach"
    rows, after = rows_of(
        run,
        progress,
        process=process_id(),
        user=user_name(),
        store_content=store.store_content,
        last=ending,
    )
    known_as = (rows.run["run_id"], is_over, epoch)
    written = Written(
        rows=rows,
        is_fresh=progress.is_fresh,
        replaced=entry.replaced,
        may_be_known=known_as != entry.known_as and not is_joined,
        has_joined=is_over and is_joined,
        has_ended=has_ended and not is_joined,
    )
    return Prepared(
        entry=entry, written=written, progress=after, known_as=known_as, is_over=is_over
    )


def is_of_one_run(error: Exception) -> bool:
    """Tell whether ``error`` comes of what is to be written, rather than of the store."""
    from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

    if isinstance(error, DBAPIError) and _UNBOUND.search(str(error.orig)):
        # A value of a type that the driver does not know.
        return True
    return isinstance(error, DataError | IntegrityError) or not isinstance(
        error, SQLAlchemyError | OSError | HistoryWarning | MemoryError
    )

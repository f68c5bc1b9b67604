"""What the recorder remembers of each run that it writes."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from agentnb.errors import HistoryWarning
from agentnb.facts import RunFacts
from agentnb.history.rows import Progress

__all__ = ["Entry", "is_of_one_run"]


class Entry:
    """A run, and how much of it is in the store that has the number ``epoch``.

    ``replaced`` are the keys of runs in whose place it stands, ``known_as`` what a pulled row of it
    was last looked for by.
    """

    def __init__(self, run: RunFacts, replaced: tuple[str, ...]) -> None:
        self.run = run
        self.replaced = replaced
        self.progress = Progress()
        self.epoch = -1
        self.known_as: Hashable = None
        # Whether it stands in the queue, and whether nothing of it is to be written any more.
        self.queued = False
        self.closed = False
        self.unsubscribe: Callable[[], None] = lambda: None

    def close(self) -> None:
        self.closed = True
        self.unsubscribe()


def is_of_one_run(error: Exception) -> bool:
    """Tell whether ``error`` comes of what is to be written, rather than of the store."""
    from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

    return isinstance(error, DataError | IntegrityError) or not isinstance(
        error, SQLAlchemyError | OSError | HistoryWarning | MemoryError
    )

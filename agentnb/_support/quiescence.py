"""Keep a resource unused while the process forks."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

__all__ = ["Quiescence"]

# Longest wait of a fork for other threads, in seconds.
_MAX_WAIT: Final = 5.0


class Quiescence:
    """Counts each thread's uses of a resource, and blocks new ones during a fork."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._users: Counter[int] = Counter()
        self._is_forking = False

    @contextmanager
    def use(self) -> Generator[None]:
        """Mark the block as a use; a fork in another thread waits for its end."""
        thread = threading.get_ident()
        with self._changed:
            # A thread that the fork waits for must not wait itself.
            while self._is_forking and thread not in self._users:
                self._changed.wait(_MAX_WAIT)
            self._users[thread] += 1
        try:
            yield
        finally:
            with self._changed:
                self._users[thread] -= 1
                if not self._users[thread]:
                    del self._users[thread]
                    self._changed.notify_all()

    def begin_fork(self) -> bool:
        """Wait until no other thread uses the resource; return whether none does."""
        thread = threading.get_ident()
        with self._changed:
            self._is_forking = True
            self._changed.wait_for(lambda: not self._users.keys() - {thread}, _MAX_WAIT)
            return not self._users

    def end_fork(self) -> None:
        """Allow uses again."""
        with self._changed:
            self._is_forking = False
            self._changed.notify_all()

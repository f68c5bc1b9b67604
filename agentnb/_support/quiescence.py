"""Keep something unused while the process is forked."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

__all__ = ["Quiescence"]

# How long a fork waits for other threads at most, in seconds.
_PATIENCE: Final = 5.0


class Quiescence:
    """Counts the uses of each thread, and delays new ones while the process is forked."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._users: Counter[int] = Counter()
        self._is_forking = False

    @contextmanager
    def use(self) -> Generator[None]:
        """Mark the block as a use; a fork in another thread waits for its end."""
        thread = threading.get_ident()
        with self._changed:
            # A thread that is waited for must not wait itself.
            while self._is_forking and thread not in self._users:
                self._changed.wait(_PATIENCE)
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
        """Wait until no other thread has a use; return whether no thread has."""
        thread = threading.get_ident()
        with self._changed:
            self._is_forking = True
            self._changed.wait_for(lambda: not self._users.keys() - {thread}, _PATIENCE)
            return not self._users

    def end_fork(self) -> None:
        """Let uses begin again."""
        with self._changed:
            self._is_forking = False
            self._changed.notify_all()

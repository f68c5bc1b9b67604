"""What a recording and a playback have in common: a file, and an end."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Tape", "tapes_begun"]

_begun = 0


class Tape:
    """A file that is recorded to or played back, until `stop` or the end of a ``with`` block."""

    def __init__(self, path: Path) -> None:
        global _begun
        self.path = path
        _begun += 1

    def stop(self) -> None:
        """End it.  Safe to call twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        # The same for both: a notebook shows it when it is recorded and when it is played.
        return f"<Tape {self.path.name}>"


def tapes_begun() -> int:
    """Return how many recordings and playbacks this process began."""
    return _begun

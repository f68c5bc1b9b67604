"""`Check`: one question about an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agentnb.evaluation.expected import Row

__all__ = ["Check"]


@dataclass(frozen=True, slots=True)
class Check:
    """One question about an answer: a name, and what judges an answer and its row.

    ``judge`` returns a bool or a score; ``columns`` are those that it needs in the table, and
    ``reads_row`` says whether it looks at the row at all.
    """

    name: str
    judge: Callable[[str, Row], Any] = field(repr=False)
    columns: tuple[Any, ...] = ()
    reads_row: bool = False

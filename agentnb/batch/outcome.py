"""What a map has brought so far: the results of its rows, and the figures that are shown."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from agentnb._support.fork import renew_lock_after_fork
from agentnb.batch.items import Items
from agentnb.batch.result_table import joined
from agentnb.batch.rows import RowResult
from agentnb.batch.structured import Structured
from agentnb.errors import OutputError
from agentnb.store.prices import Price, computed_cost

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Outcome"]


class Outcome:
    """The results of one map, filled from the loop and from the caller's thread.

    ``known`` are the prices by which a run costs what its platform does not say.
    """

    def __init__(
        self,
        items: Items,
        *,
        structured: Structured | None,
        prefix: str,
        known: Mapping[str, Price],
    ) -> None:
        self.items = items
        self.results: dict[int, RowResult] = {}
        #: Rows that are done, in whatever way but that they were cancelled; those of them that
        #: did not complete; and those that a checkpoint had.
        self.done = 0
        self.failed = 0
        self.reused = 0
        #: What all attempts cost so far, None where none is known to.
        self.cost_usd: float | None = None
        #: The first row that failed.
        self.failure: RowResult | None = None
        self._structured = structured
        self._prefix = prefix
        self._known = known
        self._lock = threading.Lock()
        renew_lock_after_fork(self)

    def tried(self, result: RowResult) -> None:
        """Complete what one attempt brought: its cost, and the answer in the form asked for."""
        if result.cost_usd is None and result.model in self._known:
            tokens = {
                "model": result.model,
                "input_tokens": result.input_tokens,
                "output_tokens": result.output_tokens,
                "cached_tokens": result.cached_tokens,
            }
            result.cost_usd = computed_cost(tokens, self._known)
        if result.cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + result.cost_usd
        self._read(result)

    def settle(self, result: RowResult) -> None:
        """Take in the result of a row."""
        with self._lock:
            self.results[result.position] = result
            if result.status in ("cancelled", "interrupted"):
                return
            self.done += 1
            if result.verdict != "done":
                self.failed += 1
                self.failure = self.failure or result

    def settle_known(self, result: RowResult) -> None:
        """Take in the result of a row that a checkpoint had."""
        self._read(result)
        self.settle(result)
        self.reused += 1

    def completed(self) -> list[RowResult]:
        """Return the results of the rows that need not be asked again."""
        with self._lock:
            return [each for each in self.results.values() if each.is_complete]

    def table(self) -> pd.DataFrame:
        """Return the input with what came of each row, as far as it came."""
        with self._lock:
            results = dict(self.results)
        return joined(self.items, results, self._structured, self._prefix)

    def _read(self, result: RowResult) -> None:
        if self._structured is None or result.status != "completed":
            return
        try:
            result.parsed = self._structured.parse(result.answer or "")
        except OutputError as error:
            # The run completed, and the row did not: nobody could go on with what it brought.
            result.status, result.verdict = "failed", "may_pass"
            result.error, result.error_code = error.message, "output"

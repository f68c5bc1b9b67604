"""Results of a map so far, and their totals."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from agentnb._support.fork import renew_lock_after_fork
from agentnb.batch.items import Items
from agentnb.batch.result_table import StructuredOutput, result_table
from agentnb.batch.rows import RowResult
from agentnb.errors import OutputError
from agentnb.store.prices import Price, computed_cost

if TYPE_CHECKING:
    import pandas as pd


class Outcome:
    """Results of one map, added from the event loop and from the caller's thread.

    ``price_list`` gives the cost of runs whose platform reports none.
    """

    def __init__(
        self,
        items: Items,
        *,
        structured: StructuredOutput | None,
        prefix: str,
        price_list: Mapping[str, Price],
    ) -> None:
        self.items = items
        self.results: dict[int, RowResult] = {}
        #: Rows that are done and not cancelled; those of them that did not complete; and those
        #: that a checkpoint had.
        self.done = 0
        self.failed = 0
        self.reused = 0
        #: Cost of all attempts so far, None if none is known.
        self.cost_usd: float | None = None
        #: The first row that failed.
        self.failure: RowResult | None = None
        self._structured = structured
        self._prefix = prefix
        self._price_list = price_list
        self._lock = threading.Lock()
        renew_lock_after_fork(self)

    def complete_attempt(self, result: RowResult) -> None:
        """Add the cost and the structured answer to the result of an attempt."""
        if result.cost_usd is None and result.model in self._price_list:
            result.cost_usd = computed_cost(asdict(result), self._price_list)
        if result.cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + result.cost_usd
        self._parse(result)

    def add(self, result: RowResult) -> None:
        """Add the final result of a row."""
        with self._lock:
            self.results[result.position] = result
            if result.status in ("cancelled", "interrupted"):
                return
            self.done += 1
            if result.verdict != "done":
                self.failed += 1
                self.failure = self.failure or result

    def add_reused(self, result: RowResult) -> None:
        """Add the result of a row from a checkpoint."""
        self._parse(result)
        self.add(result)
        self.reused += 1

    def completed(self) -> list[RowResult]:
        """Return the results of the rows that need not be run again."""
        with self._lock:
            return [result for result in self.results.values() if result.is_complete]

    def table(self) -> pd.DataFrame:
        """Return the input with the results so far."""
        with self._lock:
            results = dict(self.results)
        return result_table(self.items, results, self._structured, self._prefix)

    def _parse(self, result: RowResult) -> None:
        if self._structured is None or result.status != "completed":
            return
        try:
            result.parsed = self._structured.parse(result.answer or "")
        except OutputError as error:
            # The run completed, but its answer is of no use.
            result.status, result.verdict = "failed", "retryable"
            result.error, result.error_code = error.message, "output"

"""Results of a map, and the table that it returns: its input, with each row's result beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import TypeAdapter

from agentnb._support.fork import renew_lock_after_fork
from agentnb.batch.items import Items
from agentnb.batch.rows import RowResult
from agentnb.errors import OutputError, RequestError
from agentnb.run.output import OutputType, output_schema, parse_output, schema_fields
from agentnb.store.prices import computed_cost, prices
from agentnb.store.values import span
from agentnb.tables.columns import RUN_COLUMNS
from agentnb.tables.frame import frame_from_columns, mark

if TYPE_CHECKING:
    import pandas as pd

_OWN_COLUMNS: Final = {"answer": "string", "attempts": "Int64"}

#: Column -> dtype of the columns that a map adds, in order; those of structured output follow
#: ``status``.
RESULT_COLUMNS: Final[dict[str, str]] = {
    name: _OWN_COLUMNS.get(name) or RUN_COLUMNS[name]
    for name in (
        *("answer", "status", "run_id", "session_id"),
        *("started_at", "finished_at", "duration", "time_to_first_token"),
        *("input_tokens", "output_tokens", "total_tokens", "cached_tokens", "reasoning_tokens"),
        *("cost_usd", "attempts", "error", "error_code", "local_id"),
    )
}

_CONVERTED: Final[dict[str, Callable[[RowResult], Any]]] = {
    "finished_at": lambda row: (
        None
        if row.started_at is None or row.duration is None
        else row.started_at + (span(row.duration) or 0)
    ),
    "duration": lambda row: span(row.duration),
    "time_to_first_token": lambda row: span(row.time_to_first_token),
}
_JSON_DTYPES: Final = {
    "string": "string",
    "integer": "Int64",
    "number": "Float64",
    "boolean": "boolean",
}


class StructuredOutput:
    """Answers parsed as ``output_type``.

    ``columns`` are the columns to add and their dtypes, which do not depend on the answers:
    ``parsed_<field>`` for each field of an object, or ``parsed`` for anything else.

    Raises:
        RequestError: the type has no JSON schema.
    """

    def __init__(self, output_type: OutputType) -> None:
        self.schema = output_schema(output_type)
        self._type = output_type
        self._adapter = None if isinstance(output_type, Mapping) else TypeAdapter[Any](output_type)
        self._fields = schema_fields(self.schema)
        kinds = {f"parsed_{name}": kind for name, kind in self._fields.items()} or {"parsed": None}
        self.columns = {
            name: "object" if kind is None else _JSON_DTYPES[kind] for name, kind in kinds.items()
        }

    def parse(self, answer: str) -> Any:
        """Return the answer as plain data.

        Raises:
            OutputError: the answer does not conform to the type.
        """
        value = parse_output(answer, self._type)
        if self._adapter is not None:
            return self._adapter.dump_python(value, mode="json", by_alias=True)
        return value

    def values(self, parsed: Any) -> list[Any]:
        """Return the values of ``parsed`` for the columns; None for missing fields."""
        if not self._fields:
            return [parsed]
        fields = cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}
        return [fields.get(name) for name in self._fields]


class Outcome:
    """Results of one map, added from the event loop and from the caller's thread.

    Raises:
        RequestError: the input has a column of a name that the map adds.
    """

    def __init__(self, items: Items, structured: StructuredOutput | None, prefix: str) -> None:
        self._dtypes = _added_columns(structured, prefix)
        if duplicates := [name for name in items.names() or () if name in self._dtypes]:
            names = ", ".join(map(repr, duplicates))
            raise RequestError(
                f"The input has {names} already, which the answers are to be.",
                hint="Give a prefix for what is added, as in prefix='new_'.",
            )
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
        # For runs whose platform reports no cost.
        self._price_list = prices()
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
        import pandas as pd

        with self._lock:
            results = dict(self.results)
        source, structured, prefix = self.items.frame(), self._structured, self._prefix
        missing = RowResult(position=-1, status=None)
        rows = [results.get(position, missing) for position in range(len(source))]
        columns: dict[str, list[Any]] = {}
        for name in RESULT_COLUMNS:
            convert = _CONVERTED.get(name, attrgetter(name))
            columns[prefix + name] = list(map(convert, rows))
        if structured is not None:
            parsed = [structured.values(row.parsed) for row in rows]
            for number, name in enumerate(structured.columns):
                columns[prefix + name] = [values[number] for values in parsed]
        dtypes = self._dtypes
        typed = {name: dtype for name, dtype in dtypes.items() if dtype != "object"}
        added = frame_from_columns(columns, typed)
        for place, (name, dtype) in enumerate(dtypes.items()):
            if dtype == "object":
                added.insert(place, name, pd.Series(columns[name], dtype=object))
        added.index = source.index
        if (levels := source.columns.nlevels) > 1:
            added.columns = pd.MultiIndex.from_tuples(
                [(name, *[""] * (levels - 1)) for name in added.columns], names=source.columns.names
            )
        # `concat` loses the mark of `added`.
        return mark(pd.concat([source, added], axis=1) if len(source.columns) else added)

    def _parse(self, result: RowResult) -> None:
        if self._structured is None or result.status != "completed":
            return
        try:
            result.parsed = self._structured.parse(result.answer or "")
        except OutputError as error:
            # The run completed, but its answer is of no use.
            result.status, result.verdict = "failed", "retryable"
            result.error, result.error_code = error.message, "output"


def _added_columns(structured: StructuredOutput | None, prefix: str) -> dict[str, str]:
    dtypes: dict[str, str] = {}
    for name, dtype in RESULT_COLUMNS.items():
        dtypes[prefix + name] = dtype
        if name == "status" and structured is not None:
            dtypes |= {prefix + column: kind for column, kind in structured.columns.items()}
    return dtypes

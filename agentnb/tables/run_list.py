"""A list of runs that can become a table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final, Generic, SupportsIndex, TypeVar, overload

from agentnb.event.types import Usage
from agentnb.platforms._usage import read_usage
from agentnb.platforms.base import RemoteRun
from agentnb.render.visible import one_line
from agentnb.store.prices import computed_cost, prices
from agentnb.store.timestamps import to_micros
from agentnb.tables.columns import RUN_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RunList", "remote_record"]

T = TypeVar("T")

# Rows that are shown at most.
_SHOWN: Final = 20
_HEADINGS: Final = ("run", "agent", "status", "started", "seconds", "question or error")
# Characters of a question that are shown.
_WIDTH: Final = 60


class RunList(list[T], Generic[T]):
    """Runs: `agentnb.Run`, or as a platform lists them (`RemoteRun`).

    A list in every other respect; `DataFrame` makes a table of it.  ``platform`` names the platform
    of those that it lists.
    """

    def __init__(self, runs: Iterable[T] = (), *, platform: str | None = None) -> None:
        super().__init__(runs)
        self.platform = platform

    @overload
    def __getitem__(self, index: SupportsIndex) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> RunList[T]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> T | RunList[T]:
        if isinstance(index, slice):
            return RunList(super().__getitem__(index), platform=self.platform)
        return super().__getitem__(index)

    def DataFrame(self) -> pd.DataFrame:
        """Return one row for each run, in order, with the columns and dtypes of `agentnb.runs`."""
        from agentnb.tables.records import run_record
        from agentnb.tables.tables import record_table

        known = prices()
        return record_table(
            [
                remote_record(run, platform=self.platform)
                if isinstance(run, RemoteRun)
                else run_record(run, known)
                for run in self
            ]
        )

    def to_pandas(self) -> pd.DataFrame:
        """Return the same as `DataFrame`."""
        return self.DataFrame()

    def __repr__(self) -> str:
        rows = [_HEADINGS, *(_row(run) for run in self[:_SHOWN])]
        widths = [max(len(row[place]) for row in rows) for place in range(len(_HEADINGS))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        if len(self) > _SHOWN:
            lines.append(f"… and {len(self) - _SHOWN} more")
        return "\n".join([self._title(), *(lines if self else [])])

    def _repr_html_(self) -> str:
        def cells(row: Iterable[str], tag: str) -> str:
            return "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row)

        if not self:
            return f"<p>{escape(self._title())}</p>"
        rows = "".join(f"<tr>{cells(_row(run), 'td')}</tr>" for run in self[:_SHOWN])
        more = f"<p>… and {len(self) - _SHOWN} more</p>" if len(self) > _SHOWN else ""
        return (
            f"<p>{escape(self._title())}</p>"
            '<table class="mathjax_ignore tex2jax_ignore">'
            f"<thead><tr>{cells(_HEADINGS, 'th')}</tr></thead>"
            f"<tbody>{rows}</tbody></table>{more}"
        )

    def _title(self) -> str:
        if not self:
            return "No runs"
        states = Counter(str(getattr(run, "status", "unknown")) for run in self)
        counted = ", ".join(f"{count} {status}" for status, count in states.items())
        return f"{len(self)} run{'s' if len(self) > 1 else ''}: {counted}"


def remote_record(run: RemoteRun, *, platform: str | None = None) -> dict[str, Any]:
    """Return the record of a run as its platform lists it, as `records` has those of runs."""
    began = run.started_at or run.created_at
    took = None
    if run.started_at is not None and run.finished_at is not None:
        took = max(0, to_micros(run.finished_at) - to_micros(run.started_at))
    usage = read_usage(run.raw.get("usage")) or Usage()
    record: dict[str, Any] = dict.fromkeys(RUN_COLUMNS)
    record.update(
        run_id=run.id,
        session_id=run.session_id,
        platform=platform,
        agent=run.agent,
        model=run.model,
        status=run.status,
        text=run.output,
        started_at=None if began is None else to_micros(began),
        finished_at=None if run.finished_at is None else to_micros(run.finished_at),
        duration=took,
        error=run.error,
        source="platform",
        remote=json.dumps(dict(run.raw), default=str),
        **{f.name: getattr(usage, f.name) for f in fields(usage)},
    )
    if usage.cost_usd is not None:
        record["cost_source"] = "platform"
    elif (cost := computed_cost(record, prices())) is not None:
        record.update(cost_usd=cost, cost_source="prices")
    return record


def _row(run: Any) -> tuple[str, ...]:
    """Return what is shown of a run, a cell each."""
    is_remote = isinstance(run, RemoteRun)
    began: datetime | None = (run.started_at or run.created_at) if is_remote else run.created_at
    took: float | None = None
    if not is_remote:
        took = run.duration
    elif run.started_at is not None and run.finished_at is not None:
        took = (run.finished_at - run.started_at).total_seconds()
    said = run.error or ("" if is_remote else run.prompt)
    return (
        one_line(run.id, 40),
        one_line(run.agent or "", 40),
        run.status,
        "" if began is None else f"{began.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        "" if took is None else f"{took:.1f}",
        one_line(said, _WIDTH),
    )

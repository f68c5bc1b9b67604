"""A list of runs that can become a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final, Generic, SupportsIndex, TypeVar, overload

from agentnb.platforms.base import RemoteRun
from agentnb.render.visible import one_line

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")

_MAX_ROWS: Final = 20
_HEADINGS: Final = ("run", "agent", "status", "started", "seconds", "question or error")
_MAX_PROMPT_CHARS: Final = 60


class RunList(list[T], Generic[T]):
    """List of runs: each an `agentnb.Run`, or a `RemoteRun` as ``platform`` lists it."""

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
        from agentnb.tables.runs import run_table

        return run_table(self, platform=self.platform)

    def to_pandas(self) -> pd.DataFrame:
        """Return the same as `DataFrame`."""
        return self.DataFrame()

    def __repr__(self) -> str:
        rows = [_HEADINGS, *map(_row, self[:_MAX_ROWS])] if self else []
        return "\n".join([self._title(), *aligned(rows, left=len(_HEADINGS)), *self._more()])

    def _repr_html_(self) -> str:
        if not self:
            return f"<p>{escape(self._title())}</p>"
        return html_table(self._title(), _HEADINGS, map(_row, self[:_MAX_ROWS]), *self._more())

    def _more(self) -> list[str]:
        return [f"… and {len(self) - _MAX_ROWS} more"] if len(self) > _MAX_ROWS else []

    def _title(self) -> str:
        if not self:
            return "No runs"
        states = Counter(str(getattr(run, "status", "unknown")) for run in self)
        counted = ", ".join(f"{count} {status}" for status, count in states.items())
        return f"{len(self)} run{'s' if len(self) > 1 else ''}: {counted}"


def _row(run: Any) -> tuple[str, ...]:
    is_remote = isinstance(run, RemoteRun)
    started: datetime | None = (run.started_at or run.created_at) if is_remote else run.created_at
    duration: float | None = None
    if not is_remote:
        duration = run.duration
    elif run.started_at is not None and run.finished_at is not None:
        duration = (run.finished_at - run.started_at).total_seconds()
    text = run.error or ("" if is_remote else run.prompt)
    return (
        one_line(run.id, 40),
        one_line(run.agent or "", 40),
        run.status,
        "" if started is None else f"{started.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        "" if duration is None else f"{duration:.1f}",
        one_line(text, _MAX_PROMPT_CHARS),
    )


def aligned(rows: Sequence[Sequence[str]], *, left: int) -> list[str]:
    """Return a line of each row; columns from number ``left`` on are aligned right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:left], widths, strict=False)]
        numbers = zip(row[left:], widths[left:], strict=True)
        cells += [cell.rjust(width) for cell, width in numbers]
        lines.append("  ".join(cells).rstrip())
    return lines


def html_table(
    title: str, headings: Iterable[str], rows: Iterable[Iterable[str]], *notes: str
) -> str:
    """Return a table as HTML, below ``title`` and above ``notes``, all of it as text."""

    def cells(row: Iterable[str], tag: str) -> str:
        return "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row)

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return (
        f"<p>{escape(title)}</p>"
        '<table class="mathjax_ignore tex2jax_ignore">'
        f"<thead><tr>{cells(headings, 'th')}</tr></thead>"
        f"<tbody>{body}</tbody></table>" + "".join(f"<p>{escape(note)}</p>" for note in notes)
    )

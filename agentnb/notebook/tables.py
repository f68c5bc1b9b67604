"""Small tables, which the commands show."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agentnb._secrets import mask
from agentnb.render import one_line, visible

__all__ = ["Table", "table"]

_CELL: Final = 200
# Up to so many characters a column's cells are not broken; from so many on it gets room.
_SHORT: Final = 26
_LONG: Final = 40


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that show themselves as an HTML table or as aligned text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    empty: str = "Nothing."
    notes: tuple[str, ...] = ()
    preformatted: str = ""
    _width: int = field(default=_CELL, repr=False)

    def __repr__(self) -> str:
        lines: list[str] = []
        if self.rows:
            table = [self.columns, *self.rows]
            widths = [max(len(row[i]) for row in table) for i in range(len(self.columns))]
            for row in table:
                cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
                lines.append("  ".join(cells).rstrip())
        else:
            lines.append(self.empty)
        lines += self.notes
        if self.preformatted:
            lines += ["", self.preformatted.rstrip()]
        return "\n".join(lines)

    def bundle(self) -> dict[str, str]:
        """Return what shows it where nothing else does."""
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def _repr_html_(self) -> str:
        parts: list[str] = []
        if self.rows:
            # Jupyter aligns cells to the right, as for numbers.
            head = "".join(
                f'<th style="text-align:left">{html.escape(c)}</th>' for c in self.columns
            )
            styles = [self._style(i) for i in range(len(self.columns))]
            body = "".join(
                "<tr>"
                + "".join(
                    f'<td style="{style}">{html.escape(cell)}</td>'
                    for style, cell in zip(styles, row, strict=True)
                )
                + "</tr>"
                for row in self.rows
            )
            parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
        else:
            parts.append(f"<p>{html.escape(self.empty)}</p>")
        parts += [f"<p>{html.escape(note)}</p>" for note in self.notes]
        if self.preformatted:
            parts.append(f"<pre>{html.escape(self.preformatted)}</pre>")
        # A formula in a description is none.
        return f'<div class="mathjax_ignore tex2jax_ignore">{"".join(parts)}</div>'

    def _style(self, column: int) -> str:
        """Return how the cells of a column look: dates and figures in a line, text in several."""
        longest = max(len(row[column]) for row in self.rows)
        if longest <= _SHORT:
            return "text-align:left;white-space:nowrap"
        return "text-align:left" + (";min-width:14em" if longest > _LONG else "")


def table(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    empty: str = "Nothing.",
    notes: Sequence[str] = (),
    preformatted: str = "",
) -> Table:
    """Return a table of ``rows``; long cells are shortened and control characters made visible."""
    return Table(
        tuple(columns),
        tuple(tuple(_cell(row.get(c, "")) for c in columns) for row in rows),
        empty=empty,
        notes=tuple(visible(n) for n in notes),
        preformatted=preformatted,
    )


def _cell(value: Any) -> str:
    # What a platform lists may hold anything, the key that it was asked with, too.
    return one_line(mask(str(value)), _CELL)

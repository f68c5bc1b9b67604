"""Tables that the commands display."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agentnb.redaction.secrets import mask
from agentnb.render.visible import one_line, visible

_CELL: Final = 200
# Columns up to _SHORT characters do not wrap; those beyond _LONG get a minimum width.
_SHORT: Final = 26
_LONG: Final = 40
# Overrides Jupyter's alignment to the right.
_LEFT: Final = "text-align:left"


@dataclass(frozen=True, slots=True)
class ColumnGroup:
    """Columns merged into one cell, side by side where there is room, else stacked.

    ``style`` is the CSS of the cell, ``shares`` the flex values of the columns.
    """

    style: str
    shares: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows displayed as an HTML table or as aligned text.

    ``column_groups`` cover all columns in order; ``bold_rows`` have a bold first cell.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    empty: str = "Nothing."
    notes: tuple[str, ...] = ()
    preformatted: str = ""
    column_groups: tuple[ColumnGroup, ...] = ()
    bold_rows: frozenset[int] = frozenset()

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
        """Return it as a MIME bundle."""
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def _repr_html_(self) -> str:
        parts: list[str] = []
        if self.rows:
            head = self._row("th", self.columns, [_LEFT] * len(self.columns))
            styles = [self._style(i) for i in range(len(self.columns))]
            body = "".join(
                self._row("td", row, styles, bold_rows=i in self.bold_rows)
                for i, row in enumerate(self.rows)
            )
            parts.append(f"<table><thead>{head}</thead><tbody>{body}</tbody></table>")
        else:
            parts.append(f"<p>{html.escape(self.empty)}</p>")
        parts += [f"<p>{html.escape(note)}</p>" for note in self.notes]
        if self.preformatted:
            parts.append(f"<pre>{html.escape(self.preformatted)}</pre>")
        # Descriptions are not formulas.
        return f'<div class="mathjax_ignore tex2jax_ignore">{"".join(parts)}</div>'

    def _row(
        self, tag: str, row: Sequence[str], styles: Sequence[str], *, bold_rows: bool = False
    ) -> str:
        cells = [html.escape(cell) for cell in row]
        if self.column_groups:
            styles = [f"{_LEFT};vertical-align:top;{group.style}" for group in self.column_groups]
            cells = _grouped(cells, self.column_groups)
        if bold_rows:
            styles = [f"{styles[0]};font-weight:bold", *styles[1:]]
        elements = (
            f'<{tag} style="{style}">{cell}</{tag}>'
            for style, cell in zip(styles, cells, strict=True)
        )
        return f"<tr>{''.join(elements)}</tr>"

    def _style(self, column: int) -> str:
        """Return the CSS of a column: short cells do not wrap, long ones get room."""
        longest = max(len(row[column]) for row in self.rows)
        if longest <= _SHORT:
            return f"{_LEFT};white-space:nowrap"
        return _LEFT + (";min-width:14em" if longest > _LONG else "")


def table(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str] = (),
    *,
    empty: str = "Nothing.",
    notes: Sequence[str] = (),
    preformatted: str = "",
) -> Table:
    """Return a table of ``rows``; long cells are shortened and control characters made visible.

    ``columns`` are by default those of the first row.
    """
    columns = tuple(columns or (rows[0] if rows else ()))
    return Table(
        columns,
        tuple(tuple(_cell(row.get(c, "")) for c in columns) for row in rows),
        empty=empty,
        notes=tuple(visible(n) for n in notes),
        preformatted=preformatted,
    )


def _grouped(cells: Sequence[str], groups: Sequence[ColumnGroup]) -> list[str]:
    rest = iter(cells)
    return [
        '<div style="display:flex;flex-wrap:wrap;gap:.3em 1em">'
        + "".join(f'<div style="flex:{share}">{next(rest)}</div>' for share in group.shares)
        + "</div>"
        for group in groups
    ]


def _cell(value: Any) -> str:
    # Platforms may echo the key; masked again because shortening may have split one.
    return mask(one_line(mask(str(value)), _CELL))

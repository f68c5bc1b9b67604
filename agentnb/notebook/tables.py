"""Small tables, which the commands show."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agentnb.redaction.secrets import mask
from agentnb.render.visible import one_line, visible

__all__ = ["Beside", "Table", "table"]

_CELL: Final = 200
# Up to so many characters a column's cells are not broken; from so many on it gets room.
_SHORT: Final = 26
_LONG: Final = 40
# Jupyter aligns cells to the right, as for numbers.
_LEFT: Final = "text-align:left"


@dataclass(frozen=True, slots=True)
class Beside:
    """Columns that stand beside each other where there is room, else above each other.

    ``style`` is that of all of them together, ``shares`` how each takes part in it.
    """

    style: str
    shares: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that show themselves as an HTML table or as aligned text.

    ``beside`` puts all columns together, in their order; ``strong`` are the rows whose first ones
    stand out.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    empty: str = "Nothing."
    notes: tuple[str, ...] = ()
    preformatted: str = ""
    beside: tuple[Beside, ...] = ()
    strong: frozenset[int] = frozenset()
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
            head = self._row("th", self.columns, [_LEFT] * len(self.columns))
            styles = [self._style(i) for i in range(len(self.columns))]
            body = "".join(
                self._row("td", row, styles, strong=i in self.strong)
                for i, row in enumerate(self.rows)
            )
            parts.append(f"<table><thead>{head}</thead><tbody>{body}</tbody></table>")
        else:
            parts.append(f"<p>{html.escape(self.empty)}</p>")
        parts += [f"<p>{html.escape(note)}</p>" for note in self.notes]
        if self.preformatted:
            parts.append(f"<pre>{html.escape(self.preformatted)}</pre>")
        # A formula in a description is none.
        return f'<div class="mathjax_ignore tex2jax_ignore">{"".join(parts)}</div>'

    def _row(
        self, tag: str, row: Sequence[str], styles: Sequence[str], *, strong: bool = False
    ) -> str:
        cells = [html.escape(cell) for cell in row]
        if self.beside:
            styles = [f"{_LEFT};vertical-align:top;{group.style}" for group in self.beside]
            cells = _put_beside(cells, self.beside)
        if strong:
            styles = [f"{styles[0]};font-weight:bold", *styles[1:]]
        told = (
            f'<{tag} style="{style}">{cell}</{tag}>'
            for style, cell in zip(styles, cells, strict=True)
        )
        return f"<tr>{''.join(told)}</tr>"

    def _style(self, column: int) -> str:
        """Return how the cells of a column look: dates and figures in a line, text in several."""
        longest = max(len(row[column]) for row in self.rows)
        if longest <= _SHORT:
            return f"{_LEFT};white-space:nowrap"
        return _LEFT + (";min-width:14em" if longest > _LONG else "")


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


def _put_beside(cells: Sequence[str], groups: Sequence[Beside]) -> list[str]:
    rest = iter(cells)
    return [
        '<div style="display:flex;flex-wrap:wrap;gap:.3em 1em">'
        + "".join(f'<div style="flex:{share}">{next(rest)}</div>' for share in group.shares)
        + "</div>"
        for group in groups
    ]


def _cell(value: Any) -> str:
    # What a platform lists may hold anything, the key that it was asked with, too.
    # What is left out of a line may have split a key.
    return mask(one_line(mask(str(value)), _CELL))

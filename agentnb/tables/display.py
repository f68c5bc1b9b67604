"""How a notebook shows tables of ours: as any of pandas', but what is in them is text.

pandas lets a notebook typeset whatever stands between two dollar signs, and neither it nor a
browser shows what is unseen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentnb.render.visible import visible

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["mark", "shown_html", "shown_text"]

# Of a table's `attrs`, which pandas hands on to what is made of it: `head`, a choice of columns.
_MARK: Final = "agentnb"


def mark(table: pd.DataFrame) -> pd.DataFrame:
    """Return the same table, as one that holds texts of agents."""
    table.attrs[_MARK] = True
    return table


def shown_html(table: pd.DataFrame) -> str | None:
    """Return any table as HTML, None where pandas makes none of it."""
    import pandas as pd

    if _MARK not in table.attrs:
        return _html(table)
    with pd.option_context("display.html.use_mathjax", False):
        made = _html(table)
    return None if made is None else visible(made)


def shown_text(table: pd.DataFrame) -> str:
    """Return any table as text."""
    return visible(repr(table)) if _MARK in table.attrs else repr(table)


def _html(table: pd.DataFrame) -> str | None:
    return table._repr_html_()  # pyright: ignore  # what IPython calls

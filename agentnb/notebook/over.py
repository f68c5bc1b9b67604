"""``%%agent --over``: one question for each row of a table, and the table that comes of it."""

from __future__ import annotations

import ast
import builtins
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from agentnb.batch.items import ITEM, as_items, is_missing
from agentnb.errors import RequestError
from agentnb.notebook.template import evaluated, taken_apart
from agentnb.render.view import seconds
from agentnb.tables.frame import mark, shown_html, shown_text

__all__ = ["RowPrompts", "table_bundle", "the_data"]

# What is shown of a map's own columns, of those that hold anything; ids and times are in the table.
_HIDDEN: Final = (
    "run_id",
    "session_id",
    "started_at",
    "finished_at",
    "time_to_first_token",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "attempts",
    "error_code",
    "local_id",
)
_SOMETIMES: Final = ("duration", "total_tokens", "cost_usd", "error")
# So many names stand in a message.
_LISTED: Final = 20


def the_data(expression: str, namespace: dict[str, Any]) -> Any:
    """Return what ``--over`` names: a table, or anything that can be gone through.

    Raises:
        RequestError: the expression raised.
    """
    try:
        return eval(expression, namespace)
    except Exception as error:
        quoted = isinstance(error, NameError | SyntaxError) and not expression.isidentifier()
        raise RequestError(
            f"--over {expression}: {type(error).__name__}: {error}.",
            hint="Put an expression in quotes, as in --over \"df[df['price'] > 10]\"."
            if quoted
            else None,
        ) from error


class RowPrompts:
    """What the rows of ``data`` ask, by the text of a cell: called with a row, as a map does.

    ``{{column}}`` stands for the row's value, and any other ``{{expression}}`` for its value in the
    notebook's ``namespace``, in which the columns are names as well.  A value is put in once and
    not looked at again.

    Raises:
        RequestError: an expression uses a name that there is not.
    """

    def __init__(self, text: str, data: Any, namespace: Mapping[str, Any]) -> None:
        #: The same as ``data``, also where that can be gone through only once.
        self.data: Any = data
        if isinstance(data, Iterator):
            rest = cast("Iterator[Any]", data)
            # The first one tells what names there are.
            data = list(itertools.islice(rest, 1))
            self.data = itertools.chain(data, rest)
        known = as_items(data).names()
        self._is_table = isinstance(data, Mapping) or any(
            hasattr(data, name) for name in ("iloc", "to_pandas")
        )
        self._names = known or []
        self._namespace = namespace
        self._texts, self._sources = taken_apart(text.strip(), self._names)
        self._uses = [_uses(source, self._names) for source in self._sources]
        if known is not None:
            self._check()

    def __call__(self, row: Any) -> str:
        values = self._values(row)
        scope = {**self._namespace, **values}

        def evaluate(source: str) -> Any:
            return eval(source, scope)

        pieces = [self._texts[0]]
        for source, used, text in zip(self._sources, self._uses, self._texts[1:], strict=True):
            value = values[source] if source in values else evaluated(source, evaluate)
            if is_missing(value) and used & values.keys():
                raise RequestError(f"'{source}' is missing in the row, which was not sent.")
            pieces += (str(value), text)
        return "".join(pieces)

    def _values(self, row: Any) -> dict[str, Any]:
        if self._is_table:
            values = dict(zip(self._names, row, strict=False))
            # A Series has its own name for its one column, and another.
            if ITEM in self._names and ITEM not in values:
                values[ITEM] = next(iter(row))
            return values
        items = as_items([row])
        names = items.names() or []
        for _, found in items.rows(names, whole=False):
            if isinstance(found, RequestError):
                raise found
            return dict(zip(names, found, strict=True))
        return {}

    def _check(self) -> None:
        names = {*self._names, *self._namespace, *vars(builtins)}
        unknown = [name for used in self._uses for name in sorted(used) if name not in names]
        if unknown:
            raise RequestError(
                "The cell names "
                + ", ".join(f"'{name}'" for name in dict.fromkeys(unknown))
                + f"; each row has {_listed(self._names)}."
            )


def _uses(source: str, columns: Collection[str]) -> set[str]:
    """Return the names that an expression takes from outside of itself."""
    if source in columns:
        return {source}
    nodes = list(ast.walk(ast.parse(source, mode="eval")))
    named = [node for node in nodes if isinstance(node, ast.Name)]
    own = {node.id for node in named if not isinstance(node.ctx, ast.Load)}
    own |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    return {node.id for node in named} - own


def _took(span: Any) -> str:
    return "" if is_missing(span) else seconds(span.total_seconds())


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_LISTED])
    return f"{shown} and {len(names) - _LISTED} more" if len(names) > _LISTED else shown


def table_bundle(table: Any, *, prefix: str = "", format: str = "rich") -> dict[str, str]:
    """Return how the table of a map is shown: what was asked, what came of it, and what it cost.

    What is in it is text, see `agentnb.tables.frame`, and pandas shows no more of a long table
    than its options say.
    """
    hidden = {prefix + name for name in _HIDDEN}
    hidden |= {
        name for each in _SOMETIMES if (name := prefix + each) in table and table[name].isna().all()
    }
    shown = table.loc[:, [column not in hidden for column in table.columns]]
    if (name := f"{prefix}duration") in shown:
        shown = shown.assign(**{name: [_took(each) for each in shown[name]]})
    mark(shown)
    bundle = {"text/plain": shown_text(shown)}
    if format != "text" and (html := shown_html(shown)) is not None:
        bundle["text/html"] = html
    return bundle

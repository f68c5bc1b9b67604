"""``%%agent --over``: one prompt for each row of a table, and the resulting table."""

from __future__ import annotations

import ast
import builtins
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from agentnb.batch.items import ITEM, as_items, is_missing
from agentnb.errors import RequestError
from agentnb.notebook.template import evaluate_expression, split_template
from agentnb.render.view import seconds
from agentnb.tables.frame import frame_html, frame_text, mark

# Columns of a map that are not displayed, and those displayed only if they have values.
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
_HIDDEN_IF_EMPTY: Final = ("duration", "total_tokens", "cost_usd", "error")
# How many names an error lists.
_MAX_NAMES: Final = 20


def evaluate_data(expression: str, namespace: dict[str, Any]) -> Any:
    """Return the value of the expression of ``--over``: a table, or any iterable.

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


class PromptTemplate:
    """Template of the prompts of the rows of ``data``; called with a row.

    ``{{column}}`` stands for the row's value, and any other ``{{expression}}`` for its value in the
    notebook's ``namespace`` extended by the columns.  Values are not expanded again.

    Raises:
        RequestError: an expression uses an unknown name.
    """

    def __init__(self, text: str, data: Any, namespace: Mapping[str, Any]) -> None:
        #: Equivalent to ``data``, even if that is an iterator.
        self.data: Any = data
        if isinstance(data, Iterator):
            rest = cast("Iterator[Any]", data)
            # The names are taken from the first item.
            data = list(itertools.islice(rest, 1))
            self.data = itertools.chain(data, rest)
        known = as_items(data).names()
        self._is_table = isinstance(data, Mapping) or any(
            hasattr(data, name) for name in ("iloc", "to_pandas")
        )
        self._names = known or []
        self._namespace = namespace
        self._texts, self._sources = split_template(text.strip(), self._names)
        self._names_used = [_free_names(source, self._names) for source in self._sources]
        if known is not None:
            self._check()

    def __call__(self, row: Any) -> str:
        values = self._values(row)
        scope = {**self._namespace, **values}

        def evaluate(source: str) -> Any:
            return eval(source, scope)

        pieces = [self._texts[0]]
        for source, used, text in zip(
            self._sources, self._names_used, self._texts[1:], strict=True
        ):
            value = values[source] if source in values else evaluate_expression(source, evaluate)
            if is_missing(value) and used & values.keys():
                raise RequestError(f"'{source}' is missing in the row, which was not sent.")
            pieces += (str(value), text)
        return "".join(pieces)

    def _values(self, row: Any) -> dict[str, Any]:
        if self._is_table:
            values = dict(zip(self._names, row, strict=False))
            # The column of a Series has a second name.
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
        unknown = [name for used in self._names_used for name in sorted(used) if name not in names]
        if unknown:
            raise RequestError(
                "The cell names "
                + ", ".join(f"'{name}'" for name in dict.fromkeys(unknown))
                + f"; each row has {_listed(self._names)}."
            )


def _free_names(source: str, columns: Collection[str]) -> set[str]:
    if source in columns:
        return {source}
    nodes = list(ast.walk(ast.parse(source, mode="eval")))
    named = [node for node in nodes if isinstance(node, ast.Name)]
    own = {node.id for node in named if not isinstance(node.ctx, ast.Load)}
    own |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    return {node.id for node in named} - own


def _duration(span: Any) -> str:
    return "" if is_missing(span) else seconds(span.total_seconds())


def _listed(names: Sequence[str]) -> str:
    listed = ", ".join(names[:_MAX_NAMES])
    return f"{listed} and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else listed


def table_bundle(table: Any, *, prefix: str = "", format: str = "rich") -> dict[str, str]:
    """Return the display of a map's table: inputs, answers and cost, as text and HTML.

    Cells are escaped, see `agentnb.tables.frame`; pandas' options limit the rows.
    """
    hidden = {prefix + name for name in _HIDDEN}
    hidden |= {
        name
        for each in _HIDDEN_IF_EMPTY
        if (name := prefix + each) in table and table[name].isna().all()
    }
    frame = table.loc[:, [column not in hidden for column in table.columns]]
    if (name := f"{prefix}duration") in frame:
        frame = frame.assign(**{name: [_duration(each) for each in frame[name]]})
    mark(frame)
    bundle = {"text/plain": frame_text(frame)}
    if format != "text" and (html := frame_html(frame)) is not None:
        bundle["text/html"] = html
    return bundle

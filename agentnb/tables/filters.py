"""The filters that the functions of tables share, and the rows of the store that match them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypedDict, TypeVar, get_type_hints

from agentnb._support.fork import imported
from agentnb.store.filters import Filters, Moment, Order, Some

if TYPE_CHECKING:
    from sqlalchemy import Select

P = ParamSpec("P")
T = TypeVar("T")


class RunFilters(TypedDict, total=False):
    """Filters of runs, see `agentnb.runs`; None filters nothing."""

    agent: Some | None
    platform: Some | None
    status: Some | None
    session: Some | None
    user: Some | None
    model: Some | None
    source: Some | None
    since: Moment | None
    until: Moment | None
    text: str | None
    this_kernel: bool


_PARAMETERS: Final = [
    inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=False if name == "this_kernel" else None,
        annotation=annotation,
    )
    for name, annotation in get_type_hints(RunFilters).items()
]


def takes_filters(function: Callable[P, T]) -> Callable[P, T]:
    """Name the filters in the signature of ``function``, for help, completion and errors."""
    signature = inspect.signature(function)
    *own, _ = signature.parameters.values()
    first = [each for each in own if each.kind is not inspect.Parameter.KEYWORD_ONLY]
    parameters = [*first, *_PARAMETERS, *own[len(first) :]]
    known = {each.name for each in parameters}

    @wraps(function)
    def table(*args: P.args, **kwargs: P.kwargs) -> T:
        for name in kwargs:
            if name not in known:
                raise TypeError(
                    f"{function.__name__}() got an unexpected keyword argument '{name}'"
                )
        return function(*args, **kwargs)

    table.__dict__["__signature__"] = signature.replace(parameters=parameters)
    return table


def stored_columns(
    select: Callable[[Filters, Order, str], Select[Any]],
    names: Iterable[str],
    filters: Filters,
    by: Order,
    limit: int | None,
) -> dict[str, list[Any]]:
    """Return the columns ``names`` of the rows that ``select`` selects in the store's dialect."""
    imported("agentnb.store.statements")
    from agentnb.store.statements import check_names, open_store, pages, reading

    store = open_store()
    columns: dict[str, list[Any]] = {name: [] for name in names}
    is_empty = True
    statement = select(filters, by, store.dialect).limit(limit)
    with reading(store) as connection:
        for page in pages(connection, statement):
            is_empty = False
            for values, added in zip(columns.values(), zip(*page, strict=True), strict=True):
                values.extend(added)
    check_names(store, filters, empty=is_empty)
    return columns

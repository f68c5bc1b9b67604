"""What a map is given: a table, or anything that can be gone through once."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping, Sequence, Sized
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from pydantic import BaseModel

from agentnb._support.text import printable
from agentnb.errors import RequestError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ITEM", "Items", "as_items", "is_missing"]

#: What an item that has no names in it is called, in a prompt and in the table.
ITEM: Final = "item"


class Items(Protocol):
    """The input of a map, which is gone through once, and no further than it is asked to.

    ``total`` is how many rows there are, None where only the end will tell.
    """

    total: int | None

    def names(self) -> list[str] | None:
        """Return what a template may name; None where there is no row to tell it by."""
        ...

    def rows(
        self, names: Sequence[str], *, whole: bool
    ) -> Iterator[tuple[Any, Sequence[Any] | RequestError]]:
        """Yield each row and the values that ``names`` have in it, or what speaks against them.

        The row is what a callable is given, None unless the ``whole`` of it is asked for.
        """
        ...

    def label(self, position: int) -> str:
        """Return what a message calls the row."""
        ...

    def frame(self) -> pd.DataFrame:
        """Return the rows as a table: all of it, or those that were gone through."""
        ...


class _TableItems:
    """The rows of a table, which is neither copied nor changed.

    ``alone``: it was a Series, whose one column may be called `ITEM`, too.
    """

    def __init__(self, frame: pd.DataFrame, *, alone: bool = False) -> None:
        self.total: int | None = len(frame)
        self._frame = frame
        self._names = [_name(column) for column in frame.columns]
        if alone and self._names != [ITEM]:
            self._names.append(ITEM)

    def names(self) -> list[str] | None:
        return self._names

    def rows(
        self, names: Sequence[str], *, whole: bool
    ) -> Iterator[tuple[Any, Sequence[Any] | RequestError]]:
        import pandas as pd

        for name in names:
            if (count := self._names.count(name)) > 1:
                raise RequestError(f"{count} columns are called '{name}'.")
        frame, width = self._frame, len(self._frame.columns)
        places = [min(self._names.index(name), width - 1) for name in names]
        if not whole:
            # By columns: ten times as fast as by rows, and it gives Python's own numbers.
            for values in self._by_columns(places):
                yield None, values
            return
        columns = frame.columns
        for label, values in zip(frame.index, self._by_columns(range(width)), strict=True):
            # Not `iterrows`, which makes floats of whole numbers that stand beside floats.
            row = pd.Series(list(values), index=columns, name=label, dtype=object)
            yield row, [values[place] for place in places]

    def label(self, position: int) -> str:
        return repr(self._frame.index[position])

    def frame(self) -> pd.DataFrame:
        return self._frame

    def _by_columns(self, places: Iterable[int]) -> Iterable[Sequence[Any]]:
        columns = [self._frame.iloc[:, place] for place in places]
        return zip(*columns, strict=True) if columns else [()] * len(self._frame)


class _LazyItems:
    """The items of an iterable, kept for the table as they are asked for."""

    def __init__(self, data: Iterable[Any]) -> None:
        self.total = len(data) if isinstance(data, Sized) else None
        self._source = iter(data)
        self._kept: list[Any] = []

    def names(self) -> list[str] | None:
        first = list(islice(self._source, 1))
        self._source = chain(first, self._source)
        return [_name(key) for key in _fields(first[0])] if first else None

    def rows(
        self, names: Sequence[str], *, whole: bool
    ) -> Iterator[tuple[Any, Sequence[Any] | RequestError]]:
        for item in self._source:
            self._kept.append(item)
            yield item, _values(item, names)

    def label(self, position: int) -> str:
        return str(position)

    def frame(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(
            [{key: _shown(value) for key, value in _fields(item).items()} for item in self._kept]
        )


def as_items(data: Any) -> Items:
    """Return ``data`` as what a map goes through.

    A pandas DataFrame or Series, whatever has ``to_pandas``, a mapping of columns, or any iterable:
    of texts, mappings, dataclasses, pydantic models, tuples or whatever else.

    Raises:
        RequestError: it is nothing of that.
    """
    if isinstance(data, str | bytes | BaseModel):
        raise RequestError(
            f"A map takes many items, and was given one {type(data).__name__}.",
            hint="Put it in a list, or use run().",
        )
    if isinstance(data, AsyncIterable):
        raise RequestError(
            "An asynchronous iterable cannot be mapped.",
            hint="Collect it first: [item async for item in data].",
        )
    if callable(convert := getattr(data, "to_pandas", None)):
        data = convert()
    if (pandas := _pandas_of(data)) is not None:
        if isinstance(data, pandas.DataFrame):
            return _TableItems(data)
        if isinstance(data, pandas.Series):
            series: Any = data
            return _TableItems(
                series.to_frame(ITEM if series.name is None else series.name), alone=True
            )
    if isinstance(data, Mapping):
        return _TableItems(_columns(cast("Mapping[Any, Any]", data)))
    if not isinstance(data, Iterable):
        raise RequestError(f"A {type(data).__name__} holds no items to be mapped.")
    return _LazyItems(cast("Iterable[Any]", data))


def is_missing(value: Any) -> bool:
    """Tell whether ``value`` says that there is none: None, NaN, NaT or ``pandas.NA``."""
    if value is None:
        return True
    if isinstance(value, str | int):
        return False
    if type(value).__name__ == "NAType":
        return True
    try:
        return bool(value != value)
    except Exception:
        # An array, say, which is one thing in each place.
        return False


def _pandas_of(data: Any) -> Any:
    """Return pandas where ``data`` is of it: without, it need not be imported."""
    for kind in type(data).__mro__:
        if kind.__module__.partition(".")[0] == "pandas":
            import pandas as pd

            return pd
    return None


def _columns(data: Mapping[Any, Any]) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.DataFrame(dict(data))
    except (TypeError, ValueError) as error:
        raise RequestError(
            f"A mapping is taken for columns of a table, and these make none: {error}.",
            hint="For one row of each of its items, give list(data.items()).",
        ) from error


def _name(key: Any) -> str:
    """Return what a template calls a column: its levels with dots, where it has several."""
    return ".".join(map(str, cast("tuple[Any, ...]", key))) if isinstance(key, tuple) else str(key)


def _fields(item: Any) -> Mapping[Any, Any]:
    """Return what ``item`` holds, by name; by place where it is a tuple without names."""
    if isinstance(item, Mapping):
        return cast("Mapping[Any, Any]", item)
    if isinstance(item, BaseModel):
        return dict(item)
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        return {each.name: getattr(item, each.name) for each in dataclasses.fields(item)}
    if isinstance(item, tuple):
        values = cast("tuple[Any, ...]", item)
        return dict(zip(getattr(values, "_fields", range(len(values))), values, strict=True))
    return {ITEM: item}


def _shown(value: Any) -> Any:
    # As in all tables that are made here, by which no text commands the terminal.
    return printable(value) if type(value) is str else value


def _values(item: Any, names: Sequence[str]) -> Sequence[Any] | RequestError:
    if not names:
        return ()
    fields = _fields(item)
    try:
        return [fields[name] for name in names]
    except KeyError:
        # Numbers and tuples may be names, too.
        named = {_name(key): value for key, value in fields.items()}
    for name in names:
        if name not in named:
            return RequestError(f"The row has no '{name}', but {', '.join(named) or 'nothing'}.")
    return [named[name] for name in names]

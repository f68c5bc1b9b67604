"""Input of a map, a table or an iterable that is read once, and the prompts of its rows.

Prompts are templates whose ``{{name}}`` is replaced by values, or a callable's results.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import BaseModel

from agentnb._support.text import printable
from agentnb.errors import AgentnbError, RequestError
from agentnb.platforms.media import MediaLike, media_items

if TYPE_CHECKING:
    import pandas as pd

#: Name of an item without fields, in a prompt and in the table.
ITEM: Final = "item"


class _TableItems:
    """Rows of a table, which is neither copied nor changed.

    ``is_series``: its only column may be called `ITEM`, too.
    """

    def __init__(self, frame: pd.DataFrame, *, is_series: bool = False) -> None:
        self.total: int | None = len(frame)
        self._frame = frame
        self._names = [_name(column) for column in frame.columns]
        if is_series and self._names != [ITEM]:
            self._names.append(ITEM)

    def names(self) -> list[str] | None:
        """Return the names that a template may use, None if there are no rows."""
        return self._names

    def rows(
        self, names: Sequence[str], *, whole: bool
    ) -> Iterator[tuple[Any, Sequence[Any] | RequestError]]:
        """Yield each row and its values of ``names``, or an error if it lacks one.

        The row is passed to callables; for tables it is None unless ``whole``.
        """
        import pandas as pd

        for name in names:
            if (count := self._names.count(name)) > 1:
                raise RequestError(f"{count} columns are called '{name}'.")
        frame, width = self._frame, len(self._frame.columns)
        columns = [min(self._names.index(name), width - 1) for name in names]
        if not whole:
            for values in self._values(columns):
                yield None, values
            return
        for label, values in zip(frame.index, self._values(range(width)), strict=True):
            # Unlike `iterrows`, this keeps integers beside floats.
            row = pd.Series(list(values), index=frame.columns, name=label, dtype=object)
            yield row, [values[column] for column in columns]

    def label(self, position: int) -> str:
        """Return the row's label for messages."""
        return repr(self._frame.index[position])

    def frame(self) -> pd.DataFrame:
        """Return a table of all rows, or of those read so far."""
        return self._frame

    def _values(self, columns: Iterable[int]) -> Iterable[Sequence[Any]]:
        # By columns: ten times as fast as by rows, and with Python's own numbers.
        series = [self._frame.iloc[:, column] for column in columns]
        return zip(*series, strict=True) if series else [()] * len(self._frame)


class _IterableItems:
    """Items of an iterable; those that were read are kept for the table."""

    def __init__(self, data: Iterable[Any]) -> None:
        self.total = len(data) if isinstance(data, Sized) else None
        self._source = iter(data)
        self._read: list[Any] = []

    def names(self) -> list[str] | None:
        first = list(islice(self._source, 1))
        self._source = chain(first, self._source)
        return [_name(key) for key in _fields(first[0])] if first else None

    def rows(
        self, names: Sequence[str], *, whole: bool
    ) -> Iterator[tuple[Any, Sequence[Any] | RequestError]]:
        for item in self._source:
            self._read.append(item)
            yield item, _values(item, names)

    def label(self, position: int) -> str:
        return str(position)

    def frame(self) -> pd.DataFrame:
        import pandas as pd

        # Text is made printable, as in all tables of this package.
        rows = (_fields(item).items() for item in self._read)
        return pd.DataFrame(
            [{key: printable(v) if type(v) is str else v for key, v in row} for row in rows]
        )


#: Input of a map, read once and lazily; ``total`` is None if the length is unknown.
Items = _TableItems | _IterableItems


def as_items(data: Any) -> Items:
    """Return ``data`` as the input of a map.

    ``data`` is a pandas DataFrame or Series, has ``to_pandas``, is a mapping of columns, or an
    iterable: of texts, mappings, dataclasses, pydantic models, tuples or other values.

    Raises:
        RequestError: ``data`` is none of these.
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
    # Other data needs no import of pandas.
    if any(kind.__module__.partition(".")[0] == "pandas" for kind in type(data).__mro__):
        import pandas as pd

        if isinstance(data, pd.DataFrame):
            return _TableItems(data)
        if isinstance(data, pd.Series):
            series = cast("Any", data)
            return _TableItems(
                series.to_frame(ITEM if series.name is None else series.name), is_series=True
            )
    if isinstance(data, Mapping):
        return _TableItems(_frame_of_columns(cast("Mapping[Any, Any]", data)))
    if not isinstance(data, Iterable):
        raise RequestError(f"A {type(data).__name__} holds no items to be mapped.")
    return _IterableItems(cast("Iterable[Any]", data))


def is_missing(value: Any) -> bool:
    """Return whether ``value`` is None, NaN, NaT or ``pandas.NA``."""
    if value is None:
        return True
    if isinstance(value, str | int):
        return False
    if type(value).__name__ == "NAType":
        return True
    try:
        return bool(value != value)
    except Exception:
        # Such as an array of several values.
        return False


def _frame_of_columns(data: Mapping[Any, Any]) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.DataFrame(dict(data))
    except (TypeError, ValueError) as error:
        raise RequestError(
            f"A mapping is taken for columns of a table, and these make none: {error}.",
            hint="For one row of each of its items, give list(data.items()).",
        ) from error


def _name(key: Any) -> str:
    """Return the name of a column in a template: its levels, joined by dots."""
    return ".".join(map(str, cast("tuple[Any, ...]", key))) if isinstance(key, tuple) else str(key)


def _fields(item: Any) -> Mapping[Any, Any]:
    """Return the values of ``item`` by name, or by index for a plain tuple."""
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


def _values(item: Any, names: Sequence[str]) -> Sequence[Any] | RequestError:
    if not names:
        return ()
    fields = _fields(item)
    try:
        return [fields[name] for name in names]
    except KeyError:
        # Keys may be numbers and tuples, too.
        by_name = {_name(key): value for key, value in fields.items()}
    for name in names:
        if name not in by_name:
            return RequestError(f"The row has no '{name}', but {', '.join(by_name) or 'nothing'}.")
    return [by_name[name] for name in names]


PromptLike = str | Callable[[Any], str] | None
"""A template, a callable that takes the row, or None: the items are the prompts."""

# No name contains braces.
_PLACEHOLDER: Final = re.compile(r"\{\{([^{}]*)\}\}")
_MAX_NAMES: Final = 20


@dataclass(slots=True)
class RowPrompt:
    """Prompt and attachments of a row."""

    prompt: str
    media: tuple[MediaLike, ...]


@dataclass(slots=True)
class InvalidRow:
    """Reason why a row cannot be sent; ``code`` is its kind, ``cause`` the exception, if any."""

    message: str
    code: str
    cause: Exception | None = None


def prompts(
    items: Items,
    prompt: PromptLike,
    media: MediaLike | Sequence[MediaLike] | Callable[[Any], Any] = (),
) -> Iterator[RowPrompt | InvalidRow]:
    """Return the prompts of the rows of ``items``, lazily, in order.

    In a template ``{{name}}`` is replaced by ``str`` of the row's value of that name.  No
    expressions are evaluated, single braces are kept, and values are not scanned for placeholders.
    A row in which a value of the prompt is missing is invalid, so that no prompt has a gap or the
    word "nan".

    Raises:
        RequestError: the template has a name that the rows lack.
    """
    template = _template(items, prompt)
    make_media = media if callable(media) else None
    shared_media = () if callable(media) else media_items(media)
    rows = items.rows(
        template.names if template else (), whole=template is None or make_media is not None
    )

    def generate() -> Iterator[RowPrompt | InvalidRow]:
        for row, values in rows:
            if isinstance(values, RequestError):
                yield InvalidRow(values.message, code="unknown_name")
                continue
            text = template.fill(values) if template else _call_prompt(prompt, row)
            if isinstance(text, InvalidRow):
                yield text
            elif make_media is None:
                yield RowPrompt(text, shared_media)
            else:
                own_media = _call(make_media, row, kind="media")
                if not isinstance(own_media, InvalidRow):
                    own_media = RowPrompt(text, media_items(own_media))
                yield own_media

    return generate()


class _Template:
    """Alternating texts and names; there is one text more than names."""

    def __init__(self, texts: Sequence[str], names: Sequence[str]) -> None:
        self.names = names
        self._texts = texts

    def fill(self, values: Sequence[Any]) -> str | InvalidRow:
        parts = [self._texts[0]]
        for name, value, text in zip(self.names, values, self._texts[1:], strict=True):
            if is_missing(value):
                return InvalidRow(
                    f"'{name}' is missing in the row, which was not sent.", code="missing_value"
                )
            parts += (str(value), text)
        return "".join(parts)


class _ItemTemplate(_Template):
    """The single value of a row, which is its prompt."""

    def __init__(self, name: str) -> None:
        super().__init__(("", ""), (name,))

    def fill(self, values: Sequence[Any]) -> str | InvalidRow:
        return super().fill(values) if is_missing(values[0]) else _check_text(values[0])


def _template(items: Items, prompt: PromptLike) -> _Template | None:
    """Return the template of ``prompt``, None if that is a callable."""
    if callable(prompt):
        return None
    names = items.names()
    if prompt is None:
        # The column of a Series has a second name.
        if names is not None and len(names) > 1 and names[1:] != [ITEM]:
            raise RequestError(
                f"Each row has {_list_names(names)}, and nothing says what to ask.",
                hint=f"Give a prompt, as in 'Compare {{{{{names[0]}}}}} with {{{{{names[1]}}}}}'.",
            )
        return _ItemTemplate(names[0] if names else ITEM)
    parts = _PLACEHOLDER.split(prompt)
    used = [name.strip() for name in parts[1::2]]
    if names is not None and (unknown := [name for name in used if name not in names]):
        placeholders = ", ".join(f"{{{{{name}}}}}" for name in dict.fromkeys(unknown))
        raise RequestError(
            f"The prompt names {placeholders}; each row has {_list_names(names)}.",
            hint="A callable, row -> prompt, may hold whatever braces it likes.",
        )
    return _Template(parts[::2], used)


def _list_names(names: Sequence[str]) -> str:
    listed = ", ".join(names[:_MAX_NAMES]) or "nothing"
    return f"{listed} and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else listed


def _check_text(prompt: Any) -> str | InvalidRow:
    if isinstance(prompt, str):
        return prompt
    kind = type(prompt).__name__
    return InvalidRow(f"The prompt of the row is no text, but a {kind}.", code="prompt")


def _call_prompt(function: Any, row: Any) -> str | InvalidRow:
    prompt = _call(function, row, kind="prompt")
    return prompt if isinstance(prompt, InvalidRow) else _check_text(prompt)


def _call(function: Any, row: Any, *, kind: str) -> Any:
    try:
        return function(row)
    except AgentnbError as error:
        return InvalidRow(error.message, code=kind, cause=error)
    except Exception as error:
        message = " ".join(str(error).split())
        name = type(error).__name__
        return InvalidRow(
            f"The {kind} of the row could not be made: {name}{f': {message}' if message else ''}.",
            code=kind,
            cause=error,
        )

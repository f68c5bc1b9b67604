"""`Check`, a criterion for an answer: as text, of a number in it, or as JSON of a schema."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal
from importlib import import_module
from typing import Any, Final, Literal, cast

from agentnb._support import install_hint
from agentnb.errors import ConfigError, OutputError, RequestError
from agentnb.evaluation.numerals import DecimalMark, numerals
from agentnb.run.output import OutputType, output_schema, parse_output

Row = Mapping[Any, Any]
"""A row of the table: column -> value."""


@dataclass(frozen=True, slots=True)
class Check:
    """A criterion for an answer.

    ``judge`` takes an answer and its row and returns a bool or a score; ``columns`` are required in
    the table; ``reads_row``: whether ``judge`` uses the row.
    """

    name: str
    judge: Callable[[str, Row], Any] = field(repr=False)
    columns: tuple[Any, ...] = ()
    reads_row: bool = False


class Expected:
    """The value that a check expects: one for all rows, or each row's own in a column.

    Raises:
        RequestError: both or neither are given.
    """

    def __init__(self, check: str, value: Any, column: Any) -> None:
        if (value is None) == (column is None):
            raise RequestError(
                f"{check} takes the expected value, or column= with the name of its column."
            )
        self._check, self._value, self._column = check, value, column

    def value_in(self, row: Row) -> Any:
        """Return the value expected for a row.

        Raises:
            ValueError: the row has no value in the column.
        """
        if self._column is None:
            return self._value
        if is_missing(value := row[self._column]):
            raise ValueError(f"no value is expected in column {self._column!r}")
        return value

    def check(self, judge: Callable[[str, Row], Any], *, name: str | None = None) -> Check:
        """Return the check that judges by this value."""
        columns = () if self._column is None else (self._column,)
        return Check(name or self._check, judge, columns, reads_row=bool(columns))


def is_missing(value: Any) -> bool:
    """Return whether a cell is empty: None, NaN, NaT or NA."""
    import pandas as pd

    if value is None:
        return True
    # For a list or an array `isna` returns an array.
    api: Any = pd
    return bool(api.api.types.is_scalar(value) and api.isna(value))


def stats() -> Any:
    """Return `scipy.stats`, or raise `ConfigError` if SciPy is not installed."""
    return _import("scipy.stats", "Confidence intervals need SciPy, which is not installed.")


def jsonschema() -> Any:
    """Return `jsonschema`, or raise `ConfigError` if it is not installed."""
    return _import("jsonschema", "JSON schemas need jsonschema, which is not installed.")


def _import(name: str, message: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != name.partition(".")[0]:
            raise
        raise ConfigError(message, hint=f"Install it: {install_hint('evaluate')}") from error


def exact(text: str | None = None, *, column: Any = None, ignore_case: bool = False) -> Check:
    """Return a check that the answer equals ``text``, or the text of the row in ``column``.

    Leading and trailing whitespace is ignored.  Other values in the column are converted to text:
    42 to "42".

    Raises:
        RequestError: both ``text`` and ``column`` are given, or neither.
    """
    expected = Expected("exact", text, column)

    def judge(answer: str, row: Row) -> bool:
        wanted = str(expected.value_in(row)).strip()
        return _fold(answer.strip(), ignore_case) == _fold(wanted, ignore_case)

    return expected.check(judge)


def contains(*parts: str, column: Any = None, ignore_case: bool = False) -> Check:
    """Return a check that the answer contains all ``parts``, or the text of the row in ``column``.

    Raises:
        RequestError: both parts and ``column`` are given, or neither, or a part is empty.
    """
    expected = Expected("contains", parts or None, column)
    if "" in parts:
        raise RequestError("Every answer contains an empty text.")

    def judge(answer: str, row: Row) -> bool:
        value = expected.value_in(row)
        texts = parts or (str(value),)
        if "" in texts:
            raise ValueError(f"the text in column {column!r} is empty")
        folded = _fold(answer, ignore_case)
        return all(_fold(text, ignore_case) in folded for text in texts)

    return expected.check(judge)


def regex(
    pattern: str | re.Pattern[str] | None = None, *, column: Any = None, flags: int = 0
) -> Check:
    """Return a check that ``pattern``, or that of the row in ``column``, matches somewhere.

    Raises:
        RequestError: both ``pattern`` and ``column`` are given, or neither, or it is invalid.
    """
    expected = Expected("regex", pattern, column)
    if pattern is not None:
        try:
            compiled = re.compile(pattern, flags)
        except (re.error, ValueError) as error:
            raise RequestError(f"The expression cannot be used: {error}.") from error
        # Untyped callers may pass bytes.
        if isinstance(compiled.pattern, bytes):
            raise RequestError("The expression is one of bytes, and answers are text.")

    def judge(answer: str, row: Row) -> bool:
        # `re` caches compiled patterns.
        return re.search(expected.value_in(row), answer, flags) is not None

    return expected.check(judge)


def json_schema(form: OutputType | None = None, *, column: Any = None) -> Check:
    """Return a check that the answer is JSON of this form.

    ``form`` is a JSON schema, or a pydantic model, a dataclass or another type that pydantic can
    validate.  Schemas in ``column`` are mappings or JSON.  A Markdown code fence around the answer
    is allowed.  Nothing is fetched: references in a schema must resolve within it.

    Raises:
        RequestError: both ``form`` and ``column`` are given, or neither, or ``form`` is neither a
            schema nor such a type.
        ConfigError: jsonschema is not installed, and needed for a schema.
    """
    expected = Expected("json_schema", form, column)
    if form is None:
        jsonschema()

        def judge(answer: str, row: Row) -> bool:
            return _is_valid(answer, _validator(_load_schema(expected.value_in(row))))
    elif isinstance(form, Mapping):
        validator = _validator(form)

        def judge(answer: str, row: Row) -> bool:
            return _is_valid(answer, validator)
    else:
        # Reject an invalid type before the first row.
        output_schema(form)

        def judge(answer: str, row: Row) -> bool:
            return _parse(answer, form) is not None

    return expected.check(judge, name=getattr(form, "__name__", None))


def _fold(text: str, ignore_case: bool) -> str:
    return text.casefold() if ignore_case else text


def _is_valid(answer: str, validator: Callable[[Any], bool]) -> bool:
    parsed = _parse(answer, {})
    return parsed is not None and validator(parsed[0])


def _parse(answer: str, form: OutputType) -> tuple[Any] | None:
    """Return the value in a tuple, since null is valid, too; None if the answer is invalid."""
    try:
        return (parse_output(answer, form),)
    except OutputError:
        return None


def _validator(schema: Mapping[str, Any]) -> Callable[[Any], bool]:
    library = jsonschema()
    from referencing import Registry

    kind = library.validators.validator_for(schema, default=library.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except library.SchemaError as error:
        raise RequestError(f"The JSON schema is not well formed: {error.message}.") from error
    # The default registry would fetch references.
    registry: Any = Registry
    return kind(schema, registry=registry()).is_valid


def _load_schema(value: Any) -> Mapping[str, Any]:
    schema = json.loads(value) if isinstance(value, str) else value
    if not isinstance(schema, Mapping):
        raise ValueError(f"the column holds no JSON schema, but {type(schema).__name__}")
    return cast("Mapping[str, Any]", schema)


Which = Literal["only", "first", "last", "any"]

# Decimal arithmetic: 1.1 differs from 1 by 0.1, not by a little more.
_CONTEXT: Final = Context(prec=60)


def tolerance(
    value: float | None = None,
    *,
    column: Any = None,
    abs: float = 0.0,
    rel: float = 0.0,
    which: Which = "only",
    decimal: DecimalMark = ".",
    percent_as_fraction: bool = False,
) -> Check:
    """Return a check that the number in the answer is near ``value``, or the row's in ``column``.

    Near: it differs by at most ``abs``, or at most ``rel`` times the expected value (0.01 is one
    percent), whichever is more; by default it has to be equal.  A text in the column is parsed like
    the answer.

    Numbers may have a sign, groups of digits (1,234,567.89, 1.234.567,89, 1'234'567.89 and
    12,34,567), a currency before or after, an exponent (1.5e6) and a percent sign.  ``decimal`` is
    the decimal mark of ambiguous numbers, such as 1,234.  12.5 % is 12.5, or 0.125 with
    ``percent_as_fraction``.  Dates, times of day, ordinals and numbers within words (Q3) are
    ignored.  Not supported are spelled-out numbers, ranges, powers such as 10^6, brackets for a
    negative amount, and words after a number: "3.5 million" is 3.5.

    If an answer has several different numbers, ``which`` selects the "first" or "last", or
    "any"; with "only" such an answer is an error of its row.  An answer without a number fails.

    Raises:
        RequestError: both ``value`` and ``column`` are given, or neither, or an argument is
            invalid.
    """
    expected = Expected("tolerance", value, column)
    try:
        max_abs, max_rel = _decimal(abs), _decimal(rel)
        if value is not None:
            _decimal(value)
    except (TypeError, ValueError) as error:
        raise RequestError(f"tolerance takes numbers: {error}.") from error
    if min(max_abs, max_rel) < 0:
        raise RequestError("A tolerance is 0 or more.")
    if which not in ("only", "first", "last", "any"):
        raise RequestError(f'which="{which}": it is "only", "first", "last" or "any".')
    if decimal not in (".", ","):
        raise RequestError(f'decimal="{decimal}": it is "." or ",".')

    def parse(text: str) -> list[Decimal]:
        return [
            number.value.scaleb(-2) if number.percent and percent_as_fraction else number.value
            for number in numerals(text, decimal=decimal)
        ]

    def target(row: Row) -> Decimal:
        wanted = expected.value_in(row)
        if not isinstance(wanted, str):
            return _decimal(wanted)
        values = set(parse(wanted))
        if len(values) != 1:
            raise ValueError(f"the expected value is not one number but {len(values)}")
        return values.pop()

    def judge(answer: str, row: Row) -> bool:
        wanted = target(row)
        limit = max(max_abs, _CONTEXT.abs(_CONTEXT.multiply(max_rel, wanted)))
        return any(
            _CONTEXT.abs(_CONTEXT.subtract(number, wanted)) <= limit
            for number in _select(parse(answer), which)
        )

    return expected.check(judge)


def _select(values: list[Decimal], which: Which) -> list[Decimal]:
    if which == "any":
        return values
    if which == "last":
        return values[-1:]
    if which == "only" and (count := len(set(values))) > 1:
        raise ValueError(f'{count} different numbers; which="first", "last" or "any" chooses')
    return values[:1]


def _decimal(value: Any) -> Decimal:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise TypeError(f"{value!r} is none")
    # The decimal form of a float, not its binary value.
    number = value if isinstance(value, Decimal) else Decimal(repr(value))
    if not number.is_finite():
        raise ValueError(f"{value!r} is none")
    return number

"""Checks of an answer as text, and as JSON that conforms to a schema."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from agentnb.errors import OutputError, RequestError
from agentnb.evaluation.check import Check, Expected, Row
from agentnb.evaluation.extras import jsonschema
from agentnb.run.output import OutputType, output_schema, parse_output


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

"""Checks of an answer as data: JSON of the form that a schema or a type describes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, cast

from agentnb.errors import OutputError, RequestError
from agentnb.evaluation.check import Check
from agentnb.evaluation.expected import Row, expected
from agentnb.evaluation.extras import jsonschema
from agentnb.run.output import OutputType, output_schema, parse_output

__all__ = ["json_schema"]


def json_schema(form: OutputType | None = None, *, column: Any = None) -> Check:
    """Return a check that the answer is JSON of this form.

    ``form`` is a JSON schema, or a pydantic model, a dataclass or another type that pydantic knows,
    which then judges.  The schemas of ``column`` are mappings, or such as JSON.  A Markdown code
    fence around the answer is understood.  Nothing is fetched: a reference in a schema leads to a
    place in it.

    Raises:
        RequestError: there is a form and a column, or neither, or it is neither a schema nor such
            a type.
        ConfigError: jsonschema is not installed, and there is no type.
    """
    wanted = expected("json_schema", form, column)
    if form is None:
        jsonschema()

        def judge(answer: str, row: Row) -> bool:
            return _fits(_validator(_schema(wanted.of(row))), answer)
    elif isinstance(form, Mapping):
        validate = _validator(form)

        def judge(answer: str, row: Row) -> bool:
            return _fits(validate, answer)
    else:
        # Now, rather than once for each row.
        output_schema(form)

        def judge(answer: str, row: Row) -> bool:
            return _parsed(answer, form) is not None

    name = getattr(form, "__name__", "json_schema")
    return Check(name, judge, wanted.columns, reads_row=column is not None)


def _fits(validate: Callable[[Any], bool], answer: str) -> bool:
    found = _parsed(answer, {})
    return found is not None and validate(found[0])


def _parsed(answer: str, form: OutputType) -> tuple[Any] | None:
    try:
        # A tuple, since null is an answer, too.
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
    # With a registry of its own it asks no server for what a reference names.
    nothing_else: Any = Registry
    return kind(schema, registry=nothing_else()).is_valid


def _schema(value: Any) -> Mapping[str, Any]:
    found = json.loads(value) if isinstance(value, str) else value
    if not isinstance(found, Mapping):
        raise ValueError(f"the column holds no JSON schema, but {type(found).__name__}")
    return cast("Mapping[str, Any]", found)

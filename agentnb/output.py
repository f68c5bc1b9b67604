"""Structured answers: the JSON schema to ask for, and the answer parsed by it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from agentnb.errors import OutputError, RequestError

__all__ = ["OutputType", "output_schema", "parse_output"]

OutputType = type[Any] | Mapping[str, Any]
"""A pydantic model, a dataclass or another type that pydantic knows, or a JSON schema."""


def output_schema(output_type: OutputType) -> dict[str, Any]:
    """Return the JSON schema of ``output_type``: of a type, or the schema that it is.

    Raises:
        RequestError: it is neither a mapping nor a type that pydantic can describe.
    """
    if isinstance(output_type, Mapping):
        return dict(output_type)
    try:
        return TypeAdapter[Any](output_type).json_schema()
    except Exception as error:
        raise RequestError(
            f"{output_type!r} gives no JSON schema.",
            hint="Give a pydantic model, a dataclass, or a JSON schema as a dict.",
        ) from error


def parse_output(text: str, output_type: OutputType) -> Any:
    """Return the answer as ``output_type`` says: a value of the type, or the parsed JSON.

    A Markdown code fence around the JSON is understood, since many models put one there.

    Raises:
        OutputError: the text is not JSON, or not of that form.
    """
    body = _unfenced(text)
    try:
        if isinstance(output_type, Mapping):
            return json.loads(body)
        return TypeAdapter[Any](output_type).validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the answer"
        raise OutputError(
            f"The answer is not of the asked form: {where}: {first['msg']}."
        ) from error
    except ValueError as error:
        raise OutputError(f"The answer is not JSON: {error}.") from error
    except RecursionError as error:
        raise OutputError("The answer is nested too deeply.") from error


def _unfenced(text: str) -> str:
    body = text.strip()
    first, _, rest = body.partition("\n")
    mark = first[:1]
    fence = first[: len(first) - len(first.lstrip(mark))]
    told = first[len(fence) :].strip().lower()
    if mark in ("`", "~") and len(fence) >= 3 and told in ("", "json") and rest.endswith(fence):
        return rest.removesuffix(fence)
    return body

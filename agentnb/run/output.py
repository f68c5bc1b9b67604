"""Structured output: the JSON schema of a type, and answers parsed by it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, cast, get_args

from pydantic import TypeAdapter, ValidationError

from agentnb.errors import OutputError, RequestError
from agentnb.event.transcript import Transcript

_SIMPLE: Final = frozenset({"string", "integer", "number", "boolean"})
# Length of a value in a message, in characters.
_MAX_VALUE: Final = 60

OutputType = type[Any] | Mapping[str, Any]
"""A pydantic model, a dataclass or another type that pydantic knows, or a JSON schema."""


def output_schema(output_type: OutputType) -> dict[str, Any]:
    """Return the JSON schema of a type; a schema is returned as it is.

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
    """Parse an answer: to a value of the type, or to JSON for a schema.

    A Markdown code fence around the JSON, which many models write, is removed.  Of a bare schema
    only fields of simple types, and required ones, are validated.

    Raises:
        OutputError: the text is not JSON, or does not match.
    """
    body = _unfenced(text)
    try:
        if not isinstance(output_type, Mapping):
            return _adapter(output_type).validate_json(body)
        value = json.loads(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "json_invalid":
            problem = "invalid JSON" if body else "it is empty"
        else:
            problem = f"{where}: {first['msg']}" if where else str(first["msg"])
        raise _mismatch(output_type, problem) from error
    except ValueError as error:
        raise _mismatch(output_type, "invalid JSON" if body else "it is empty") from error
    except RecursionError as error:
        raise _mismatch(output_type, "it is nested too deeply") from error
    if (problem := schema_problem(value, output_type)) is not None:
        raise _mismatch(output_type, problem)
    return value


@lru_cache(maxsize=32)
def _adapter(output_type: Any) -> TypeAdapter[Any]:
    # Building one takes longer than parsing.
    return TypeAdapter(output_type)


class OutputValidator:
    """Validates the answer of a completed run against ``type``.

    ``text`` is then what parses: the answer, or the final output of the platform beside other text;
    None where neither does.
    """

    def __init__(self, output_type: OutputType) -> None:
        self.type = output_type
        self.text: str | None = None

    def check(self, transcript: Transcript) -> str | None:
        """Return why the answer does not match, in one line; None where it does."""
        problem: str | None = None
        answer = transcript.text
        final = transcript.finished.output if transcript.finished else None
        for text in dict.fromkeys((answer, final or answer)):
            try:
                parse_output(text, self.type)
            except OutputError as error:
                problem = problem or error.message
            else:
                self.text = text
                return None
        return problem


def schema_fields(schema: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the fields of an object's schema with their simple types.

    A type is "string", "integer", "number" or "boolean", None for anything else.
    """
    found = _resolved(schema, schema).get("properties")
    if not isinstance(found, Mapping):
        return {}
    fields = cast("Mapping[str, Any]", found)
    return {name: _kind(field, schema) for name, field in fields.items()}


def _mismatch(output_type: OutputType, problem: str) -> OutputError:
    if isinstance(output_type, Mapping):
        title = output_type.get("title")
        name = f"`{title}`" if isinstance(title, str) else "the JSON schema"
    else:
        # A generic alias such as list[City] has the name of its origin.
        own = None if get_args(output_type) else getattr(output_type, "__name__", None)
        name = f"`{own or repr(output_type)}`"
    problem = " ".join(problem.split()).rstrip(".")
    return OutputError(f"The answer does not match {name}: {problem}.")


def schema_problem(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Return how a value differs from the fields of ``schema``, None where it matches."""
    kinds = schema_fields(schema)
    if not kinds:
        return None
    if not isinstance(value, dict):
        return "it is no object"
    values = cast("dict[str, Any]", value)
    required = cast("list[str]", _resolved(schema, schema).get("required") or ())
    for name, kind in kinds.items():
        if name not in values:
            if name in required:
                return f"it has no '{name}'"
        elif kind is not None and values[name] is not None and not _is(kind, values[name]):
            excerpt = json.dumps(values[name], ensure_ascii=False)[:_MAX_VALUE]
            return f"'{name}' is no {kind}, but {excerpt}"
    return None


def _is(kind: str, value: Any) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer" if isinstance(value, float):
            return value.is_integer()
        case _:
            return isinstance(value, int | float) and not isinstance(value, bool)


def _kind(field: Any, schema: Mapping[str, Any]) -> str | None:
    """Return the simple type of a field, None for other types and unions."""
    if not isinstance(field, Mapping):
        return None
    found = _resolved(cast("Mapping[str, Any]", field), schema)
    several = found.get("anyOf") or found.get("oneOf")
    if several:
        kinds = {_kind(each, schema) for each in several if each != {"type": "null"}}
        return kinds.pop() if len(kinds) == 1 else None
    kind = found.get("type")
    if isinstance(kind, list):
        named = [each for each in cast("list[str]", kind) if each != "null"]
        kind = named[0] if len(named) == 1 else None
    if kind is None and "enum" in found:
        return "string" if all(isinstance(each, str) for each in found["enum"]) else None
    return kind if kind in _SIMPLE else None


def _resolved(field: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a field with its reference resolved."""
    for _ in range(len(schema.get("$defs", ())) + 1):
        reference = field.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/$defs/"):
            break
        field = schema["$defs"].get(reference.removeprefix("#/$defs/"), {})
    return field


def _unfenced(text: str) -> str:
    body = text.strip()
    first, _, rest = body.partition("\n")
    mark = first[:1]
    fence = first[: len(first) - len(first.lstrip(mark))]
    language = first[len(fence) :].strip().lower()
    if mark in ("`", "~") and len(fence) >= 3 and language in ("", "json") and rest.endswith(fence):
        return rest.removesuffix(fence)
    return body

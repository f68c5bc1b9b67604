"""Structured answers: the JSON schema to ask for, and the answer parsed by it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, cast, get_args

from pydantic import TypeAdapter, ValidationError

from agentnb.errors import OutputError, RequestError
from agentnb.event.transcript import Transcript

__all__ = ["OutputType", "OutputValidator", "output_schema", "parse_output", "schema_fields"]

_SIMPLE: Final = frozenset({"string", "integer", "number", "boolean"})
# So much of a value stands in a message, in characters.
_SHOWN: Final = 60

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

    A Markdown code fence around the JSON is understood, since many models put one there.  Of a bare
    schema only the fields of simple types are checked, and that the required ones are there.

    Raises:
        OutputError: the text is not JSON, or not of that form.
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
    if (problem := _problem(value, output_type)) is not None:
        raise _mismatch(output_type, problem)
    return value


@lru_cache(maxsize=32)
def _adapter(output_type: Any) -> TypeAdapter[Any]:
    # Making one for a dataclass or a generic type takes longer than what it then parses.
    return TypeAdapter(output_type)


class OutputValidator:
    """Checks the answer of one run, once it has completed, against ``type``.

    ``text`` is then what parses: the answer, or the final form of it that the platform gave beside
    other text; None where neither does.
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
    """Return the fields of the object that ``schema`` describes, each with its simple type.

    That is "string", "integer", "number" or "boolean", and None for anything else.
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
        # The name of a generic alias, as of list[City], is that of its origin alone.
        own = None if get_args(output_type) else getattr(output_type, "__name__", None)
        name = f"`{own or repr(output_type)}`"
    problem = " ".join(problem.split()).rstrip(".")
    return OutputError(f"The answer does not match {name}: {problem}.")


def _problem(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Return in what a value departs from the fields of ``schema``; None where in nothing."""
    kinds = schema_fields(schema)
    if not kinds:
        return None
    if not isinstance(value, dict):
        return "it is no object"
    given = cast("dict[str, Any]", value)
    required = cast("list[str]", _resolved(schema, schema).get("required") or ())
    for name, kind in kinds.items():
        if name not in given:
            if name in required:
                return f"it has no '{name}'"
        elif kind is not None and given[name] is not None and not _is(kind, given[name]):
            shown = json.dumps(given[name], ensure_ascii=False)[:_SHOWN]
            return f"'{name}' is no {kind}, but {shown}"
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
    """Return which of the simple types a field is, None where it is none of them, or several."""
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
    """Return what a field says, also where it says that elsewhere in ``schema``."""
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
    told = first[len(fence) :].strip().lower()
    if mark in ("`", "~") and len(fence) >= 3 and told in ("", "json") and rest.endswith(fence):
        return rest.removesuffix(fence)
    return body

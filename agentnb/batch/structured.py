"""Answers in the form that was asked for, as columns of a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from pydantic import TypeAdapter

from agentnb.errors import OutputError
from agentnb.output import OutputType, output_schema, parse_output

__all__ = ["Structured"]

_DTYPES: Final = {"string": "string", "integer": "Int64", "number": "Float64", "boolean": "boolean"}
# So much of a value stands in a message, in characters.
_SHOWN: Final = 60


class Structured:
    """What ``output_type`` makes of answers.

    ``columns`` are the columns that it fills and their dtypes: ``parsed_<field>`` for each field of
    an object, whatever is in them, or ``parsed`` for anything else.

    Raises:
        RequestError: the type gives no JSON schema.
    """

    def __init__(self, output_type: OutputType) -> None:
        self.schema = output_schema(output_type)
        self._type = output_type
        self._adapter = None if isinstance(output_type, Mapping) else TypeAdapter[Any](output_type)
        named = _resolved(self.schema, self.schema)
        fields = cast("dict[str, Any]", named.get("properties") or {})
        self._fields = {name: _kind(field, self.schema) for name, field in fields.items()}
        self._required = frozenset(cast("list[str]", named.get("required") or ()))
        kinds = {f"parsed_{name}": kind for name, kind in self._fields.items()} or {"parsed": None}
        self.columns = {
            name: "object" if kind is None else _DTYPES[kind] for name, kind in kinds.items()
        }

    def parse(self, answer: str) -> Any:
        """Return the answer as plain data: what each field is, or the whole.

        Raises:
            OutputError: it is not of the form that was asked for.
        """
        value = parse_output(answer, self._type)
        if self._adapter is not None:
            return self._adapter.dump_python(value, mode="json", by_alias=True)
        self._check(value)
        return value

    def values(self, parsed: Any) -> list[Any]:
        """Return what ``parsed`` puts into each of the columns; None: nothing was parsed."""
        if not self._fields:
            return [parsed]
        fields = cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}
        return [fields.get(name) for name in self._fields]

    def _check(self, value: Any) -> None:
        """Refuse what the columns could not hold: of a bare schema nobody else looks at it."""
        if not self._fields:
            return
        if not isinstance(value, dict):
            raise OutputError("The answer is not of the asked form: it is no object.")
        fields = cast("dict[str, Any]", value)
        for name, kind in self._fields.items():
            if name not in fields:
                if name in self._required:
                    raise OutputError(f"The answer is not of the asked form: it has no '{name}'.")
                continue
            if kind is None or fields[name] is None:
                continue
            if not _is(kind, fields[name]):
                shown = json.dumps(fields[name], ensure_ascii=False)[:_SHOWN]
                raise OutputError(
                    f"The answer is not of the asked form: '{name}' is no {kind}, but {shown}."
                )


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
    told = _resolved(cast("Mapping[str, Any]", field), schema)
    several = told.get("anyOf") or told.get("oneOf")
    if several:
        kinds = {_kind(each, schema) for each in several if each != {"type": "null"}}
        return kinds.pop() if len(kinds) == 1 else None
    kind = told.get("type")
    if isinstance(kind, list):
        named = [each for each in cast("list[str]", kind) if each != "null"]
        kind = named[0] if len(named) == 1 else None
    if kind is None and "enum" in told:
        return "string" if all(isinstance(each, str) for each in told["enum"]) else None
    return kind if kind in _DTYPES else None


def _resolved(field: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a field says, also where it says that elsewhere in ``schema``."""
    for _ in range(len(schema.get("$defs", ())) + 1):
        reference = field.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/$defs/"):
            break
        field = schema["$defs"].get(reference.removeprefix("#/$defs/"), {})
    return field

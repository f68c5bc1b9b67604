"""Answers in the form that was asked for, as columns of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from pydantic import TypeAdapter

from agentnb.run.output import OutputType, output_schema, parse_output, schema_fields

__all__ = ["Structured"]

_DTYPES: Final = {"string": "string", "integer": "Int64", "number": "Float64", "boolean": "boolean"}


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
        self._fields = schema_fields(self.schema)
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
        return value

    def values(self, parsed: Any) -> list[Any]:
        """Return what ``parsed`` puts into each of the columns; None: nothing was parsed."""
        if not self._fields:
            return [parsed]
        fields = cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}
        return [fields.get(name) for name in self._fields]

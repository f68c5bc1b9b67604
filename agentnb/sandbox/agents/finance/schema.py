"""Filling a JSON schema with the facts of an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, cast

from agentnb.sandbox.agents.finance.answers import FinanceAnswer
from agentnb.sandbox.agents.finance.prices import closing_line, up_or_down

Schema = Mapping[str, Any]

_MISSING: Final = object()
_MAX_DEPTH: Final = 20
# Patterns of a property's name in snake case, with the fact that it names; the first match counts.
_FACTS: Final = (
    (r"ticker|symbol", "ticker"),
    (r"name|company", "name"),
    (r"sample", "sample_data"),
    (r"prev|before", "previous_close"),
    (r"^is_up$", "is_up"),
    (r"volatil|risk", "volatility"),
    (r"absolute|change_usd", "change"),
    (r"percent|pct|change|return", "change_percent"),
    (r"date|^day$", "date"),
    (r"price|close|quote|value", "price"),
    (r"currency", "currency"),
    (r"direction|trend", "direction"),
    (r"^rank", "rank"),
    (r"count", "count"),
    (r"note", "note"),
    (r"summary|answer|text|message|reason|analysis|conclusion|result", "summary"),
)


def fill_schema(schema: Schema, answer: FinanceAnswer) -> str:
    """Return JSON text that follows ``schema`` as far as the answer's facts go.

    A property without a fact is left out, a required string becomes "not available".
    """
    common: dict[str, Any] = {
        "summary": _plain(answer.text.partition("\n\n|")[0]),
        "sample_data": True,
        "note": _plain(closing_line()),
        "count": len(answer.rows),
    }
    rows = [common | _with_direction(row) for row in answer.rows]
    value = _Filler(schema, rows).fill(schema, "", rows[0] if rows else common)
    return json.dumps({} if value is _MISSING else value, ensure_ascii=False, indent=2)


class _Filler:
    def __init__(self, root: Schema, rows: list[dict[str, Any]]) -> None:
        self._root = root
        self._rows = rows

    def fill(self, schema: Schema, name: str, facts: dict[str, Any], depth: int = 0) -> Any:
        """Return a value for ``schema``, or `_MISSING`."""
        if depth > _MAX_DEPTH:
            return _MISSING
        schema = self._resolve(schema)
        if options := cast("list[Schema]", schema.get("anyOf") or schema.get("oneOf") or []):
            for option in options:
                value = self.fill(option, name, facts, depth + 1)
                if value is not _MISSING and value is not None:
                    return value
            return None if {"type": "null"} in options else _MISSING
        fact = _fact_of(name, facts)
        if "enum" in schema:
            return fact if fact in schema["enum"] else _MISSING
        match schema.get("type"):
            case "object":
                return self._object(schema, facts, depth)
            case "array":
                # "prices" are one "price" of each row.
                single = name.removesuffix("s")
                items = cast("Schema", schema.get("items", {}))
                values = [self.fill(items, single, row, depth + 1) for row in self._rows]
                return [v for v in values if v is not _MISSING]
            case "string" if fact is not _MISSING:
                return fact if isinstance(fact, str) else json.dumps(fact)
            case "number" | "integer" as kind if type(fact) in (int, float):
                return round(fact) if kind == "integer" else round(fact, 2)
            case "boolean" if isinstance(fact, bool):
                return fact
            case "null":
                return None
            case _:
                return _MISSING

    def _object(self, schema: Schema, facts: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = cast("dict[str, Schema]", schema.get("properties", {}))
        filled = {key: self.fill(inner, key, facts, depth + 1) for key, inner in properties.items()}
        for key in cast("list[str]", schema.get("required", [])):
            # Better than an answer that the caller's schema rejects; no number is ever invented.
            if (
                filled.get(key) is _MISSING
                and self._resolve(properties[key]).get("type") == "string"
            ):
                filled[key] = "not available"
        return {key: value for key, value in filled.items() if value is not _MISSING}

    def _resolve(self, schema: Schema) -> Schema:
        for _ in range(_MAX_DEPTH):
            target = schema.get("$ref")
            if not isinstance(target, str):
                return schema
            found: Any = self._root
            for step in target.removeprefix("#/").split("/"):
                found = cast("Schema", found).get(step, {}) if isinstance(found, Mapping) else {}
            schema = cast("Schema", found)
        return {}


def _with_direction(row: dict[str, Any]) -> dict[str, Any]:
    if (change := row.get("change_percent")) is None:
        return row
    direction = up_or_down(change)
    return row | {"direction": direction, "is_up": direction == "up"}


def _fact_of(name: str, facts: dict[str, Any]) -> Any:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    key = next((fact for pattern, fact in _FACTS if re.search(pattern, snake)), "")
    fact = facts.get(key)
    return _MISSING if fact is None else fact


def _plain(markdown: str) -> str:
    return " ".join(re.sub(r"\*{1,2}", "", markdown).split())

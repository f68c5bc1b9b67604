"""Filling a JSON schema with the facts of an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, cast

from agentnb.sandbox.finance.answers import FinanceAnswer
from agentnb.sandbox.finance.prices import closing_line, up_or_down

Schema = Mapping[str, Any]

_MISSING: Final = object()
_MAX_DEPTH: Final = 20
# Facts, each with the words of a property's name that it answers; the first match counts.
_FACTS: Final = {
    "ticker": "ticker|symbol",
    "name": "name|company",
    "sample_data": "sample",
    "previous_close": "prev|before",
    "is_up": "^is_up$",
    "volatility": "volatil|risk",
    "change": "absolute|change_usd",
    "change_percent": "percent|pct|change|return",
    "date": "date|^day$",
    "price": "price|close|quote|value",
    "currency": "currency",
    "direction": "direction|trend",
    "rank": "^rank",
    "count": "count",
    "note": "note",
    "summary": "summary|answer|text|message|reason|analysis|conclusion|result",
}


def fill_schema(schema: Schema, answer: FinanceAnswer) -> str:
    """Return JSON text that follows ``schema`` as far as the answer's facts go.

    A property without a fact is left out, a required string becomes "not available".
    """
    text = "\n\n".join(answer.paragraphs)
    common: dict[str, Any] = {
        "summary": _plain(text.partition("\n\n|")[0]),
        "sample_data": True,
        "note": _plain(closing_line()),
        "count": len(answer.rows),
    }
    rows = [common | row for row in answer.rows]
    for row in rows:
        if (change := row.get("change_percent")) is not None:
            row["direction"] = up_or_down(change)
            row["is_up"] = row["direction"] == "up"
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
        depth += 1
        if "$ref" in schema:
            return self.fill(self._target(schema["$ref"]), name, facts, depth)
        if options := cast("list[Schema]", schema.get("anyOf") or schema.get("oneOf")):
            values = [self.fill(option, name, facts, depth) for option in options]
            known = [v for v in values if v is not _MISSING and v is not None]
            return known[0] if known else None if None in values else _MISSING
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
        key = next((fact for fact, pattern in _FACTS.items() if re.search(pattern, snake)), "")
        fact: Any = facts.get(key)
        if "enum" in schema:
            return fact if fact in schema["enum"] else _MISSING
        match schema.get("type"):
            case "object":
                return self._object(schema, facts, depth)
            case "array":
                # "prices" are one "price" of each row.
                items, single = cast("Schema", schema.get("items", {})), name.removesuffix("s")
                values = [self.fill(items, single, row, depth) for row in self._rows]
                return [v for v in values if v is not _MISSING]
            case "string" if fact is not None:
                return fact if isinstance(fact, str) else json.dumps(fact)
            case "boolean" if isinstance(fact, bool):
                return fact
            case "integer" if isinstance(fact, int | float) and not isinstance(fact, bool):
                return round(fact)
            case "number" if isinstance(fact, int | float) and not isinstance(fact, bool):
                return round(fact, 2)
            case "null":
                return None
            case _:
                return _MISSING

    def _object(self, schema: Schema, facts: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = cast("dict[str, Schema]", schema.get("properties", {}))
        required = cast("list[str]", schema.get("required", []))
        filled: dict[str, Any] = {}
        for key, inner in properties.items():
            value = self.fill(inner, key, facts, depth)
            # Better than an answer that the caller's schema rejects; no number is ever invented.
            if value is _MISSING and key in required and inner.get("type") == "string":
                value = "not available"
            if value is not _MISSING:
                filled[key] = value
        return filled

    def _target(self, reference: str) -> Schema:
        found: Any = self._root
        for step in reference.removeprefix("#/").split("/"):
            found = cast("Schema", found).get(step, {}) if isinstance(found, Mapping) else {}
        return cast("Schema", found)


def _plain(markdown: str) -> str:
    return " ".join(re.sub(r"\*{1,2}", "", markdown).split())

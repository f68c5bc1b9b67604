"""Filling a JSON schema with what an answer found."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, cast

from agentnb.sandbox.agents.finance.answers import Answer
from agentnb.sandbox.agents.finance.prices import NAMES, up_or_down
from agentnb.sandbox.agents.finance.question import Question
from agentnb.sandbox.agents.finance.remarks import closing_line

__all__ = ["fill_schema"]

Schema = Mapping[str, Any]

_MISSING: Final = object()
_DEEPEST: Final = 20

# A property's name in snake case, and the fact it stands for; the first match counts.
_FACTS: Final = tuple(
    (re.compile(pattern), fact)
    for pattern, fact in (
        (r"^(stock_|share_)?(ticker|symbol)(_symbol)?$|^stock$|^share$", "ticker"),
        (r"^(company|company_name|name|stock_name|share_name)$", "name"),
        (r"sample|synthetic|simulated", "sample_data"),
        (r"prev|prior|before", "previous_close"),
        (r"^(is_)?(up|rising|positive|gained)$", "is_up"),
        (r"^(is_)?(down|falling|negative|lost)$", "is_down"),
        (r"volatil|stdev|risk", "volatility"),
        (r"percent|pct|relative|return|performance|growth", "change_percent"),
        (r"(change|delta|move|difference)_(abs|absolute|usd|dollars?|amount|value)", "change"),
        (r"(absolute|dollar|usd)_(change|delta|move)", "change"),
        (r"change|delta|^move|difference|^gain", "change_percent"),
        (r"high|max|peak", "high"),
        (r"low|min|trough", "low"),
        (r"^(start|first|opening|initial|from)(_price|_close|_value)", "start_price"),
        (r"^(start|from|begin)(_date|_day)?$|^since$|start_date", "start_date"),
        (r"as_of|date|^day$|timestamp|^time$|^end$|^until$", "date"),
        (r"price|close|quote|value|^last$|^current$|^latest$", "price"),
        (r"currency|unit", "currency"),
        (r"direction|trend", "direction"),
        (r"period|window|range|time_?frame|horizon", "label"),
        (r"best|winner|top|leader", "best"),
        (r"worst|loser|bottom|laggard", "worst"),
        (r"^rank", "rank"),
        (r"count|^n$|number_of|total", "count"),
        (r"source|provider", "source"),
        (r"note|disclaimer|caveat|warning", "note"),
        (r"question|query|prompt", "question"),
        (
            r"summary|answer|text|message|expla|reason|why|comment|descri|analysis|rationale"
            r"|conclusion|result|response|content",
            "summary",
        ),
    )
)


def fill_schema(schema: Schema, answer: Answer, question: Question) -> str:
    """Return JSON text that follows ``schema`` as far as the answer's facts go.

    A property that may be missing and for which there is no fact is left out; one that must be
    there becomes null or "not available" where its type allows.  No number is ever made up.
    """
    filler = _Filler(schema, answer, question)
    value = filler.fill(schema, "", filler.common, 0)
    return json.dumps({} if value is _MISSING else value, ensure_ascii=False, indent=2)


class _Filler:
    def __init__(self, root: Schema, answer: Answer, question: Question) -> None:
        self._root = root
        rows = answer.rows
        summary = _plain(answer.text.partition("\n\n|")[0])
        shared: dict[str, Any] = {
            "label": answer.label,
            "summary": summary,
            "sample_data": True,
            "source": "agentnb sample data",
            "note": _plain(closing_line()),
            "question": question.text,
            "currency": "USD",
            "count": len(rows),
        }
        ordered = sorted(rows, key=lambda r: -r.get("change_percent", 0.0))
        if ordered:
            shared |= {"best": ordered[0]["ticker"], "worst": ordered[-1]["ticker"]}
        self._rows = [shared | _derived(row) for row in rows]
        self.common: dict[str, Any] = self._rows[0] if rows else shared

    def fill(self, schema: Schema, name: str, facts: dict[str, Any], depth: int) -> Any:
        """Return a value for ``schema``, or `_MISSING`."""
        if depth > _DEEPEST:
            return _MISSING
        schema = self._followed(schema)
        if "const" in schema:
            return schema["const"]
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return self._either(cast("list[Schema]", schema[key]), name, facts, depth)
        if "allOf" in schema:
            merged: dict[str, Any] = {}
            for part in cast("list[Schema]", schema["allOf"]):
                merged |= self._followed(part)
            return self.fill({**merged, **_without(schema, "allOf")}, name, facts, depth + 1)
        if "enum" in schema:
            return _chosen(cast("list[Any]", schema["enum"]), _fact(name, schema, facts))
        kind = schema.get("type")
        if isinstance(kind, list):
            kinds = cast("list[str]", kind)
            options: list[Schema] = [{**schema, "type": k} for k in kinds]
            return self._either(options, name, facts, depth)
        if kind == "object" or "properties" in schema:
            return self._object(schema, name, facts, depth)
        if kind == "array":
            return self._array(schema, name, facts, depth)
        return _scalar(kind, _fact(name, schema, facts))

    def _either(self, options: list[Schema], name: str, facts: dict[str, Any], depth: int) -> Any:
        options = [self._followed(o) for o in options]
        for option in options:
            if option.get("type") != "null":
                value = self.fill(option, name, facts, depth + 1)
                if value is not _MISSING:
                    return value
        return None if any(o.get("type") == "null" for o in options) else _MISSING

    def _object(self, schema: Schema, name: str, facts: dict[str, Any], depth: int) -> Any:
        properties = cast("dict[str, Schema]", schema.get("properties", {}))
        if not properties:
            return self._by_ticker(schema, name, depth)
        required = cast("list[str]", schema.get("required", []))
        filled: dict[str, Any] = {}
        for key, inner in properties.items():
            own = self._named(key) or facts
            value = self.fill(inner, key, own, depth + 1)
            if value is _MISSING and key in required:
                value = self._stand_in(inner)
            if value is not _MISSING:
                filled[key] = value
        return filled

    def _by_ticker(self, schema: Schema, name: str, depth: int) -> Any:
        inner = schema.get("additionalProperties")
        if not isinstance(inner, Mapping):
            return {}
        values = {
            row["ticker"]: self.fill(cast("Schema", inner), name, row, depth + 1)
            for row in self._rows
        }
        return {k: v for k, v in values.items() if v is not _MISSING}

    def _array(self, schema: Schema, name: str, facts: dict[str, Any], depth: int) -> Any:
        inner = self._followed(cast("Schema", schema.get("items", {"type": "string"})))
        # "prices" are as many "price"; a plural without a fact of its own holds the answer's rows.
        single = re.sub(r"ies$", "y", name) if name.endswith("ies") else name.removesuffix("s")
        if re.search(r"compan|stock|share|name", name) and inner.get("type") == "string":
            single = "name" if "name" in name or "compan" in name else "ticker"
        values = [self.fill(inner, single, row, depth + 1) for row in self._rows]
        if inner.get("type") == "string" and _fact_name(single) in (None, "summary", "note"):
            values = [facts["summary"]]
        return [v for v in values if v is not _MISSING]

    def _named(self, key: str) -> dict[str, Any] | None:
        """Return the row that a property is named after, as in ``{"NVDA": {...}}``."""
        for row in self._rows:
            if key.upper() == row["ticker"] or key.lower() == NAMES[row["ticker"]].lower():
                return row
        return None

    def _stand_in(self, schema: Schema) -> Any:
        schema = self._followed(schema)
        kind = schema.get("type")
        if kind == "string" and "enum" not in schema and "format" not in schema:
            return "not available"
        return None if kind == "null" else _MISSING

    def _followed(self, schema: Schema) -> Schema:
        for _ in range(_DEEPEST):
            target = schema.get("$ref")
            if not isinstance(target, str) or not target.startswith("#/"):
                return schema
            found: Any = self._root
            for step in target[2:].split("/"):
                if not isinstance(found, Mapping):
                    return {}
                found = cast("Mapping[str, Any]", found).get(step.replace("~1", "/"), {})
            schema = {**cast("Schema", found), **_without(schema, "$ref")}
        return {}


def _derived(row: dict[str, Any]) -> dict[str, Any]:
    change = row.get("change_percent")
    if change is None:
        return row
    way = up_or_down(change)
    return row | {"direction": way, "is_up": way == "up", "is_down": way == "down"}


def _fact_name(name: str) -> str | None:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()
    return next((fact for pattern, fact in _FACTS if pattern.search(snake)), None)


def _fact(name: str, schema: Schema, facts: dict[str, Any]) -> Any:
    fact = _fact_name(name)
    if fact == "change_percent" and re.search(
        r"\b(?:absolute|dollars?|usd)\b", str(schema.get("description", "")).lower()
    ):
        fact = "change"
    if fact is None or facts.get(fact) is None:
        return _MISSING
    return facts[fact]


def _scalar(kind: Any, value: Any) -> Any:
    if value is _MISSING:
        return _MISSING
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match kind:
        case "string":
            return value if isinstance(value, str) else json.dumps(value)
        case "number":
            return round(value, 2) if is_number else _MISSING
        case "integer":
            return round(value) if is_number else _MISSING
        case "boolean":
            return value if isinstance(value, bool) else _MISSING
        case "null":
            return None
        case _:
            return value


def _chosen(options: list[Any], value: Any) -> Any:
    """Return the option that says ``value``, in whatever case or by a synonym."""
    synonyms = {
        "up": {"up", "rise", "rising", "bullish", "positive", "increase", "higher"},
        "down": {"down", "fall", "falling", "bearish", "negative", "decrease", "lower"},
        "unchanged": {"unchanged", "flat", "neutral", "stable", "sideways", "none"},
    }
    wanted = synonyms.get(str(value), {str(value).lower()})
    return next((o for o in options if o == value or str(o).lower() in wanted), _MISSING)


def _without(schema: Schema, key: str) -> dict[str, Any]:
    return {k: v for k, v in schema.items() if k != key}


def _plain(markdown: str) -> str:
    return " ".join(re.sub(r"\*{1,2}", "", markdown).split())

"""Validate the fields of events: convert values of one obvious meaning, refuse the rest.

Every validator takes a value and its `EventField`, returns the value to keep, and raises
`TypeError` or `ValueError` with one line that names event, field, expected and given type.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import timedelta
from decimal import Decimal
from functools import cache, partial
from operator import index
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

from agentnb._support.text import identifier_or_none, name_signs, printable


class EventField(NamedTuple):
    """The field under validation, for the messages of errors."""

    event: str
    field: str

    def wrong_type(self, expected: str, given: object) -> TypeError:
        kind = "None" if given is None else type(given).__name__
        return TypeError(f"{self.event}.{self.field} must be {expected}, not {kind}.")

    def wrong_value(self, expected: str, given: str) -> ValueError:
        return ValueError(f"{self.event}.{self.field} must be {expected}, not {given}.")

    def checked(self, check: Check, value: Any) -> Any:
        """Return ``check(value)``; every error names this field."""
        try:
            return check(value, self)
        except Exception as error:
            if str(error).startswith(f"{self.event}.{self.field} must be "):
                raise
            # The value's own code failed: its `__str__`, its iterator, an attribute.
            given = f"{type(value).__name__}, which raised {type(error).__name__}"
            raise self.wrong_value("a value that can be read", given) from error


Check = Callable[[Any, EventField], Any]
Clean = Callable[[str], str | None]


def plain_text(value: Any, target: EventField) -> str:
    """Return a text; an instance of a subclass of `str` becomes an exact one."""
    if isinstance(value, str):
        return str.__str__(value)
    raise target.wrong_type("text (str)", value)


def identifier(value: Any, target: EventField) -> str:
    """Return an id as text; integers and UUIDs are accepted."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, UUID):
        return str(value)
    if (whole := _whole(value)) is None:
        raise target.wrong_type("an id (str or int)", value)
    try:
        return str(whole)
    except ValueError:  # more digits than Python writes
        raise target.wrong_value("an id (str or int)", "a number too large to keep") from None


def error_text(value: Any, target: EventField) -> str:
    """Return an error as text; an exception gives its type and message, data its JSON."""
    if isinstance(value, BaseException):
        name, message = type(value).__name__, str(value)
        return f"{name}: {message}" if message else name
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Mapping):
        return json_text(cast("Mapping[Any, Any]", value), target)
    raise target.wrong_type("text (str) or an exception", value)


def json_text(value: Any, target: EventField) -> str:
    """Return data as JSON; a text stays as it is.

    Pydantic models, dataclasses, dates, decimals, sets, NumPy's scalars and arrays are accepted.
    NaN and infinities become null.  Bytes must be UTF-8.
    """
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes | bytearray):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise target.wrong_value("text or JSON data", "bytes that are not UTF-8") from None
    text = json_document(value, target)
    # A date or a decimal is a JSON string; return it without the quotes.
    return json.loads(text) if text.startswith('"') else text


def json_document(value: Any, target: EventField) -> str:
    """Return data as JSON, as `json_text` does; a text becomes a string of JSON."""
    return _as_json(value, target, "text or JSON data")[1]


def details(value: Any, target: EventField) -> dict[str, Any]:
    """Return a dict of JSON-like values; other values are converted as by `json_text`."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise target.wrong_type("a dict", value)
    return _as_json(dict(cast("Mapping[str, Any]", value)), target, "a dict")[0]


def json_value(value: Any, target: EventField) -> Any:
    """Return JSON-like data; other values are converted as by `json_text`."""
    return _as_json(value, target, "JSON-like data")[0]


def operations(value: Any, target: EventField) -> tuple[dict[str, Any], ...]:
    """Return a JSON Patch, a sequence of objects, as a tuple."""
    data = _as_json(value, target, "a JSON Patch")[0]
    if not isinstance(data, list | tuple) or not all(
        isinstance(each, dict) for each in cast("list[Any]", data)
    ):
        raise target.wrong_type("a JSON Patch (a list of dicts)", value)
    return tuple(cast("list[dict[str, Any]]", data))


def texts(value: Any, target: EventField) -> tuple[str, ...]:
    """Return several texts as a tuple; a single text is a tuple of one."""
    expected = "a sequence of texts (str)"
    if isinstance(value, str):
        value = (value,)
    if not isinstance(value, Iterable) or isinstance(value, Mapping | bytes | bytearray):
        raise target.wrong_type(expected, cast("object", value))
    items = tuple(cast("Iterable[Any]", value))
    for item in items:
        if not isinstance(item, str):
            kind = "None" if item is None else type(item).__name__
            raise TypeError(f"{target.event}.{target.field} must be {expected}, not of {kind}.")
    return tuple(printable(str.__str__(item)) for item in items)


def count(value: Any, target: EventField) -> int:
    """Return a number of things: a whole number of 0 or more, None not included."""
    expected = "a whole number of 0 or more"
    number = _number(value, target, f"{expected} (int)")
    if not 0 <= number <= _LARGEST or not float(number).is_integer():
        raise target.wrong_value(expected, _number_text(number))
    return int(number)


def amount(value: Any, target: EventField) -> float:
    """Return a finite number of 0 or more; integers stay integers."""
    number = _number(value, target, "a number of 0 or more (float)")
    if not 0 <= number <= _LARGEST:  # NaN is neither
        raise target.wrong_value("a finite number of 0 or more", _number_text(number))
    return number


def seconds(value: Any, target: EventField) -> float:
    """Return a time in seconds; a `timedelta` is accepted."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    return amount(value, target)


def one_of(*words: str) -> Check:
    """Return a validator that accepts these words."""
    *most, last = map(repr, words)
    expected = f"{', '.join(most)} or {last}" if most else last

    def check(value: Any, target: EventField) -> str:
        if not isinstance(value, str):
            raise target.wrong_type(expected, value)
        if value not in words:
            raise target.wrong_value(expected, repr(str.__str__(value)))
        return str.__str__(value)

    return check


# A field's name has one meaning in all events.
_CHECKS: Final[dict[str, Check]] = {
    **dict.fromkeys(("run_id", "session_id", "call_id", "approval_id", "code"), identifier),
    **dict.fromkeys(("step_id", "parent_id"), identifier),
    **dict.fromkeys(("arguments", "output", "result", "data", "answer_schema"), json_text),
    **dict.fromkeys(("error", "message", "reason", "problem"), error_text),
    **dict.fromkeys(("agent", "model", "name", "tool", "error_type", "hint"), plain_text),
    **dict.fromkeys(("url", "title", "quote", "mime_type", "expires_at"), plain_text),
    **dict.fromkeys(("state", "value"), json_value),
    **dict.fromkeys(("input_tokens", "output_tokens", "total_tokens"), count),
    **dict.fromkeys(("cached_tokens", "reasoning_tokens"), count),
    **dict.fromkeys(("duration", "retry_after"), seconds),
    "cost_usd": amount,
    "details": details,
    "followups": texts,
    "patch": operations,
    # How a run ends that does not complete.
    "status": one_of("failed", "truncated", "interrupted"),
    "scope": one_of("step"),
}
_CLEAN: Final[dict[str, Clean]] = {
    **dict.fromkeys(("run_id", "session_id", "approval_id"), identifier_or_none),
    **dict.fromkeys(("agent", "model", "name", "tool", "call_id"), name_signs),
    **dict.fromkeys(("step_id", "parent_id", "title", "mime_type", "expires_at"), name_signs),
    **dict.fromkeys(("code", "error_type"), name_signs),
    **dict.fromkeys(("hint", "reason", "problem", "quote"), printable),
}
_TEXTS: Final = (identifier, json_text, error_text, plain_text)


class Validated:
    """A dataclass that validates its fields, by their names, when an instance is created.

    A field whose default is None or "" accepts None.
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        for name, check, passing, clean in _checks_of(type(self)):
            value = result = getattr(self, name)
            if type(value) not in passing:
                result = EventField(type(self).__name__, name).checked(check, value)
            if clean is not None and type(result) is str:
                result = clean(result)
            if result is not value:
                object.__setattr__(self, name, result)


@cache
def _checks_of(cls: type[Any]) -> tuple[tuple[str, Check, tuple[type, ...], Clean | None], ...]:
    """Return for each field its name, its validator, the types that need none, and its cleaner."""
    checks: list[tuple[str, Check, tuple[type, ...], Clean | None]] = []
    for field in fields(cls):
        if (check := _CHECKS.get(field.name)) is None:
            continue
        passing = (str,) if check in _TEXTS else ()
        if field.default is None:
            passing = (*passing, type(None))
        elif field.default == "":
            check = partial(_none_as_empty, check)
        checks.append((field.name, check, passing, _CLEAN.get(field.name)))
    return tuple(checks)


def _none_as_empty(check: Check, value: Any, target: EventField) -> Any:
    return "" if value is None else check(value, target)


# Larger integers have no float.
_LARGEST: Final = sys.float_info.max


def _number_text(number: float) -> str:
    return "a number too large to keep" if number > _LARGEST else f"{max(number, -_LARGEST):g}"


def _number(value: Any, target: EventField, expected: str) -> float:
    number = _whole(value)
    if number is None and (number := _real(value)) is None:
        raise target.wrong_type(expected, value)
    return number


def _whole(value: Any) -> int | None:
    """Return an integer of any type, NumPy's too, as an `int`; None for other values."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str | bytes | float) or type(value).__name__.startswith("bool"):
        return None
    try:
        return index(value)
    except Exception:
        return None


def _real(value: Any) -> float | None:
    """Return a float, a decimal or NumPy's float as a `float`; None for other values."""
    if isinstance(value, float | Decimal):
        return float(value)
    if isinstance(value, bool | str | bytes) or getattr(value, "shape", None) != ():
        return None
    try:
        item = value.item()
    except Exception:
        return None
    return item if isinstance(item, float) else None


def _as_json(value: Any, target: EventField, expected: str) -> tuple[Any, str]:
    """Return ``value`` as JSON-like data, and as JSON."""
    try:
        return value, json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        data = _json_like(value, target)
    try:
        return data, json.dumps(data, ensure_ascii=False)
    except (ValueError, RecursionError):
        # An integer of thousands of digits, or depth that only this encoder refuses.
        raise target.wrong_value(expected, "data too large or too deep") from None


def _json_like(value: Any, target: EventField) -> Any:
    """Return ``value`` as `json.dumps` accepts it."""
    # Imported late: plain data, nearly all of it, does not need it.
    from pydantic_core import to_jsonable_python

    unknown: list[str] = []

    def fallback(item: Any) -> Any:
        if callable(as_list := getattr(item, "tolist", None)) and not isinstance(item, type):
            return as_list()
        unknown.append(type(item).__name__)
        raise TypeError

    try:
        return _finite(to_jsonable_python(value, fallback=fallback, by_alias=True))
    except RecursionError:
        raise target.wrong_value("text or JSON data", "data too large or too deep") from None
    except Exception as error:
        if unknown:
            expected = "text or JSON data (str, dict, list, number, pydantic model)"
            raise TypeError(
                f"{target.event}.{target.field} must be {expected}, not {unknown[0]}."
            ) from None
        circular = "Circular reference" in str(error)
        reason = "which contains itself" if circular else "which has no JSON form"
        given = f"{type(value).__name__}, {reason}"
        raise target.wrong_value("text or JSON data", given) from error


def _finite(value: Any) -> Any:
    """Return JSON-like data with None in place of NaN and infinities."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {str(key): _finite(item) for key, item in items}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in cast("list[Any]", value)]
    return value

"""What users give as checks, read into `Check` objects, each of another name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, cast, get_origin

from agentnb.errors import RequestError
from agentnb.evaluation.check import Check
from agentnb.evaluation.expected import Row
from agentnb.evaluation.forms import json_schema
from agentnb.evaluation.texts import exact, regex

__all__ = ["CheckLike", "Checks", "read_checks"]

CheckLike = Check | Callable[..., Any] | re.Pattern[str] | str | Mapping[str, Any]
"""What can be given as a check, see `agentnb.evaluation`."""

Checks = CheckLike | Iterable[CheckLike] | Mapping[str, CheckLike]
"""One check, several, or several under names of the user's."""

_KINDS: Final = (
    "A check is a function of the answer, a compiled regular expression, a text, a JSON schema, "
    "a pydantic model, or made by a function of agentnb.evaluation."
)
# What makes a mapping a JSON schema rather than checks under names.
_SCHEMA_KEYS: Final = ("$schema", "$ref", "properties", "allOf", "anyOf", "oneOf")
_SCHEMA_TYPES: Final = frozenset(
    ("array", "boolean", "integer", "null", "number", "object", "string")
)


def read_checks(checks: Checks) -> list[Check]:
    """Return the checks, in order; one without a name of its own is called after what it does.

    Raises:
        RequestError: there is none, or one that is no check.
    """
    if isinstance(checks, Mapping) and not _is_schema(cast("Mapping[Any, Any]", checks)):
        named = cast("Mapping[str, CheckLike]", checks)
        read = [replace(_read(check), name=_name(name)) for name, check in named.items()]
    elif _is_one(checks):
        read = [_read(cast("CheckLike", checks))]
    elif isinstance(checks, Iterable):
        read = _told_apart([_read(check) for check in cast("Iterable[CheckLike]", checks)])
    else:
        raise RequestError(f"{type(checks).__name__} is no check.", hint=_KINDS)
    if not read:
        raise RequestError("There is no check to evaluate by.", hint=_KINDS)
    return read


def _is_one(checks: Any) -> bool:
    # A generic type such as list[int] can be called and iterated, too.
    return isinstance(checks, Check | str | re.Pattern | Mapping) or (
        callable(checks) or _is_type(checks)
    )


def _is_type(value: Any) -> bool:
    return isinstance(value, type) or get_origin(value) is not None


def _is_schema(mapping: Mapping[Any, Any]) -> bool:
    kind = mapping.get("type")
    kinds: list[Any] = cast("list[Any]", kind) if isinstance(kind, list) else [kind]
    return any(key in mapping for key in _SCHEMA_KEYS) or any(
        isinstance(each, str) and each in _SCHEMA_TYPES for each in kinds
    )


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise RequestError(f"{name!r} is no name of a check: a text is.")
    return name


def _read(check: Any) -> Check:
    match check:
        case Check():
            return check
        case str():
            return exact(check)
        case re.Pattern():
            return regex(cast("re.Pattern[str]", check))
        case Mapping():
            return json_schema(cast("Mapping[str, Any]", check))
        case _ if _is_type(check):
            return json_schema(check)
        case _ if callable(check):
            return _of_function(check)
        case _:
            raise RequestError(f"{type(check).__name__} is no check.", hint=_KINDS)


def _told_apart(checks: Iterable[Check]) -> list[Check]:
    told: dict[str, Check] = {}
    for check in checks:
        name, count = check.name, 1
        while name in told:
            count += 1
            name = f"{check.name}_{count}"
        told[name] = replace(check, name=name)
    return list(told.values())


def _of_function(function: Callable[..., Any]) -> Check:
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - its own kind is asked for
    ):
        raise RequestError("A check is a plain function, not an async one.")
    name = getattr(function, "__name__", type(function).__name__)
    if name == "<lambda>":
        name = "check"
    way = _way_of_row(function)
    if way is None:

        def judge(answer: str, row: Row) -> Any:
            return function(answer)
    elif way == "row":

        def judge(answer: str, row: Row) -> Any:
            return function(answer, row=row)
    else:
        judge = function
    return Check(name, judge, reads_row=way is not None)


def _way_of_row(function: Callable[..., Any]) -> str | None:
    """Return how a function takes the row: by the name "row", as its second argument, or not.

    A second parameter that has a default, and is not called ``row``, is the function's own affair.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    by_name = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if any(p.name == "row" and p.kind in by_name for p in parameters[1:]):
        return "row"
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    second = parameters[1] if len(parameters) > 1 else None
    if second is not None and second.kind in by_place and second.default is second.empty:
        return "second"
    return None

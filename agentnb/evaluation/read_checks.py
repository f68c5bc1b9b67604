"""Conversion of the checks that users give to `Check` objects with distinct names."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, cast, get_origin

from agentnb.errors import RequestError
from agentnb.evaluation.check import Check, Row, exact, json_schema, regex

CheckLike = Check | Callable[..., Any] | re.Pattern[str] | str | Mapping[str, Any]
"""Anything that `agentnb.evaluation` accepts as a check."""

Checks = CheckLike | Iterable[CheckLike] | Mapping[str, CheckLike]
"""One check, several, or several by name."""

_HINT: Final = (
    "A check is a function of the answer, a compiled regular expression, a text, a JSON schema, "
    "a pydantic model, or made by a function of agentnb.evaluation."
)
# Keys and types that distinguish a JSON schema from checks by name.
_SCHEMA_KEYS: Final = ("$schema", "$ref", "properties", "allOf", "anyOf", "oneOf")
_SCHEMA_TYPES: Final = frozenset(
    ("array", "boolean", "integer", "null", "number", "object", "string")
)


def read_checks(checks: Checks) -> list[Check]:
    """Return the checks, in order; unnamed ones get a name from their kind or function.

    Raises:
        RequestError: there is no check, or one is invalid.
    """
    if isinstance(checks, Mapping) and not _is_schema(cast("Mapping[Any, Any]", checks)):
        by_name = cast("Mapping[str, CheckLike]", checks)
        result = [replace(_read(check), name=_check_name(name)) for name, check in by_name.items()]
    # A generic type such as list[int] is callable and iterable, too.
    elif (
        isinstance(checks, Check | str | re.Pattern | Mapping)
        or callable(checks)
        or _is_type(checks)
    ):
        result = [_read(checks)]
    elif isinstance(checks, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        result = _with_distinct_names(_read(check) for check in cast("Iterable[Any]", checks))
    else:
        raise RequestError(f"{type(checks).__name__} is no check.", hint=_HINT)
    if not result:
        raise RequestError("There is no check to evaluate by.", hint=_HINT)
    return result


def _is_type(value: Any) -> bool:
    return isinstance(value, type) or get_origin(value) is not None


def _is_schema(mapping: Mapping[Any, Any]) -> bool:
    kind = mapping.get("type")
    kinds: list[Any] = cast("list[Any]", kind) if isinstance(kind, list) else [kind]
    return any(key in mapping for key in _SCHEMA_KEYS) or any(
        isinstance(each, str) and each in _SCHEMA_TYPES for each in kinds
    )


def _check_name(name: Any) -> str:
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
            return _function_check(check)
        case _:
            raise RequestError(f"{type(check).__name__} is no check.", hint=_HINT)


def _with_distinct_names(checks: Iterable[Check]) -> list[Check]:
    by_name: dict[str, Check] = {}
    for check in checks:
        name, count = check.name, 1
        while name in by_name:
            count += 1
            name = f"{check.name}_{count}"
        by_name[name] = replace(check, name=name)
    return list(by_name.values())


def _function_check(function: Callable[..., Any]) -> Check:
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - to see whether it is async
    ):
        raise RequestError("A check is a plain function, not an async one.")
    name = getattr(function, "__name__", type(function).__name__)
    if name == "<lambda>":
        name = "check"
    parameter = _row_parameter(function)
    if parameter is None:

        def judge(answer: str, row: Row) -> Any:
            return function(answer)
    elif parameter == "row":

        def judge(answer: str, row: Row) -> Any:
            return function(answer, row=row)
    else:
        judge = function
    return Check(name, judge, reads_row=parameter is not None)


def _row_parameter(function: Callable[..., Any]) -> str | None:
    """Return "row" or "second" for the parameter that takes the row, None if there is none.

    A second parameter that has a default and is not called ``row`` does not take the row.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())[1:]
    except (TypeError, ValueError):
        return None
    kind = inspect.Parameter
    if any(
        p.name == "row" and p.kind in (kind.KEYWORD_ONLY, kind.POSITIONAL_OR_KEYWORD)
        for p in parameters
    ):
        return "row"
    for second in parameters[:1]:
        is_positional = second.kind in (kind.POSITIONAL_ONLY, kind.POSITIONAL_OR_KEYWORD)
        if is_positional and second.default is second.empty:
            return "second"
    return None

"""Validate users' parameters before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError

from agentnb.config import key_hint
from agentnb.errors import ConfigError, RequestError
from agentnb.platforms._wire import Outbound, one_line
from agentnb.redaction.secrets import is_given_secret

P = TypeVar("P", bound=Outbound)

_NUMBERS: Final = {"integer": "an integer", "number": "a number"}


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return a hint that names the closest known word, or all of them where none is close."""
    options = sorted(set(known))
    # Imported late: only a misspelt name needs it.
    import difflib

    close = difflib.get_close_matches(word, options, n=1, cutoff=0.6)
    if not close:
        close = [o for o in options if o.replace("_", "").lower() == word.replace("_", "").lower()]
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(options)}." if options else None


def check_params(model: type[P], params: Mapping[str, Any], *, platform: str) -> P:
    """Return ``params`` as ``model``; names may be in snake_case or in the wire's spelling.

    Raises:
        RequestError: an unknown name (with the closest known one as hint), a name given in both
            spellings, or a value of the wrong type or out of range (field and range are named).
    """
    aliases = {field.alias: name for name, field in model.model_fields.items() if field.alias}
    for alias, name in aliases.items():
        if alias != name and alias in params and name in params:
            raise RequestError(f"{platform}: {name} and {alias} are one parameter; give it once.")
    try:
        return model.model_validate(dict(params))
    except ValidationError as error:
        # The contexts hold the ranges; inputs are quoted up to a bound.
        raise _refusal(model, error, platform) from None
    except RecursionError:
        raise RequestError(f"{platform}: the parameters are nested too deeply.") from None


def check_options(model: type[P], options: Mapping[str, Any], *, platform: str) -> P:
    """Return a platform's own settings as ``model``.

    Raises:
        ConfigError: where `check_params` would raise.
    """
    try:
        return check_params(model, options, platform=platform)
    except RequestError as error:
        raise ConfigError(f"Settings of {error.message}", hint=error.hint) from None


def _refusal(model: type[Outbound], error: ValidationError, platform: str) -> RequestError:
    hint: str | None = None
    messages: list[str] = []
    for item in error.errors(include_url=False):
        loc = tuple(str(p) for p in item["loc"])
        path = ".".join(loc)
        if item["type"] == "extra_forbidden":
            parent = _model_at(model, loc[:-1])
            messages.append(f"no parameter {path!r}")
            if is_given_secret(loc[-1], item["input"]):
                hint = key_hint(platform)
            hint = hint or (did_you_mean(loc[-1], parent.model_fields) if parent else None)
        elif item["type"] == "missing":
            messages.append(f"{path} is required")
        else:
            what = _requirement(model, loc) or _must(item["msg"])
            messages.append(f"{path} {what}, not {_excerpt(item['input'])}")
    return RequestError(one_line(f"{platform}: {'; '.join(messages)}."), hint=hint)


def _must(message: str) -> str:
    message = message.removeprefix("Value error, ")
    verb = message.partition(" should ")[2]
    return f"must {verb}" if verb else message


def _excerpt(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"


def _model_at(model: type[BaseModel], loc: tuple[str, ...]) -> type[BaseModel] | None:
    current: type[BaseModel] | None = model
    for step in loc:
        if current is None:
            return None
        field = _field(current, step)
        current = _nested(field.annotation) if field is not None else None
    return current


def _field(model: type[BaseModel], name: str) -> Any:
    for key, field in model.model_fields.items():
        if name in (key, field.alias):
            return field
    return None


def _nested(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType, Annotated):
        for arg in get_args(annotation):
            if (found := _nested(arg)) is not None:
                return found
    return None


def _requirement(model: type[BaseModel], loc: tuple[str, ...]) -> str | None:
    """Return the requirement of a numeric field, as in "must be a number from 0 to 2"."""
    parent = _model_at(model, loc[:-1])
    if parent is None or not loc:
        return None
    properties = parent.model_json_schema(by_alias=False)["properties"]
    names = {name for name, field in parent.model_fields.items() if loc[-1] in (name, field.alias)}
    for name in names:
        schema: dict[str, Any] = properties[name]
        for option in cast("list[dict[str, Any]]", schema.get("anyOf", [schema])):
            if (kind := _NUMBERS.get(option.get("type", ""))) is not None:
                return f"must be {kind}{_range({**schema, **option})}"
    return None


def _range(schema: Mapping[str, Any]) -> str:
    def bound(**forms: str) -> str:
        found = (form.format(schema[key]) for key, form in forms.items() if key in schema)
        return next(found, "")

    # After a validator of its own, a field has the constraints' Python names in its schema.
    low = bound(ge="{:g}", minimum="{:g}", gt="above {:g}", exclusiveMinimum="above {:g}")
    high = bound(le="{:g}", maximum="{:g}", lt="below {:g}", exclusiveMaximum="below {:g}")
    if low and high:
        return f" from {low} to {high}"
    return f" of {low or high} or {'more' if low else 'less'}" if low or high else ""


def check_choice(value: Any, choices: Iterable[str], *, name: str, platform: str) -> str:
    """Return ``value`` where it is one of ``choices``.

    Raises:
        RequestError: it is not; the message names them all.
    """
    options = list(choices)
    if value not in options:
        raise RequestError(
            f"{platform}: {name} must be one of {', '.join(options)}, not {_excerpt(value)}."
        )
    return cast("str", value)


def check_count(value: Any, *, name: str, platform: str, minimum: int = 0) -> int:
    """Return ``value`` where it is an integer of at least ``minimum``.

    Raises:
        RequestError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
        raise RequestError(
            f"{platform}: {name} must be an integer of {minimum} or more, not {_excerpt(value)}."
        )
    return value

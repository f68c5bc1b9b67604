"""What the platforms' wires have in common: models, validation by tag, mended text.

Inbound models are tolerant (what they do not know is kept), outbound ones strict (what they do not
know is refused before anything is sent).  Everything that reads a platform's answer is total: it
never raises, whatever the answer holds, but for `MalformedError`.

`check_params` and its kin are in ``_params.py``, times and error bodies in ``_bodies.py``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticSerializationError

# What platforms send is mended by it.
from agentnb._support.text import well_formed as mend
from agentnb.errors import RequestError

__all__ = [
    "JSON_DECODER",
    "SHALLOW",
    "EventCodec",
    "Inbound",
    "Lenient",
    "MalformedError",
    "Number",
    "Outbound",
    "SurrogateJoiner",
    "as_text",
    "could_be_deep",
    "explain",
    "json_payload",
    "mend",
    "mend_deep",
    "one_line",
    "to_wire",
    "validated",
]

_MAX_LINE: Final = 300
_MAX_DEPTH: Final = 100
# Each level opens and closes, so that most texts are too short to be deep.
SHALLOW: Final = 2 * _MAX_DEPTH


class Inbound(BaseModel):
    """What a platform says: unknown fields are kept in ``model_extra``."""

    # Schemas are built on first use, so that importing a platform stays cheap.
    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        populate_by_name=True,
        defer_build=True,
        protected_namespaces=(),
    )


class Outbound(BaseModel):
    """What is sent: unknown fields are refused, numbers are finite, booleans are no numbers."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        defer_build=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


Number = BeforeValidator(_no_bool)
"""For numeric outbound fields, as in ``Annotated[float, Number, Ge(0)]``: refuses booleans."""


def to_wire(model: BaseModel) -> dict[str, Any]:
    """Return the JSON form that is sent: wire names, and no field that is None.

    Nulls inside free-form objects are the caller's own and stay.

    Raises:
        RequestError: a free-form value has no JSON form.
    """
    try:
        # A half character cannot be sent as UTF-8, so it is shown as what it is: U+FFFD.
        data = mend_deep(model.model_dump(by_alias=True, exclude_none=True))
        return cast("dict[str, Any]", _JSON.dump_python(data, mode="json"))
    except (PydanticSerializationError, RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else one_line(str(error))
        raise RequestError(f"The request has no JSON form: {reason}.") from None


_JSON: Final[TypeAdapter[Any]] = TypeAdapter(Any)


def mend_deep(value: Any) -> Any:
    """Return a JSON-like value with every string in it mended; tuples become lists."""
    if isinstance(value, str):
        return mend(value)
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {mend_deep(k): mend_deep(v) for k, v in items}
    if isinstance(value, list | tuple):
        return [mend_deep(v) for v in cast("list[Any]", value)]
    return value


def _or_none(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    try:
        return handler(value)
    except (ValidationError, RecursionError):
        return None


Lenient = WrapValidator(_or_none)
"""For inbound fields that must not spoil the rest, as in ``Annotated[int | None, Lenient] = None``:
what is not of the type is None."""


# --- inbound events ---------------------------------------------------------------------------

M = TypeVar("M", bound=Inbound)


class MalformedError(ValueError):
    """A wire event that is not what its kind promises; the message is one short line."""


class EventCodec(Generic[M]):
    """Validates a wire event by its tag, once.

    ``models`` maps each known tag to its model; several tags may share one.
    """

    def __init__(self, models: Mapping[str, type[M]]) -> None:
        self._models = dict(models)

    @property
    def tags(self) -> frozenset[str]:
        """The tags that are known."""
        return frozenset(self._models)

    def knows(self, tag: str) -> bool:
        return tag in self._models

    def parse(self, tag: str, payload: Any) -> M | None:
        """Return the event, or None where the tag is unknown.

        Raises:
            MalformedError: the tag is known and the payload is not what it promises.
        """
        model = self._models.get(tag)
        return None if model is None else validated(model, payload)


def validated(model: type[M], value: Any) -> M:
    """Return a value as its model.

    Raises:
        MalformedError: it is not what the model promises.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise MalformedError(explain(error)) from None
    except RecursionError:
        raise MalformedError("nested too deeply") from None


def json_payload(text: str) -> Any:
    """Return the JSON value of an event's data.

    NaN and infinities, which are no JSON, become None; lone surrogates stay (see
    `SurrogateJoiner`).

    Raises:
        MalformedError: not JSON, nested too deeply, or a number too long to read.
    """
    text = text.strip(" \t\n\r")
    try:
        # `json.loads` with hooks makes a decoder each time, which costs more than it then decodes.
        value, end = JSON_DECODER.raw_decode(text)
        if end != len(text):
            raise json.JSONDecodeError("Extra data", text, end)
    except RecursionError:
        raise MalformedError("nested too deeply") from None
    except ValueError as error:
        # JSONDecodeError quotes a position only; int() names its digit limit.
        raise MalformedError(one_line(f"not JSON: {error}")) from None
    # Whatever the depth limit lets through can later be walked and written without a thought.
    if could_be_deep(text) and _is_deep(value):
        raise MalformedError("nested too deeply")
    return value


def could_be_deep(text: str) -> bool:
    """Tell whether a text of JSON has as many brackets as one that is nested too deeply."""
    return len(text) > SHALLOW and text.count("[") + text.count("{") > _MAX_DEPTH


def _is_deep(value: Any) -> bool:
    level: list[Any] = [value]
    for _ in range(_MAX_DEPTH):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(cast("dict[str, Any]", item).values())
            elif isinstance(item, list):
                inner.extend(cast("list[Any]", item))
        if not inner:
            return False
        level = inner
    return True


def _no_constant(_name: str) -> None:
    return None


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


JSON_DECODER: Final = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)


def explain(error: ValidationError) -> str:
    """Return a validation error as one line that names each field, without the input's values."""
    parts: list[str] = []
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        path = ".".join(str(p) for p in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        parts.append(f"{path}: {message}" if path else message)
    return one_line("; ".join(parts))


def one_line(text: str) -> str:
    """Return ``text`` mended, on one line, and at most 300 characters long."""
    text = " ".join(mend(text).split())
    return text if len(text) <= _MAX_LINE else text[: _MAX_LINE - 1] + "…"


def as_text(value: Any) -> str:
    """Return a wire value as text: a string as it is, None as "", anything else as JSON."""
    if isinstance(value, str):
        return mend(value)
    if value is None:
        return ""
    try:
        return mend(json.dumps(value, ensure_ascii=False, default=str))
    except (RecursionError, ValueError):
        return ""


# --- half characters --------------------------------------------------------------------------


class SurrogateJoiner:
    """Mends text that a server cut in the middle of a character.

    A server that slices by UTF-16 units sends an emoji's two halves in two fragments.  The first
    half is held back until its other half comes, under the same ``key``.
    """

    __slots__ = ("held",)

    def __init__(self) -> None:
        #: What is held back, by key.  Where that is nothing, `feed` leaves ASCII as it is.
        self.held: dict[str, str] = {}

    def feed(self, text: str, key: str = "") -> str:
        """Return what of ``text`` can be shown now."""
        if not self.held and text.isascii():
            return text
        text = self.held.pop(key, "") + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self.held[key] = text[-1]
            text = text[:-1]
        return mend(text)

    def flush(self) -> dict[str, str]:
        """Return, by key, what the halves that never found each other are shown as."""
        held = dict(self.held)
        self.held.clear()
        return dict.fromkeys(held, "\ufffd")

"""Models and validation that the platforms' wire formats have in common.

Inbound models keep unknown fields, outbound ones refuse them before anything is sent.  Whatever a
response contains, reading it raises nothing but `MalformedError`.

Users' parameters are in ``_params.py``, times and error bodies in ``_bodies.py``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Generic, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticSerializationError, from_json

from agentnb._support.text import well_formed
from agentnb.errors import RequestError
from agentnb.sse import ServerSentEvent

_MAX_LINE: Final = 300
_MAX_DEPTH: Final = 100
# A level takes two characters, so a shorter text cannot be too deep.
_SHALLOW: Final = 2 * _MAX_DEPTH


class Inbound(BaseModel):
    """A response or event of a platform; unknown fields are kept in ``model_extra``."""

    # Schemas are built on first use, so that importing a platform stays cheap.
    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        populate_by_name=True,
        defer_build=True,
        protected_namespaces=(),
    )


class Outbound(BaseModel):
    """A request: unknown fields are refused, numbers are finite, booleans are no numbers."""

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
    """Return the JSON form to send: wire names, without fields that are None.

    Nulls inside free-form objects stay.

    Raises:
        RequestError: a free-form value has no JSON form.
    """
    try:
        # A lone surrogate has no UTF-8 form; it becomes U+FFFD.
        data = mend_deep(model.model_dump(by_alias=True, exclude_none=True))
        return cast("dict[str, Any]", _JSON.dump_python(data, mode="json"))
    except (PydanticSerializationError, RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else one_line(str(error))
        raise RequestError(f"The request has no JSON form: {reason}.") from None


_JSON: Final[TypeAdapter[Any]] = TypeAdapter(Any)


def mend_deep(value: Any) -> Any:
    """Return a JSON-like value without lone surrogates; tuples become lists."""
    if isinstance(value, str):
        return well_formed(value)
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
"""For optional inbound fields, as in ``Annotated[int | None, Lenient] = None``: None where the
value is not of the type."""


def _text_or_none(value: str | None) -> str | None:
    return well_formed(value) if value else None


Text = Annotated[str | None, AfterValidator(_text_or_none)]
"""For optional inbound fields: text without lone surrogates; None where it is empty."""


# --- inbound events ---------------------------------------------------------------------------

M = TypeVar("M", bound=Inbound)


class MalformedError(ValueError):
    """A wire event that does not match the model of its kind; the message is one short line."""


class EventCodec(Generic[M]):
    """Validates wire events by their tag; several tags may share a model."""

    def __init__(self, models: Mapping[str, type[M]]) -> None:
        self._models = dict(models)

    @property
    def tags(self) -> frozenset[str]:
        return frozenset(self._models)

    def knows(self, tag: str) -> bool:
        return tag in self._models

    def parse(self, tag: str, payload: Any) -> M | None:
        """Return the event, or None where the tag is unknown.

        Raises:
            MalformedError: the tag is known and the payload does not match its model.
        """
        model = self._models.get(tag)
        return None if model is None else validated(model, payload)


def validated(model: type[M], value: Any) -> M:
    """Return a value as its model.

    Raises:
        MalformedError: it does not match the model.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise MalformedError(explain(error)) from None
    except RecursionError:
        raise MalformedError("nested too deeply") from None


def json_payload(text: str) -> Any:
    """Return the JSON value of an event's data.

    NaN and infinities become None; lone surrogates stay (see `SurrogateJoiner`).

    Raises:
        MalformedError: not JSON, nested too deeply, or a number too long to read.
    """
    text = text.strip(" \t\n\r")
    try:
        # `json.loads` with hooks makes a decoder for each call, which takes longer than decoding.
        value, end = JSON_DECODER.raw_decode(text)
        if end != len(text):
            raise json.JSONDecodeError("Extra data", text, end)
    except RecursionError:
        raise MalformedError("nested too deeply") from None
    except ValueError as error:
        # The messages quote no content: JSONDecodeError a position, int() its digit limit.
        raise MalformedError(one_line(f"not JSON: {error}")) from None
    # Within the depth limit, later code may walk and encode values recursively.
    if _could_be_deep(text) and _is_deep(value):
        raise MalformedError("nested too deeply")
    return value


def _could_be_deep(text: str) -> bool:
    """Return whether JSON text has enough brackets to be nested too deeply."""
    return len(text) > _SHALLOW and text.count("[") + text.count("{") > _MAX_DEPTH


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
    """Return ``text`` without lone surrogates, on one line of at most 300 characters."""
    text = " ".join(well_formed(text).split())
    return text if len(text) <= _MAX_LINE else text[: _MAX_LINE - 1] + "…"


def as_text(value: Any) -> str:
    """Return a wire value as text: strings unchanged, None as "", anything else as JSON."""
    if isinstance(value, str):
        return well_formed(value)
    if value is None:
        return ""
    try:
        return well_formed(json.dumps(value, ensure_ascii=False, default=str))
    except (RecursionError, ValueError):
        return ""


# --- the fast path of decoders ----------------------------------------------------------------

# A longer text may have a number of more digits than Python parses.
_LONGEST: Final = 4000


def peek(frames: Sequence[ServerSentEvent]) -> Iterable[dict[str, Any] | None]:
    """Return the JSON object of each frame's data, None where it may be none.

    Nearly all frames are a fragment of the answer in a small JSON object; a decoder that handles
    those first spares them its general path.  Use only their strings: unlike in `json_payload`, NaN
    and infinities stay.
    """
    if len(frames) == 1:
        return (_object_in(frames[0].data),)
    texts = [frame.data for frame in frames]
    if max(map(len, texts), default=0) <= _SHALLOW:
        try:
            values = list(map(from_json, texts))
        except ValueError:
            pass
        else:
            if set(map(type, values)) == {dict}:
                return values
    return map(_object_in, texts)


def _object_in(text: str) -> dict[str, Any] | None:
    if len(text) > _SHALLOW and (len(text) > _LONGEST or _could_be_deep(text)):
        return None
    try:
        value = from_json(text)
    except ValueError:
        return None
    return cast("dict[str, Any]", value) if type(value) is dict else None

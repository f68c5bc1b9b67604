"""Parsing of fault scripts.

A script is faults separated by ``;``.  A fault is a name, for some a value, and settings::

    status 429 retry_after=1 times=2; drop after=300 times=1

Text with spaces stands in quotes.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from agentnb.config import suggestion

Kind = Literal["start", "join", "other"]
"""Whether a request starts a run, joins one, or neither."""

_MAX_SCRIPT: Final = 10_000
_MAX_MESSAGE: Final = 300


class FaultScriptError(ValueError):
    """A script that cannot be parsed; the message is one line."""

    def __init__(self, message: str) -> None:
        # The message quotes the script, which may hold control characters.
        plain = "".join(c if c.isprintable() else " " for c in message)
        super().__init__(" ".join(plain.split())[:_MAX_MESSAGE])


_On = Literal["runs", "start", "join", "other", "any"]
_Events = Annotated[int, Field(ge=0, le=10**9)]
_Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


def _sendable(text: str) -> str:
    if not re.fullmatch(r"[\x20-\x7e]+", text):
        raise ValueError("must be plain ASCII text")
    return text


_HeaderText = Annotated[str, AfterValidator(_sendable)]


class Fault(BaseModel):
    """Settings common to all faults; `agentnb.sandbox` describes each.

    ``times`` limits the connections that it happens on.  ``on`` selects them: those that start a
    run, those that join one, both (``runs``), all others (``other``), or ``any``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: ClassVar[str | None] = None
    """The setting that may be written without its name."""

    times: Annotated[int, Field(ge=1, le=10**6)] | None = None
    on: _On = "runs"

    def concerns(self, kind: Kind) -> bool:
        return self.on in (kind, "any") or (self.on == "runs" and kind != "other")


class PositionedFault(Fault):
    """Fault at a position: after a number of bytes as sent, or of events, of the body."""

    after: Annotated[int, Field(ge=0, le=2**40)] | None = None
    events: _Events | None = None

    def model_post_init(self, context: object, /) -> None:
        if self.after is not None and self.events is not None:
            raise ValueError("give either after (bytes) or events")

    @property
    def is_before_head(self) -> bool:
        return self.after is None and self.events is None


class StatusFault(Fault):
    """Error response in the platform's form; ``retry_after`` is sent verbatim."""

    value = "code"

    code: Annotated[int, Field(ge=400, le=599)]
    retry_after: _HeaderText | None = None


class DropFault(PositionedFault):
    """Connection closed: by RST, by FIN, or by FIN before the promised Content-Length."""

    how: Literal["reset", "close", "short"] = "reset"


class StallFault(PositionedFault):
    """Silence for ``seconds``, None for as long as the client waits."""

    seconds: _Seconds | None = None


class SlowHeadFault(Fault):
    """Response head sent byte by byte, over ``seconds``."""

    seconds: _Seconds = 3.0


class EndFault(PositionedFault):
    """Body that ends properly, before the terminal event."""

    def model_post_init(self, context: object, /) -> None:
        super().model_post_init(context)
        if self.is_before_head:
            raise ValueError("say where: after (bytes) or events")


class DripFault(PositionedFault):
    """Only comments from there on, one every ``seconds``, as long as the client waits."""

    seconds: Annotated[_Seconds, Field(ge=0.001)] = 1.0


class ContentTypeFault(Fault):
    """Another content type."""

    value = "type"

    type: _HeaderText


class ErrorFault(Fault):
    """The platform's error event after ``events`` events; fails the run."""

    events: _Events = 0
    message: str = "The sandbox was set to fail."
    code: str = "SANDBOX_FAULT"
    retry_after: _Seconds | None = None


class CompressFault(Fault):
    """Compressed body, flushed with each event, whatever the client accepts."""

    value = "coding"

    coding: Literal["gzip", "deflate"] = "gzip"


class FrameFault(Fault):
    """Event number ``events``, or every one, changed."""

    events: _Events | None = None


class MalformedFault(FrameFault):
    """Event with half of its data."""

    events: _Events | None = 0


class DuplicateFault(FrameFault):
    """Event sent twice."""


class ReorderFault(FrameFault):
    """Event sent after its successor."""


class LiveFault(Fault):
    """Joined streams begin with the next event (SeekrFlow's ``attach``)."""

    on: _On = "join"


class RecordFault(Fault):
    """Joined streams carry the record of the run without its text (OperativusAI's ``events``)."""

    on: _On = "join"


FAULTS: Final[dict[str, type[Fault]]] = {
    "status": StatusFault,
    "drop": DropFault,
    "stall": StallFault,
    "slow-head": SlowHeadFault,
    "end": EndFault,
    "drip": DripFault,
    "type": ContentTypeFault,
    "malformed": MalformedFault,
    "error": ErrorFault,
    "compress": CompressFault,
    "duplicate": DuplicateFault,
    "reorder": ReorderFault,
    "live": LiveFault,
    "record": RecordFault,
}


def refuses(fault: Fault) -> bool:
    """Return whether the fault replaces the response, so that nothing is done."""
    return isinstance(fault, StatusFault) or (isinstance(fault, DropFault) and fault.is_before_head)


@dataclass(frozen=True, slots=True)
class FaultScript:
    """Faults in the order of the script's ``text``."""

    text: str
    faults: tuple[Fault, ...]


def parse(text: str) -> FaultScript:
    """Parse ``text``.

    Raises:
        FaultScriptError: it is not a valid script.
    """
    if len(text) > _MAX_SCRIPT:
        raise FaultScriptError(f"The script is longer than {_MAX_SCRIPT} characters.")
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";")
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError as error:
        raise FaultScriptError(f"The script cannot be read: {str(error).lower()}.") from None
    statements = [
        list(group) for is_end, group in groupby(words, lambda w: not w.strip(";")) if not is_end
    ]
    if not statements:
        raise FaultScriptError(f"The script names no fault; there are {', '.join(FAULTS)}.")
    return FaultScript(text, tuple(_fault(*statement) for statement in statements))


def _fault(name: str, *words: str) -> Fault:
    model = FAULTS.get(name)
    if model is None:
        near = suggestion(name, FAULTS) or f"There are {', '.join(FAULTS)}."
        raise FaultScriptError(f"There is no fault '{name}'. {near}")
    given: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            if model.value is None or model.value in given:
                raise FaultScriptError(f"{name}: '{word}' is no setting; one is name=value.")
            key, value = model.value, word
        if key in given:
            raise FaultScriptError(f"{name}: {key} is given twice.")
        given[key] = value
    try:
        return model.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)[0]
    key = ".".join(str(part) for part in found["loc"])
    message = found["msg"].removeprefix("Value error, ")
    if found["type"] == "extra_forbidden":
        known = list(model.model_fields)
        near = suggestion(key, known) or f"It takes {', '.join(known)}."
        raise FaultScriptError(f"{name}: there is no setting '{key}'. {near}")
    if found["type"] == "missing":
        message = f"{key} is missing"
    elif key in given:
        must = message.removeprefix("Input should ").removeprefix("must ").partition(", unable")[0]
        message = f"{key} must {must}, not '{given[key]}'"
    raise FaultScriptError(f"{name}: {message}.")

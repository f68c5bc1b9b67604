"""Scripts of faults: what can go wrong, and the small language that says so.

A script is faults separated by ``;``.  A fault is a name, for some a value, and settings::

    status 429 retry_after=1 times=2; drop after=300 times=1

Text with spaces stands in quotes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from agentnb.config import suggestion

__all__ = [
    "FAULTS",
    "ByteOrEvent",
    "Compress",
    "Drip",
    "Drop",
    "Duplicate",
    "End",
    "Fail",
    "Fault",
    "Kind",
    "Live",
    "Malformed",
    "Record",
    "Reorder",
    "Script",
    "ScriptError",
    "SlowHead",
    "Stall",
    "Status",
    "Type",
    "parse",
]

Kind = Literal["start", "join", "other"]
"""What a request is for: it starts a run, takes up one that goes on, or neither."""

_LONGEST: Final = 10_000
_LONGEST_MESSAGE: Final = 300


class ScriptError(ValueError):
    """A script that cannot be read; the message is one line that says what is wrong."""

    def __init__(self, message: str) -> None:
        # It quotes the script, which may hold anything.
        plain = "".join(c if c.isprintable() else " " for c in message)
        super().__init__(" ".join(plain.split())[:_LONGEST_MESSAGE])


def _sendable(text: str) -> str:
    if not re.fullmatch(r"[\x20-\x7e]+", text):
        raise ValueError("must be plain ASCII text")
    return text


_Bytes = Annotated[int, Field(ge=0, le=2**40)]
_Events = Annotated[int, Field(ge=0, le=10**9)]
_Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
_HeaderText = Annotated[str, AfterValidator(_sendable)]


class Fault(BaseModel):
    """What every fault takes.

    ``times`` is on how many connections it happens, None for each one.  ``on`` says on which:
    those that start a run, those that take one up again, both (``runs``), all others
    (``other``), or ``any``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: ClassVar[str | None] = None
    """The setting that stands without its name."""

    times: Annotated[int, Field(ge=1, le=10**6)] | None = None
    on: Literal["runs", "start", "join", "other", "any"] = "runs"

    def concerns(self, kind: Kind) -> bool:
        """Return whether it happens to requests of this kind."""
        return self.on in (kind, "any") or (self.on == "runs" and kind != "other")

    @property
    def refuses(self) -> bool:
        """Whether it takes the place of the whole answer, so that nothing is done."""
        return False


class ByteOrEvent(Fault):
    """A fault that happens after so many bytes of the body, or after so many events of it.

    Bytes are counted as they are sent, compressed ones compressed.  Comments are no events.
    """

    after: _Bytes | None = None
    events: _Events | None = None

    def model_post_init(self, context: object, /) -> None:
        if self.after is not None and self.events is not None:
            raise ValueError("give either after (bytes) or events")

    @property
    def is_before_head(self) -> bool:
        """Whether it happens before anything is sent."""
        return self.after is None and self.events is None


class Status(Fault):
    """An error answer in the platform's own form; ``retry_after`` is sent as it is written."""

    value = "code"

    code: Annotated[int, Field(ge=400, le=599)]
    retry_after: _HeaderText | None = None

    @property
    def refuses(self) -> bool:
        return True


class Drop(ByteOrEvent):
    """The connection ends: before anything, or in the middle of the body.

    ``how``: ``reset`` (RST), ``close`` (the body is left without its end), or ``short`` (closed
    before the length that the head promised).
    """

    how: Literal["reset", "close", "short"] = "reset"

    @property
    def refuses(self) -> bool:
        return self.is_before_head


class Stall(ByteOrEvent):
    """Nothing is sent for ``seconds``, None for as long as the client waits."""

    seconds: _Seconds | None = None


class SlowHead(Fault):
    """The answer's head comes byte by byte, over ``seconds``."""

    seconds: _Seconds = 3.0


class End(ByteOrEvent):
    """The body ends as it should, before the event that says how the run ended."""

    def model_post_init(self, context: object, /) -> None:
        super().model_post_init(context)
        if self.is_before_head:
            raise ValueError("say where: after (bytes) or events")


class Drip(ByteOrEvent):
    """From there on only comments, one each ``seconds``, as long as the client waits."""

    seconds: Annotated[float, Field(ge=0.001, le=86_400, allow_inf_nan=False)] = 1.0


class Type(Fault):
    """The body under another content type."""

    value = "type"

    type: _HeaderText


class Malformed(Fault):
    """The event after so many has only half of its data."""

    events: _Events = 0


class Fail(Fault):
    """The platform's own error event after so many; the run has failed then."""

    events: _Events = 0
    message: str = "The sandbox was set to fail."
    code: str = "SANDBOX_FAULT"
    retry_after: _Seconds | None = None


class Compress(Fault):
    """The body compressed, flushed with each event, whatever the client takes."""

    value = "coding"

    coding: Literal["gzip", "deflate"] = "gzip"


class Duplicate(Fault):
    """The event after so many comes twice; each one where no number is given."""

    events: _Events | None = None


class Reorder(Fault):
    """The event after so many comes after its successor; of each two where no number is given."""

    events: _Events | None = None


class Live(Fault):
    """A stream that is joined again begins where the run is by then (SeekrFlow's ``attach``)."""

    on: Literal["runs", "start", "join", "other", "any"] = "join"


class Record(Fault):
    """What is joined again tells what happened, not what was said (OperativusAI's ``events``)."""

    on: Literal["runs", "start", "join", "other", "any"] = "join"


FAULTS: Final[dict[str, type[Fault]]] = {
    "status": Status,
    "drop": Drop,
    "stall": Stall,
    "slow-head": SlowHead,
    "end": End,
    "drip": Drip,
    "type": Type,
    "malformed": Malformed,
    "error": Fail,
    "compress": Compress,
    "duplicate": Duplicate,
    "reorder": Reorder,
    "live": Live,
    "record": Record,
}


@dataclass(frozen=True, slots=True)
class Script:
    """Faults, in the order in which they were written; ``text`` is what was."""

    text: str
    faults: tuple[Fault, ...]


def parse(text: str) -> Script:
    """Return the script that ``text`` is.

    Raises:
        ScriptError: it is none.
    """
    if len(text) > _LONGEST:
        raise ScriptError(f"The script is longer than {_LONGEST} characters.")
    try:
        faults = [_fault(words) for words in _statements(text)]
    except ValueError as error:
        if isinstance(error, ScriptError):
            raise
        raise ScriptError(f"The script cannot be read: {str(error).lower()}.") from None
    if not faults:
        raise ScriptError(f"The script names no fault; there are {', '.join(FAULTS)}.")
    return Script(text, tuple(faults))


def _statements(text: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";")
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    for word in lexer:
        if word.strip(";"):
            words.append(word)
        elif words:
            yield words
            words = []
    if words:
        yield words


def _fault(words: list[str]) -> Fault:
    name, *rest = words
    model = FAULTS.get(name)
    if model is None:
        near = suggestion(name, FAULTS) or f"There are {', '.join(FAULTS)}."
        raise ScriptError(f"There is no fault '{name}'. {near}")
    given: dict[str, str] = {}
    for word in rest:
        key, equals, value = word.partition("=")
        if not equals:
            if model.value is None or model.value in given:
                raise ScriptError(f"{name}: '{word}' is no setting; one is name=value.")
            key, value = model.value, word
        if key in given:
            raise ScriptError(f"{name}: {key} is given twice.")
        given[key] = value
    return _checked(model, given, name)


def _checked(model: type[Fault], given: dict[str, str], name: str) -> Fault:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)[0]
        key = ".".join(str(part) for part in found["loc"])
        if found["type"] == "extra_forbidden":
            known = list(model.model_fields)
            near = suggestion(key, known) or f"It takes {', '.join(known)}."
            raise ScriptError(f"{name}: there is no setting '{key}'. {near}") from None
        if found["type"] == "missing":
            raise ScriptError(f"{name}: {key} is missing.") from None
        told = found["msg"].removeprefix("Value error, ")
        if key in given:
            must = told.removeprefix("Input should ").removeprefix("must ").partition(", unable")[0]
            told = f"{key} must {must}, not '{given[key]}'"
        raise ScriptError(f"{name}: {told}.") from None

"""What a recording holds: questions, what came of them, and their form as lines of JSON.

A recording is a text file.  Its first line says what it is and how names were understood, each
further one is one entry: a platform, its list of agents, or a run.  Keys never stand in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import cache
from hashlib import sha256
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NotRequired, cast

from pydantic import ConfigDict, Field, TypeAdapter, validate_call
from typing_extensions import TypedDict

from agentnb import errors
from agentnb._support.text import identifier_or_none
from agentnb.errors import AgentnbError
from agentnb.event.types import Event, event_from_dict, event_to_dict
from agentnb.platforms.base import AgentInfo, Capabilities, Media, RunRequest
from agentnb.platforms.names import attachment_name, kept_address
from agentnb.redaction.events import without_secrets
from agentnb.redaction.secrets import mask, mask_value

__all__ = [
    "FORMAT",
    "Decision",
    "TapedRun",
    "agents_entry",
    "asked",
    "capabilities_from",
    "line",
    "read_agents",
]

FORMAT: Final = "agentnb.recording/1"

# An approval's id and whether it was granted.
Decision = tuple[str | None, bool]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def asked(request: RunRequest, *, via: str, run_id: str | None = None) -> dict[str, Any]:
    """Return all that was asked, as JSON: what has to be the same for an answer to be the same.

    Attachments stand for themselves by the digest of their content.  ``run_id`` is the run that is
    joined, where ``via`` is ``attach`` or ``decision``.
    """
    joined = via in ("attach", "decision")
    told: dict[str, Any] = {
        "agent": request.agent,
        "prompt": request.prompt,
        # A run that is joined knows its session only once it has told it.
        "session_id": None if joined else request.session_id,
        "history": list(request.history),
        "params": dict(request.params),
        "output_schema": request.output_schema,
        "media": [_media(item) for item in request.media],
        "followups": request.followups,
        "stream": joined or via == "stream",
        "run_id": run_id if joined else None,
    }
    return plain({name: value for name, value in told.items() if not _is_default(name, value)})


def _is_default(name: str, value: Any) -> bool:
    # Left out, so that a line holds what somebody typed and little else.
    return (
        value is None
        or value in ([], {})
        or (name, value)
        in (
            ("followups", False),
            ("stream", True),
        )
    )


def plain(value: Any) -> Any:
    """Return ``value`` as a reader of the file gets it back, with secrets masked."""
    return json.loads(mask(json.dumps(mask_value(value, names=True), default=str)))


def _media(item: Media) -> dict[str, Any]:
    name, data = item.name, item.data
    if item.path is not None:
        name = name or item.path.name
        data = _content(item.path)
    told: dict[str, Any] = {"name": name and attachment_name(name), "mime_type": item.mime_type}
    if item.url is not None and not item.url.lower().startswith("data:"):
        # What it is signed with is another the next time.
        told["url"] = kept_address(item.url)
    elif item.url is not None:
        data = item.url.encode()
    if data is not None:
        told["sha256"] = sha256(data).hexdigest()
    return {name: value for name, value in told.items() if value is not None}


def _read_media(item: Any) -> Any:
    """Return an attachment of a recording as `_media` makes it, also of an earlier version's."""
    if not isinstance(item, dict):
        return item
    told = cast("dict[str, Any]", item)
    cleaners = {"name": attachment_name, "url": kept_address}
    return told | {
        name: clean(text)
        for name, clean in cleaners.items()
        if isinstance(text := told.get(name), str)
    }


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None  # sending it fails by itself


@dataclass(slots=True, kw_only=True)
class TapedRun:
    """One run of a recording: what was asked, and all that came of it.

    ``failure`` is the exception that a failed run ended by, as its class and attributes.  One that
    `shortened` returned has no events, until `whole` reads them.
    ``decisions`` are those made while its stream was open, or of a run joined again after a
    decision that one.
    """

    platform: str
    id: str | None = None
    via: str
    asked: dict[str, Any]
    sent_at: datetime
    events: list[Event]
    times: list[float]
    duration: float | None = None
    failure: dict[str, Any] | None = None
    decisions: list[Decision] = field(default_factory=list[Decision])
    reread: Callable[[], TapedRun] | None = None

    def shortened(self, reread: Callable[[], TapedRun]) -> TapedRun:
        """Return the run without what is only played; ``reread`` returns all of it."""
        return replace(self, events=[], times=[], failure=None, reread=reread)

    def whole(self) -> TapedRun:
        """Return all of the run.

        Raises:
            PlaybackError: it is no longer in the file.
        """
        return self if self.reread is None else self.reread()

    def to_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "entry": "run",
            "platform": self.platform,
            "id": self.id,
            "via": self.via,
            "asked": self.asked,
            "sent_at": self.sent_at.isoformat(),
            "duration": self.duration,
        }
        if self.decisions:
            told["decisions"] = self.decisions
        if self.failure is not None:
            told["failure"] = self.failure
        masked, _ = without_secrets(self.events)
        told["events"] = [
            {"at": at, **event_to_dict(event)} for at, event in zip(self.times, masked, strict=True)
        ]
        return told

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TapedRun:
        """Return the run of an entry, whoever wrote it.

        Raises:
            ValueError: a value is missing or of another type than `to_json` writes.
        """
        read = _run_line().validate_python(data)
        asked = dict(read["asked"])
        if isinstance(media := asked.get("media"), list):
            asked["media"] = [_read_media(item) for item in cast("list[Any]", media)]
        return cls(
            platform=read["platform"],
            id=read.get("id"),
            via=read["via"],
            asked=asked,
            sent_at=datetime.fromisoformat(read["sent_at"]),
            duration=read["duration"],
            events=[event_from_dict(entry) for entry in read["events"]],
            times=[float(entry["at"]) for entry in read["events"]],
            failure=cast("dict[str, Any] | None", read.get("failure")),
            decisions=[(identifier_or_none(d[0]), d[1]) for d in read.get("decisions", ())],
        )

    def exception(self) -> AgentnbError | None:
        """Return the exception that it ended by, made anew; None where there was none.

        Raises:
            ValueError: its attributes are not those of its class.
        """
        if self.failure is None:
            return None
        # A class of a newer version is read as the base of all.
        kind: Any = getattr(errors, self.failure["class"], AgentnbError)
        if not (isinstance(kind, type) and issubclass(kind, AgentnbError)):
            raise ValueError("a failure is no error of agentnb")
        given: dict[str, Any] = dict(self.failure["attributes"])
        message, hint = given.pop("message"), given.pop("hint", None)
        if not isinstance(message, str) or not isinstance(hint, str | None):
            raise ValueError("a failure has no message")
        made = kind.__new__(kind)
        if issubclass(kind, errors.RunError):
            # It has the run that raises it, and nothing that was recorded.
            AgentnbError.__init__(made, message, hint=hint)
            return made
        known = signature(kind.__init__).parameters
        _constructor(kind)(made, message, **{k: v for k, v in given.items() if k in known})
        made.hint = hint
        return made


# `class` is a keyword of Python.
_FailureLine = TypedDict("_FailureLine", {"class": str, "attributes": dict[str, Any]})


class _Asked(TypedDict, extra_items=Any):
    """What `asked` returns; what else a question has is compared as it is."""

    agent: str
    prompt: str


class _RunLine(TypedDict):
    """A run as `TapedRun.to_json` writes it."""

    platform: str
    id: NotRequired[str | None]
    via: Literal["stream", "invoke", "attach", "decision"]
    asked: _Asked
    sent_at: str
    duration: _Seconds | None
    events: list[dict[str, Any]]
    failure: NotRequired[_FailureLine | None]
    decisions: NotRequired[list[tuple[str | None, bool]]]


@cache
def _run_line() -> TypeAdapter[_RunLine]:
    return TypeAdapter(_RunLine)


@cache
def _constructor(kind: type[AgentnbError]) -> Any:
    """Return the constructor of an error, which checks the types of its arguments."""
    initialize: Any = kind.__init__
    return validate_call(config=ConfigDict(strict=True))(initialize)


def failure_of(error: BaseException | None) -> dict[str, Any] | None:
    """Return an exception of this package as JSON; None for any other, which its event tells."""
    if not isinstance(error, AgentnbError):
        return None
    told = {
        name: value
        for name, value in vars(error).items()
        if isinstance(value, str | int | float | None) and not name.startswith("_")
    }
    return {"class": type(error).__name__, "attributes": plain(told)}


def agents_entry(platform: str, agents: Iterable[AgentInfo]) -> dict[str, Any]:
    """Return a platform's list of agents as an entry."""
    told = [
        {name: value for name, value in asdict(each).items() if value not in (None, {})}
        for each in agents
    ]
    return {"entry": "agents", "platform": platform, "agents": mask_value(told, names=True)}


def read_agents(data: Mapping[str, Any]) -> list[AgentInfo]:
    """Return the agents of an entry that `agents_entry` made."""
    return TypeAdapter(list[AgentInfo]).validate_python(data["agents"])


def capabilities_from(data: Mapping[str, Any]) -> Capabilities:
    """Return capabilities from the JSON form of theirs; what this version does not know is left."""
    known = {name: data[name] for name in data if name in Capabilities.__dataclass_fields__}
    return TypeAdapter(Capabilities).validate_python(known)


def line(entry: Mapping[str, Any]) -> str:
    """Return an entry as a line of the file, readable where it can be."""
    entry = mask_value(entry)
    text = json.dumps(entry, ensure_ascii=False, default=str, separators=(", ", ": "))
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        text = json.dumps(entry, default=str)
    return mask(text) + "\n"

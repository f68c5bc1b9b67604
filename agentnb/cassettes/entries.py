"""The entries of a cassette and their JSON form.

A cassette is a text file of JSON lines.  The first line has the format and how names resolve, each
further one is one entry: a platform, its list of agents, or a run.  Keys are never written.
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
from agentnb.event.approvals import Decision
from agentnb.event.types import Event, event_from_dict, event_to_dict
from agentnb.platforms.base import AgentInfo, Capabilities, Media, RunRequest
from agentnb.platforms.names import attachment_name, storable_url
from agentnb.redaction.secrets import mask, mask_value

FORMAT: Final = "agentnb.recording/1"

_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def has_cassette_format(header: Any) -> bool:
    """Return whether a first line is a cassette's, of any version."""
    kind = cast("dict[str, Any]", header).get("format") if isinstance(header, dict) else None
    return isinstance(kind, str) and kind.startswith(FORMAT.partition("/")[0] + "/")


def request_fields(request: RunRequest, *, via: str, run_id: str | None = None) -> dict[str, Any]:
    """Return a request as JSON: equal requests have equal answers.

    Attachments are compared by the digest of their content.  ``run_id`` is the attached run, where
    ``via`` is ``attach`` or ``decision``.  Defaults are left out, to keep lines readable.
    """
    attached = via in ("attach", "decision")
    fields: dict[str, Any] = {
        "agent": request.agent,
        "prompt": request.prompt,
        # The session of an attached run is known only once it was received.
        "session_id": None if attached else request.session_id,
        "history": list(request.history) or None,
        "params": dict(request.params) or None,
        "output_schema": request.output_schema or None,
        "media": [_media_fields(item) for item in request.media] or None,
        "followups": request.followups or None,
        "stream": None if attached or via == "stream" else False,
        "run_id": run_id if attached else None,
    }
    return _masked_json({name: value for name, value in fields.items() if value is not None})


def _masked_json(value: Any) -> Any:
    """Return ``value`` as a reader of the file gets it back, with secrets masked."""
    return json.loads(mask(json.dumps(mask_value(value, names=True), default=str)))


def _media_fields(item: Media) -> dict[str, Any]:
    name, data, url = item.name, item.data, None
    if item.path is not None:
        name = name or item.path.name
        data = _read_bytes(item.path)
    if item.url is not None and item.url.lower().startswith("data:"):
        data = item.url.encode()
    elif item.url is not None:
        # Signatures in the query differ from one request to the next.
        url = storable_url(item.url)
    fields = {
        "name": name and attachment_name(name),
        "mime_type": item.mime_type,
        "url": url,
        "sha256": None if data is None else sha256(data).hexdigest(),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _read_media(item: Any) -> Any:
    """Return a recorded attachment as `_media_fields` makes it, also an earlier version's."""
    if not isinstance(item, dict):
        return item
    fields = cast("dict[str, Any]", item)
    cleaners = {"name": attachment_name, "url": storable_url}
    return fields | {
        name: clean(text)
        for name, clean in cleaners.items()
        if isinstance(text := fields.get(name), str)
    }


def _read_bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None  # the request will fail by the same error


@dataclass(slots=True, kw_only=True)
class CassetteRun:
    """One recorded run: its request and everything that was received.

    ``failure`` is the exception that a failed run ended by, as its class and attributes.
    ``decisions`` are those made while its stream was open, or for a continuation the one that it
    follows.  A run that `stub` returned has no events until `load` reads them.
    """

    platform: str
    id: str | None = None
    via: str
    request: dict[str, Any]
    sent_at: datetime
    events: list[Event]
    times: list[float]
    duration: float | None = None
    failure: dict[str, Any] | None = None
    decisions: list[Decision] = field(default_factory=list[Decision])
    loader: Callable[[], CassetteRun] | None = None

    def stub(self, loader: Callable[[], CassetteRun]) -> CassetteRun:
        """Return the run without its events; ``loader`` returns all of it."""
        return replace(self, events=[], times=[], failure=None, loader=loader)

    def load(self) -> CassetteRun:
        """Return the run with its events.

        Raises:
            PlaybackError: it is no longer in the file.
        """
        return self if self.loader is None else self.loader()

    def to_json(self) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "entry": "run",
            "platform": self.platform,
            "id": self.id,
            "via": self.via,
            "asked": self.request,
            "sent_at": self.sent_at.isoformat(),
            "duration": self.duration,
        }
        if self.decisions:
            # Earlier versions read two fields.
            entry["decisions"] = [
                each[:2]
                if each.payload is None
                else each._replace(payload=mask_value(each.payload))
                for each in self.decisions
            ]
        if self.failure is not None:
            entry["failure"] = self.failure
        entry["events"] = [
            {"at": at, **event_to_dict(event)}
            for at, event in zip(self.times, self.events, strict=True)
        ]
        return entry

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CassetteRun:
        """Return the run of an entry that anyone may have written.

        Raises:
            ValueError: a value is missing or of another type than `to_json` writes.
        """
        entry: _RunEntry = _adapter(_RunEntry).validate_python(data)
        request = dict(entry["asked"])
        if isinstance(media := request.get("media"), list):
            request["media"] = [_read_media(item) for item in cast("list[Any]", media)]
        return cls(
            platform=entry["platform"],
            id=entry.get("id"),
            via=entry["via"],
            request=request,
            sent_at=datetime.fromisoformat(entry["sent_at"]),
            duration=entry["duration"],
            events=[event_from_dict(dict(event)) for event in entry["events"]],
            times=[event["at"] for event in entry["events"]],
            failure=cast("dict[str, Any] | None", entry.get("failure")),
            decisions=[
                Decision(identifier_or_none(key), *rest)
                for key, *rest in entry.get("decisions", ())
            ],
        )

    def exception(self) -> AgentnbError | None:
        """Return a new copy of the exception that it ended by; None where there was none.

        Raises:
            ValueError: its attributes are not those of its class.
        """
        if self.failure is None:
            return None
        # A class of a newer version is read as the base class.
        kind: Any = getattr(errors, self.failure["class"], AgentnbError)
        if not (isinstance(kind, type) and issubclass(kind, AgentnbError)):
            raise ValueError("a failure is no error of agentnb")
        attributes: dict[str, Any] = dict(self.failure["attributes"])
        message, hint = attributes.pop("message"), attributes.pop("hint", None)
        if not isinstance(message, str) or not isinstance(hint, str | None):
            raise ValueError("a failure has no message")
        error = kind.__new__(kind)
        if issubclass(kind, errors.RunError):
            # It refers to the run that raises it, which no recording has.
            AgentnbError.__init__(error, message, hint=hint)
            return error
        parameters = signature(kind.__init__).parameters
        known = {name: value for name, value in attributes.items() if name in parameters}
        _validated_constructor(kind)(error, message, **known)
        error.hint = hint
        return error


# `class` is a keyword of Python.
_FailureEntry = TypedDict("_FailureEntry", {"class": str, "attributes": dict[str, Any]})


class _RequestEntry(TypedDict, extra_items=Any):
    """What `request_fields` returns; its other fields are compared as they are."""

    agent: str
    prompt: str


class _EventEntry(TypedDict, extra_items=Any):
    at: _Seconds


class _RunEntry(TypedDict):
    """A run as `CassetteRun.to_json` writes it."""

    platform: str
    id: NotRequired[str | None]
    via: Literal["stream", "invoke", "attach", "decision"]
    asked: _RequestEntry
    sent_at: str
    duration: _Seconds | None
    events: list[_EventEntry]
    failure: NotRequired[_FailureEntry | None]
    decisions: NotRequired[list[tuple[str | None, bool] | tuple[str | None, bool, Any]]]


class _HeaderEntry(TypedDict):
    aliases: NotRequired[dict[str, str] | None]
    default_agent: NotRequired[str | None]
    default_platform: NotRequired[str | None]


class _AgentsEntry(TypedDict):
    platform: str
    agents: list[AgentInfo]


class _PlatformEntry(TypedDict):
    name: str
    capabilities: dict[str, Any]


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


@cache
def _validated_constructor(kind: type[AgentnbError]) -> Any:
    initialize: Any = kind.__init__
    return validate_call(config=ConfigDict(strict=True))(initialize)


def failure_to_dict(error: BaseException | None) -> dict[str, Any] | None:
    """Return an exception of this package as JSON; None for any other: its event suffices."""
    if not isinstance(error, AgentnbError):
        return None
    attributes = {
        name: value
        for name, value in vars(error).items()
        if isinstance(value, str | int | float | None) and not name.startswith("_")
    }
    return {"class": type(error).__name__, "attributes": _masked_json(attributes)}


def agents_entry(platform: str, agents: Iterable[AgentInfo]) -> dict[str, Any]:
    """Return a platform's list of agents as an entry."""
    listed = [
        {name: value for name, value in asdict(agent).items() if value not in (None, {})}
        for agent in agents
    ]
    return {"entry": "agents", "platform": platform, "agents": mask_value(listed, names=True)}


def read_header(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first line of a cassette.

    Raises:
        ValidationError: a name is no text.
    """
    return dict(_adapter(_HeaderEntry).validate_python(data))


def read_agents(data: Mapping[str, Any]) -> tuple[str, list[AgentInfo]]:
    """Return the platform and the agents of an entry that `agents_entry` made."""
    entry: _AgentsEntry = _adapter(_AgentsEntry).validate_python(data)
    return entry["platform"], entry["agents"]


def read_platform(data: Mapping[str, Any]) -> tuple[str, Capabilities]:
    """Return the name and the capabilities of an entry; fields of newer versions are ignored."""
    entry: _PlatformEntry = _adapter(_PlatformEntry).validate_python(data)
    fields = Capabilities.__dataclass_fields__
    known = {name: value for name, value in entry["capabilities"].items() if name in fields}
    return entry["name"], _adapter(Capabilities).validate_python(known)


def to_line(entry: Mapping[str, Any]) -> str:
    """Return an entry as a line of the file, with non-ASCII text readable where possible."""
    entry = mask_value(entry)
    text = json.dumps(entry, ensure_ascii=False, default=str, separators=(", ", ": "))
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        text = json.dumps(entry, default=str)
    return mask(text) + "\n"

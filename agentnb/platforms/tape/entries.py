"""What a recording holds: questions, what came of them, and their form as lines of JSON.

A recording is a text file.  Its first line says what it is and how names were understood, each
further one is one entry: a platform, its list of agents, or a run.  Keys never stand in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, cast

from agentnb import errors
from agentnb._secrets import mask, mask_value
from agentnb.errors import AgentnbError
from agentnb.event import Event, event_from_dict, event_to_dict
from agentnb.platforms.base import AgentInfo, Capabilities, Media, MediaSupport, RunRequest
from agentnb.platforms.masking import without_secrets

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
    told: dict[str, Any] = {"name": item.name, "mime_type": item.mime_type}
    data = item.data
    if item.path is not None:
        told["name"] = item.name or item.path.name
        data = _content(item.path)
    if item.url is not None and not item.url.lower().startswith("data:"):
        told["url"] = item.url
    elif item.url is not None:
        data = item.url.encode()
    if data is not None:
        told["sha256"] = sha256(data).hexdigest()
    return {name: value for name, value in told.items() if value is not None}


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None  # sending it fails by itself


@dataclass(slots=True, kw_only=True)
class TapedRun:
    """One run of a recording: what was asked, and all that came of it.

    ``failure`` is the exception that a failed run ended by, as its class and attributes.
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
        entries: list[dict[str, Any]] = data["events"]
        return cls(
            platform=data["platform"],
            id=data.get("id"),
            via=data["via"],
            asked=data["asked"],
            sent_at=datetime.fromisoformat(data["sent_at"]),
            duration=data["duration"],
            events=[event_from_dict(entry) for entry in entries],
            times=[float(entry["at"]) for entry in entries],
            failure=data.get("failure"),
            decisions=[(each[0], bool(each[1])) for each in data.get("decisions", ())],
        )

    def exception(self) -> AgentnbError | None:
        """Return the exception that it ended by, made anew; None where there was none."""
        if self.failure is None:
            return None
        kind = getattr(errors, self.failure["class"], AgentnbError)
        made = cast("AgentnbError", kind.__new__(kind))
        attributes: dict[str, Any] = dict(self.failure["attributes"])
        AgentnbError.__init__(made, attributes.pop("message"), hint=attributes.pop("hint", None))
        if kind is errors.InvalidRequestError:
            attributes["fields"] = ()
        vars(made).update(attributes)
        return made


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
    return [AgentInfo(**each) for each in data["agents"]]


def capabilities_from(data: Mapping[str, Any]) -> Capabilities:
    """Return capabilities from the JSON form of theirs; what this version does not know is left."""
    known = {name: data[name] for name in data if name in Capabilities.__dataclass_fields__}
    if (media := known.get("media")) is not None:
        given: dict[str, Any] = {**media, "accept": tuple(media["accept"])}
        known["media"] = MediaSupport(**given)
    return Capabilities(**known)


def line(entry: Mapping[str, Any]) -> str:
    """Return an entry as a line of the file, readable where it can be."""
    entry = mask_value(entry)
    text = json.dumps(entry, ensure_ascii=False, default=str, separators=(", ", ": "))
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        text = json.dumps(entry, default=str)
    return mask(text) + "\n"

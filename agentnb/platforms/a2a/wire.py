"""Models of what is sent to A2A agents, their cards, and errors of JSON-RPC."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, cast
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit
from uuid import uuid4

from annotated_types import Gt
from pydantic import Field

from agentnb.errors import InvalidRequestError, NotFoundError, PlatformError, ServerError
from agentnb.plugin import (
    HttpOptions,
    Media,
    Number,
    Outbound,
    RunRequest,
    parse_error_body,
    read_media,
    to_wire,
)

Version = Literal["1.0", "0.3"]
Call = Literal["send", "stream", "get", "cancel", "subscribe"]

#: The methods' names in both versions.
METHODS: Final[dict[Version, dict[Call, str]]] = {
    "1.0": {
        "send": "SendMessage",
        "stream": "SendStreamingMessage",
        "get": "GetTask",
        "cancel": "CancelTask",
        "subscribe": "SubscribeToTask",
    },
    "0.3": {
        "send": "message/send",
        "stream": "message/stream",
        "get": "tasks/get",
        "cancel": "tasks/cancel",
        "subscribe": "tasks/resubscribe",
    },
}
#: Codes of errors for a method or a version that the agent does not have.
OTHER_VERSION: Final = frozenset({"-32601", "-32009"})
#: Codes for a task that cannot be subscribed to: the agent does not stream, or the task has ended.
NO_SUBSCRIPTION: Final = frozenset({"-32601", "-32004"})
MAX_MEDIA_BYTES: Final = 50 * 10**6
_TASK_NOT_FOUND: Final = "-32001"
_INVALID: Final = frozenset({"-32600", "-32601", "-32602", *(f"-3200{n}" for n in range(2, 10))})


class A2AOptions(HttpOptions):
    """The platform's settings."""

    path: str | None = None
    protocol_version: Version | None = None
    poll_seconds: Annotated[float, Number, Gt(0)] = 1.0


class A2AParams(Outbound):
    """Parameters of a run."""

    task_id: str | None = Field(default=None, alias="taskId")
    reference_task_ids: list[str] | None = Field(default=None, alias="referenceTaskIds")
    data: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    accepted_output_modes: list[str] | None = Field(default=None, alias="acceptedOutputModes")
    history_length: Annotated[int, Number] | None = Field(default=None, alias="historyLength", ge=0)


class OutboundMessage(Outbound):
    """The message of a run."""

    kind: str | None
    role: str
    parts: list[dict[str, Any]]
    message_id: str = Field(alias="messageId")
    context_id: str | None = Field(alias="contextId")
    task_id: str | None = Field(alias="taskId")
    reference_task_ids: list[str] | None = Field(alias="referenceTaskIds")


class SendParams(Outbound):
    """The parameters of the calls that start a run."""

    tenant: str | None
    message: OutboundMessage
    configuration: dict[str, Any] | None
    metadata: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where and how the agent is called; ``card`` is empty where it has none."""

    path: str
    version: Version = "1.0"
    streaming: bool = True
    tenant: str | None = None
    card: Mapping[str, Any]


# --- the agent's card -----------------------------------------------------------------------------


def read_card(card: Mapping[str, Any], *, origin: str, path: str) -> Endpoint | None:
    """Return the JSON-RPC endpoint of a card; None where the agent has only other bindings.

    An endpoint on another host than ``origin`` is not used, since the key would be sent there:
    ``path`` takes its place.
    """
    offered = [*_listed(card, "supportedInterfaces"), *_listed(card, "additionalInterfaces")]
    if isinstance(card.get("url"), str):
        own = {"url": card["url"], "transport": card.get("preferredTransport")}
        offered.append({**own, "protocolVersion": card.get("protocolVersion")})
    usable = [each for each in offered if _binding(each) == "JSONRPC"]
    if offered and not usable:
        return None
    # The newest version first, and of its endpoints one on this host.
    usable.sort(key=lambda each: (_version(each) != "1.0", _path(each, origin) is None))
    best: Mapping[str, Any] = usable[0] if usable else {}
    found, tenant = _path(best, origin), best.get("tenant")
    capabilities = card.get("capabilities")
    streaming = isinstance(capabilities, dict) and cast("Any", capabilities).get("streaming")
    return Endpoint(
        path=path if found is None else found,
        version=_version(best) if best else "1.0",
        streaming=streaming is True,
        tenant=tenant if isinstance(tenant, str) and tenant else None,
        card=card,
    )


def _listed(card: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = card.get(name)
    rows = cast("list[Any]", found) if isinstance(found, list) else []
    return [cast("dict[str, Any]", row) for row in rows if isinstance(row, dict)]


def _binding(interface: Mapping[str, Any]) -> str:
    return str(interface.get("protocolBinding") or interface.get("transport") or "JSONRPC").upper()


def _version(interface: Mapping[str, Any]) -> Version:
    """Return the version of an interface; only those of 1.0 name their binding."""
    given = interface.get("protocolVersion")
    if isinstance(given, str) and given:
        return "0.3" if given.startswith("0.") else "1.0"
    return "1.0" if interface.get("protocolBinding") else "0.3"


def _path(interface: Mapping[str, Any], origin: str) -> str | None:
    """Return the path of an interface on this host, None on another one."""
    try:
        found = urlsplit(str(interface.get("url") or ""))
        if _host(found) != _host(urlsplit(origin)):
            return None
    except ValueError:
        return None
    return found.path or "/"


def _host(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


# --- requests -------------------------------------------------------------------------------------


def envelope(call: Call, params: Mapping[str, Any], version: Version) -> dict[str, Any]:
    """Return the JSON-RPC request of a call."""
    method = METHODS[version][call]
    return {"jsonrpc": "2.0", "id": str(uuid4()), "method": method, "params": params}


def headers(version: Version) -> dict[str, str]:
    """Return the headers of a request; without any it is one of 0.3."""
    return {"A2A-Version": version} if version != "0.3" else {}


def send_params(
    request: RunRequest,
    params: A2AParams,
    media: Sequence[Media],
    endpoint: Endpoint,
    *,
    task_id: str | None,
) -> dict[str, Any]:
    """Return the parameters that start a run, or continue the task ``task_id``.

    ``media`` have addresses or ``data:`` URLs, see `inline_media`.

    Raises:
        RequestError: a parameter has no JSON form.
    """
    is_early = endpoint.version == "0.3"
    parts: list[dict[str, Any]] = [{"text": request.prompt}] if request.prompt else []
    parts += [{"data": params.data}] if params.data is not None else []
    if is_early:
        parts = [{"kind": next(iter(part)), **part} for part in parts]
    parts += [_file(item, is_early=is_early) for item in media]
    configuration = {
        "acceptedOutputModes": params.accepted_output_modes,
        "historyLength": params.history_length,
        "blocking": True if is_early else None,
    }
    message = OutboundMessage(
        kind="message" if is_early else None,
        role="user" if is_early else "ROLE_USER",
        parts=parts,
        messageId=str(uuid4()),
        contextId=request.session_id,
        taskId=task_id,
        referenceTaskIds=params.reference_task_ids,
    )
    given = {name: value for name, value in configuration.items() if value is not None}
    return to_wire(
        SendParams(
            tenant=endpoint.tenant,
            message=message,
            configuration=given or None,
            metadata=params.metadata,
        )
    )


def inline_media(media: Sequence[Media], *, platform: str) -> list[Media]:
    """Return attachments with their content or an address; call it in a thread.

    Raises:
        RequestError: one cannot be read, is too large, or its type is unknown.
    """
    found: list[Media] = []
    for item in media:
        kind, url = read_media(item, platform=platform, max_bytes=MAX_MEDIA_BYTES)
        name = item.name or (item.path.name if item.path is not None else None)
        found.append(Media(mime_type=kind, url=url, name=name))
    return found


def _file(item: Media, *, is_early: bool) -> dict[str, Any]:
    url, kind = item.url or "", item.mime_type
    raw: str | None = None
    if url[:5].lower() == "data:":
        head, _, raw = url[5:].partition(",")
        own, *options = head.split(";")
        kind = own.strip() or kind
        if "base64" not in [option.strip().lower() for option in options]:
            raw = base64.b64encode(unquote_to_bytes(raw)).decode("ascii")
    source = {"url": url} if raw is None else {"raw": raw}
    named = {"filename": item.name} if item.name else {}
    if not is_early:
        return {**source, "mediaType": kind, **named}
    source = {"uri": url} if raw is None else {"bytes": raw}
    file = {**source, "mimeType": kind, **({"name": item.name} if item.name else {})}
    return {"kind": "file", "file": file}


# --- errors ---------------------------------------------------------------------------------------


def rpc_error(error: Any, *, platform: str) -> PlatformError:
    """Return the exception for the ``error`` of a JSON-RPC response."""
    details = parse_error_body(0, {"error": error})
    reason = details.message or "no reason given"
    cls: type[PlatformError] = ServerError
    if details.code == _TASK_NOT_FOUND:
        cls = NotFoundError
    elif details.code in _INVALID:
        cls = InvalidRequestError
    return cls(f"{platform} refused the request: {reason}", code=details.code)

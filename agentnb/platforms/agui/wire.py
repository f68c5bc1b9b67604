"""Models of what is sent to AG-UI endpoints, and how a run's request becomes a body."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import unquote_to_bytes
from uuid import NAMESPACE_OID, uuid4, uuid5

from pydantic import Field

from agentnb.platforms.agui.interrupts import resume_entry
from agentnb.plugin import (
    HttpOptions,
    Media,
    Outbound,
    RunRequest,
    ToolRound,
    read_media,
    to_wire,
)

MAX_MEDIA_BYTES: Final = 50 * 10**6
_UNKNOWN: Final = "application/octet-stream"


class AGUIOptions(HttpOptions):
    """The platform's settings."""

    path: str = ""
    protocol_version: str = "1.0"


class AGUIParams(Outbound):
    """Parameters of a run; servers of earlier versions require all of them."""

    state: Any = None
    tools: list[dict[str, Any]] = Field(default=[])
    context: list[dict[str, Any]] = Field(default=[])
    forwarded_props: Any = Field(default=None, alias="forwardedProps")


class RunAgentInput(AGUIParams):
    """The body."""

    thread_id: str = Field(alias="threadId")
    run_id: str = Field(alias="runId")
    protocol_version: str | None = Field(alias="protocolVersion")
    messages: list[dict[str, Any]]
    resume: list[dict[str, Any]] | None = None


def request_body(request: RunRequest, params: AGUIParams, *, version: str) -> dict[str, Any]:
    """Return the body with the whole conversation.

    ``request.media`` have addresses or ``data:`` URLs, see `inline_media`.

    Raises:
        RequestError: a parameter has no JSON form.
    """
    thread_id = request.session_id or str(uuid4())
    state = request.state if params.state is None else params.state
    content: Any = request.prompt
    if request.media:
        content = [{"type": "text", "text": request.prompt}] if request.prompt else []
        content += [_part(item) for item in request.media]
    messages: list[dict[str, Any]] = [
        *map(dict, request.history),
        {"role": "user", "content": content},
        *_round_messages(request.tool_rounds),
    ]
    described = [
        {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
        for tool in request.tools
    ]
    for number, message in enumerate(messages):
        # The same in each turn: servers that keep the thread, too, know messages by their ids.
        name = f"{thread_id}/{number}/{message['role']}"
        message["id"] = str(uuid5(NAMESPACE_OID, name.encode("utf-8", "replace").decode()))
    return to_wire(
        RunAgentInput(
            threadId=thread_id,
            runId=str(uuid4()),
            # Without it, servers leave out what is new in 1.0, such as the calls left to a client.
            protocolVersion=version or None,
            messages=messages,
            state={} if state is None else state,
            tools=[*described, *params.tools],
            context=params.context,
            resume=[resume_entry(*each) for each in request.decisions] or None,
            forwardedProps={} if params.forwarded_props is None else params.forwarded_props,
        )
    )


def _round_messages(rounds: Sequence[ToolRound]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for each in rounds:
        calls = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in each.calls
        ]
        if each.text or calls:
            made = {"toolCalls": calls} if calls else {}
            messages.append({"role": "assistant", "content": each.text or None, **made})
        messages += [
            {"role": "tool", "toolCallId": call.call_id, "content": call.output}
            for call in each.calls
            if call.output is not None
        ]
    return messages


def inline_media(media: Sequence[Media], *, platform: str) -> list[Media]:
    """Return attachments with their types and addresses or ``data:`` URLs; call it in a thread.

    Raises:
        RequestError: one cannot be read, is too large, or its type is unknown.
    """
    found: list[Media] = []
    for item in media:
        kind, url = read_media(item, platform=platform, max_bytes=MAX_MEDIA_BYTES)
        name = item.name or (item.path.name if item.path is not None else None)
        found.append(replace(item, mime_type=kind, url=url, name=name, data=None, path=None))
    return found


def _part(item: Media) -> dict[str, Any]:
    source = _source(item.mime_type or _UNKNOWN, item.url or "")
    family = source.get("mimeType", "").partition("/")[0].lower()
    part = {"type": family if family in ("image", "audio", "video") else "document"}
    named = {"metadata": {"filename": item.name}} if item.name else {}
    return {**part, "source": source, **named}


def _source(kind: str, url: str) -> dict[str, str]:
    if url[:5].lower() != "data:":
        typed = {} if kind == _UNKNOWN else {"mimeType": kind}
        return {"type": "url", "value": url, **typed}
    head, _, value = url[5:].partition(",")
    own, *options = head.split(";")
    if not any(option.strip().lower() == "base64" for option in options):
        value = base64.b64encode(unquote_to_bytes(value)).decode("ascii")
    return {"type": "data", "value": value, "mimeType": own.strip() or kind}

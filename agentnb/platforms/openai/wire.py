"""Models of what is sent to OpenAI-compatible servers, and how a run's request becomes a body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from annotated_types import Ge

from agentnb.errors import RequestError
from agentnb.plugin import (
    HttpOptions,
    Media,
    Number,
    Outbound,
    RunRequest,
    ToolRound,
    ToolSpec,
    read_media,
    to_wire,
)

Api = Literal["responses", "chat"]

#: The APIs' paths, relative to the address.
PATHS: Final[dict[Api, str]] = {"responses": "/responses", "chat": "/chat/completions"}
MAX_MEDIA_BYTES: Final = 50 * 10**6

_Count = Annotated[int, Number, Ge(1)]
_Share = Annotated[float, Number, Ge(0)]
# Fields of a body that the platform itself decides; a run in the background has no stream here.
_RESERVED: Final = frozenset({"background", "input", "messages", "model", "stream"})


class OpenAIOptions(HttpOptions):
    """The platform's settings."""

    api: Literal["auto", "responses", "chat"] = "auto"
    stream_usage: bool = True


class CommonParams(Outbound):
    """Parameters that both APIs have, under the same names."""

    temperature: _Share | None = None
    top_p: _Share | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    metadata: dict[str, Any] | None = None
    user: str | None = None


class OpenAIParams(CommonParams):
    """Parameters of a run."""

    instructions: str | None = None
    max_tokens: _Count | None = None
    reasoning_effort: str | None = None
    strict: bool | None = None
    extra_body: dict[str, Any] | None = None


class ResponsesBody(CommonParams):
    """The body of ``POST /responses``."""

    model: str
    input: list[dict[str, Any]]
    stream: bool
    max_output_tokens: int | None = None
    reasoning: dict[str, Any] | None = None
    text: dict[str, Any] | None = None


class ChatBody(CommonParams):
    """The body of ``POST /chat/completions``."""

    model: str
    messages: list[dict[str, Any]]
    stream: bool
    stream_options: dict[str, Any] | None = None
    max_tokens: int | None = None
    reasoning_effort: str | None = None
    response_format: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """An attachment's name, MIME type, and address or ``data:`` URL."""

    name: str
    mime_type: str
    url: str


def read_attachments(media: Sequence[Media], *, platform: str) -> list[Attachment]:
    """Read attachments; call it in a thread.

    Raises:
        RequestError: one cannot be read, is too large, or its type is unknown.
    """
    found: list[Attachment] = []
    for item in media:
        kind, url = read_media(item, platform=platform, max_bytes=MAX_MEDIA_BYTES)
        name = item.name or (item.path.name if item.path is not None else "attachment")
        found.append(Attachment(name, kind, url))
    return found


def request_body(
    api: Api,
    request: RunRequest,
    params: OpenAIParams,
    attachments: Sequence[Attachment],
    *,
    stream: bool,
    stream_usage: bool,
    platform: str,
) -> dict[str, Any]:
    """Return the body that starts a run.

    Raises:
        RequestError: ``extra_body`` has a field that the platform decides, or Chat Completions
            would have to fetch a file from an address.
    """
    messages: list[dict[str, Any]] = []
    # MLflow's server drops the field `instructions`; all take a message.
    if params.instructions is not None:
        messages.append({"role": "system", "content": params.instructions})
    messages += [dict(message) for message in request.history]
    content: Any = request.prompt
    if attachments:
        is_text = "input_text" if api == "responses" else "text"
        content = [{"type": is_text, "text": request.prompt}] if request.prompt else []
        part = _responses_part if api == "responses" else _chat_part
        content += [part(each, platform) for each in attachments]
    messages.append({"role": "user", "content": content})
    messages += (_responses_rounds if api == "responses" else _chat_rounds)(request.tool_rounds)
    common = {name: getattr(params, name) for name in CommonParams.model_fields}
    if request.tools:
        described = [_described(each, api) for each in request.tools]
        common["tools"] = [*described, *(params.tools or ())]
    schema = _schema_format(request, params)
    effort = params.reasoning_effort
    if api == "responses":
        body: Outbound = ResponsesBody(
            model=request.agent,
            input=messages,
            stream=stream,
            max_output_tokens=params.max_tokens,
            reasoning=None if effort is None else {"effort": effort},
            text=schema and {"format": {"type": "json_schema", **schema}},
            **common,
        )
    else:
        body = ChatBody(
            model=request.agent,
            messages=messages,
            stream=stream,
            stream_options={"include_usage": True} if stream and stream_usage else None,
            max_tokens=params.max_tokens,
            reasoning_effort=effort,
            response_format=schema and {"type": "json_schema", "json_schema": schema},
            **common,
        )
    extra = params.extra_body or {}
    if reserved := sorted(_RESERVED.intersection(extra)):
        raise RequestError(f"{platform}: extra_body cannot have {', '.join(reserved)}.")
    return {**to_wire(body), **(to_wire(params).get("extra_body") or {})}


def _described(tool: ToolSpec, api: Api) -> dict[str, Any]:
    """Return a tool of the client as an API describes it."""
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }
    if api == "responses":
        # Without it a server makes all arguments required.
        return {"type": "function", **function, "strict": False}
    return {"type": "function", "function": function}


def _responses_rounds(rounds: Sequence[ToolRound]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    for each in rounds:
        if each.text:
            items.append({"role": "assistant", "content": each.text})
        for call in each.calls:
            given = {"call_id": call.call_id, "name": call.name, "arguments": call.arguments}
            items.append({"type": "function_call", **given})
        for call in each.calls:
            result = {"call_id": call.call_id, "output": call.output}
            items.append({"type": "function_call_output", **result})
    return items


def _chat_rounds(rounds: Sequence[ToolRound]) -> list[dict[str, Any]]:
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
        messages.append({"role": "assistant", "content": each.text or None, "tool_calls": calls})
        for call in each.calls:
            result = {"tool_call_id": call.call_id, "content": call.output}
            messages.append({"role": "tool", **result})
    return messages


def _schema_format(request: RunRequest, params: OpenAIParams) -> dict[str, Any] | None:
    if request.output_schema is None:
        return None
    schema: dict[str, Any] = {"name": "answer", "schema": dict(request.output_schema)}
    return schema if params.strict is None else {**schema, "strict": params.strict}


def _responses_part(item: Attachment, platform: str) -> dict[str, Any]:
    del platform
    if item.mime_type.startswith("image/"):
        return {"type": "input_image", "image_url": item.url}
    if _is_inline(item):
        return {"type": "input_file", "filename": item.name, "file_data": item.url}
    return {"type": "input_file", "file_url": item.url}


def _chat_part(item: Attachment, platform: str) -> dict[str, Any]:
    if item.mime_type.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": item.url}}
    if not _is_inline(item):
        raise RequestError(
            f"{platform}: Chat Completions takes no addresses of files, only of images.",
            hint="Attach the file itself.",
        )
    return {"type": "file", "file": {"filename": item.name, "file_data": item.url}}


def _is_inline(item: Attachment) -> bool:
    return item.url[:5].lower() == "data:"

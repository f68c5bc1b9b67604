"""Models of what is sent to LangGraph servers: input and parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, cast

from pydantic import Field

from agentnb.errors import RequestError
from agentnb.plugin import HttpOptions, Media, Outbound, RunRequest, read_media, to_wire

MAX_MEDIA_BYTES: Final = 50 * 10**6
#: The modes that are decoded.  ``messages`` is not among them: a server does not repeat its events.
STREAM_MODES: Final = ("messages-tuple", "updates")
#: The fields of a run's request that the runs after its interrupts have, too.
_REPEATED: Final = (
    *("context", "config", "metadata", "stream_mode", "stream_subgraphs"),
    *("interrupt_before", "interrupt_after", "durability"),
)

Nodes = list[str] | Literal["*"]


class LangGraphOptions(HttpOptions):
    """The platform's settings."""

    prompt_field: str = "messages"
    answer_field: str | None = None
    approve_with: Any = True
    deny_with: Any = False
    answer_schema: dict[str, Any] | None = None


class LangGraphParams(Outbound):
    """Parameters of a run."""

    input: dict[str, Any] | None = None
    context: dict[str, Any] | None = None
    config: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    stream_mode: list[Literal["values", "custom", "tasks", "checkpoints", "debug", "events"]] = (
        Field(default=[])
    )
    stream_subgraphs: bool = False
    interrupt_before: Nodes | None = None
    interrupt_after: Nodes | None = None
    checkpoint_id: str | None = None
    durability: Literal["sync", "async", "exit"] | None = None
    multitask_strategy: Literal["reject", "enqueue", "interrupt", "rollback"] | None = None


class RunBody(Outbound):
    """The body that starts a run."""

    assistant_id: str
    input: Any = None
    command: dict[str, Any] | None = None
    context: dict[str, Any] | None = None
    config: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    stream_mode: list[str] = Field(default=[*STREAM_MODES])
    stream_subgraphs: bool = False
    stream_resumable: bool = True
    on_disconnect: str = "continue"
    if_not_exists: str = "reject"
    interrupt_before: Nodes | None = None
    interrupt_after: Nodes | None = None
    checkpoint_id: str | None = None
    durability: str | None = None
    multitask_strategy: str | None = None


def run_body(
    request: RunRequest, params: LangGraphParams, options: LangGraphOptions, media: Sequence[Media]
) -> dict[str, Any]:
    """Return the body that starts a run; ``media`` have addresses or ``data:`` URLs.

    Raises:
        RequestError: a parameter has no JSON form, or the graph takes no attachments or history.
    """
    fields = params.model_dump(exclude_none=True)
    fields["input"] = _input(request, params, options.prompt_field, media)
    fields["stream_mode"] = [*STREAM_MODES, *params.stream_mode]
    # A session that was given has to be there.
    create = "create" if request.session_id is None else "reject"
    return to_wire(RunBody(assistant_id=request.agent, if_not_exists=create, **fields))


def decision_body(
    assistant: str, repeated: Mapping[str, Any], command: dict[str, Any] | None
) -> dict[str, Any]:
    """Return the body that continues a thread; without a ``command`` it leaves a breakpoint."""
    return to_wire(RunBody(assistant_id=assistant, command=command, **repeated))


def repeated_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a body that the runs after its interrupts have, too."""
    return {name: body[name] for name in _REPEATED if body.get(name)}


def recorded_fields(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `repeated_fields` does, by the server's record of a run."""
    sent = as_object(run.get("kwargs"))
    limit = as_object(sent.get("config")).get("recursion_limit")
    # The rest of the record's configuration and metadata is the server's own.
    own = {
        "config": {"recursion_limit": limit} if limit else None,
        "metadata": None,
        "stream_subgraphs": sent.get("subgraphs"),
    }
    return repeated_fields({**sent, **own})


def _input(request: RunRequest, params: LangGraphParams, field: str, media: Sequence[Media]) -> Any:
    if field != "messages":
        if media or request.history:
            raise RequestError("Attachments and earlier messages need the field messages.")
        if field:
            return {**(params.input or {}), field: request.prompt}
        if params.input:
            raise RequestError("The prompt is the whole input: prompt_field is empty.")
        return request.prompt
    content: Any = request.prompt
    if media:
        content = [{"type": "text", "text": request.prompt}] if request.prompt else []
        content += map(_block, media)
    messages = [*map(dict, request.history), {"role": "user", "content": content}]
    return {**(params.input or {}), "messages": messages}


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


def _block(item: Media) -> dict[str, Any]:
    """Return an attachment as a content block of LangChain."""
    kind, url = item.mime_type or "", item.url or ""
    family = kind.partition("/")[0]
    if family == "image":
        # All versions and models take this form.
        return {"type": "image_url", "image_url": {"url": url}}
    head, comma, content = url.partition(",")
    is_base64 = url[:5].lower() == "data:" and comma and head.lower().endswith(";base64")
    return {
        "type": family if family in ("audio", "video") else "file",
        "mime_type": kind,
        **({"base64": content} if is_base64 else {"url": url}),
        **({"filename": item.name} if item.name else {}),
    }


# --- JSON -----------------------------------------------------------------------------------------


def as_object(value: Any) -> dict[str, Any]:
    """Return a value if it is an object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def as_items(value: Any) -> list[Any]:
    """Return a list, any other value as the only item of one, and no item for None."""
    if isinstance(value, list):
        return cast("list[Any]", value)
    return [] if value is None else [value]

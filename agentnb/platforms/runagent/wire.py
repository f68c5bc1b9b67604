"""run-agent.ai's wire format: strict requests, tolerant responses."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AfterValidator, ConfigDict, Field

from agentnb._support.text import well_formed
from agentnb.errors import RequestError, UnsupportedError
from agentnb.platforms._params import check_params
from agentnb.platforms._validation import check_history
from agentnb.platforms._wire import EventCodec, Inbound, Lenient, Number, Outbound, to_wire
from agentnb.platforms.base import RunRequest

Text = Annotated[Annotated[str, AfterValidator(well_formed)] | None, Lenient]


# --- sent -------------------------------------------------------------------------------------


class Control(Outbound):
    """The parameters that the platform itself understands."""

    stream_delay_ms: Annotated[int | None, Number, Field(ge=0)] = None
    chunk_size: Annotated[int | None, Number, Field(ge=1)] = None
    resume_from_index: Annotated[int | None, Number, Field(ge=0)] = None


class Parameters(Control):
    """The body's ``parameters``: the platform's own, validated, and the agent's, unchanged."""

    model_config = ConfigDict(extra="allow")


class EntrypointParams(Outbound):
    """The parameters of servers with entrypoints.

    The prompt is the first positional argument of the entrypoint, before ``input_args``, or the
    argument that ``prompt_argument`` names; if that is "", it is not sent.  ``timeout_seconds`` is
    for the server, 600 by default.
    """

    entrypoint_tag: Annotated[str | None, Field(min_length=1)] = None
    prompt_argument: str | None = None
    input_args: list[Any] | None = None
    input_kwargs: dict[str, Any] | None = None
    timeout_seconds: Annotated[int | None, Number, Field(ge=1)] = None
    user_id: str | None = None
    persistent_memory: bool | None = None


class Params(Control, EntrypointParams):
    """The parameters in `RunRequest.params`.

    The platform's own, at the top or in ``parameters`` with the agent's own; and those of
    entrypoints, for a server that has them.
    """

    parameters: Parameters | None = None


class Body(Outbound):
    """The body of ``stream`` and ``invoke``, without what is None."""

    query: str
    parameters: dict[str, Any] | None = None
    session_id: str | None = None


class RunBody(Outbound):
    """The body of ``run`` and the message of ``run-stream``, without what is None."""

    entrypoint_tag: str
    input_args: list[Any]
    input_kwargs: dict[str, Any]
    timeout_seconds: int
    async_execution: bool = False
    user_id: str | None = None
    persistent_memory: bool | None = None


# --- understood -------------------------------------------------------------------------------


class Start(Inbound):
    """``start``: streaming begins."""

    message: Text = None
    session_id: Text = None
    run_id: Text = None


class Chunk(Inbound):
    """``chunk``: a fragment of the answer; ``index`` is its place, if the platform sends it."""

    content: str
    index: Annotated[Annotated[int, Field(ge=0)] | None, Lenient] = None


class Failure(Inbound):
    """``error``: the run failed; ``error`` is a message, or an object with one."""

    error: Any = None
    code: Text = None
    retry_after: Any = None


class Done(Inbound):
    """``done``: the run is complete."""

    message: Text = None
    session_id: Text = None
    usage: Any = None
    execution_time: Any = None


EVENTS: Final[EventCodec[Inbound]] = EventCodec(
    {"start": Start, "chunk": Chunk, "error": Failure, "done": Done}
)


def stream_body(request: RunRequest, *, platform: str) -> dict[str, Any]:
    """Return the body of ``stream`` and ``invoke``.

    Raises:
        RequestError: a parameter is unknown or invalid.
        UnsupportedError: the request has something that this API does not take.
    """
    check_history(request, platform=platform, supported=False)
    if request.media:
        raise UnsupportedError(f"{platform} has no attachments.")
    if request.output_schema is not None:
        raise UnsupportedError(f"{platform} has no structured output.")
    params = check_params(Params, request.params, platform=platform)
    if wrong := params.model_fields_set & EntrypointParams.model_fields.keys():
        raise RequestError(
            f"{platform}: {', '.join(sorted(wrong))} cannot be given at this address, which "
            "has no entrypoints.",
            hint="Give the agent's own parameters as parameters={...}.",
        )
    flat = params.model_dump(exclude={"parameters"}, exclude_none=True)
    # A null of the agent's own parameters is kept; one of the platform's means nothing.
    nested = params.parameters or Parameters()
    own = {**to_wire(nested), **(nested.model_extra or {})}
    if twice := sorted(flat.keys() & own.keys()):
        raise RequestError(
            f"{platform}: {', '.join(twice)} stands both in parameters and beside it; give it once."
        )
    body = Body(
        query=request.prompt,
        parameters={**own, **flat} or None,
        session_id=request.session_id or None,
    )
    return to_wire(body)

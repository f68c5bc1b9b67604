"""run-agent.ai's wire format: strict requests, tolerant responses."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AfterValidator, ConfigDict, Field

from agentnb._support.text import well_formed
from agentnb.platforms._wire import EventCodec, Inbound, Lenient, Number, Outbound

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


EVENTS: Final[EventCodec[Inbound]] = EventCodec(
    {"start": Start, "chunk": Chunk, "error": Inbound, "done": Inbound}
)

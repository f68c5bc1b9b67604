"""What run-agent.ai's streaming API is sent."""

from __future__ import annotations

from typing import Any

from agentnb.errors import RequestError, UnsupportedError
from agentnb.platforms._params import check_params
from agentnb.platforms._validation import check_history
from agentnb.platforms._wire import to_wire
from agentnb.platforms.base import RunRequest
from agentnb.platforms.runagent.wire import Body, EntrypointParams, Parameters, Params

__all__ = ["stream_body"]


def stream_body(request: RunRequest, *, platform: str) -> dict[str, Any]:
    """Return the body of ``stream`` and ``invoke``.

    Raises:
        RequestError: a parameter is wrong, or is none that this API takes.
        UnsupportedError: the request has something that this API cannot take.
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
    # A free-form null is the agent's own and stays; a null of the platform's says nothing.
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

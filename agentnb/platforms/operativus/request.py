"""Build the body that starts a run."""

from __future__ import annotations

import uuid
from typing import Any

from agentnb.errors import RequestError, UnsupportedError
from agentnb.platforms._params import check_params
from agentnb.platforms._validation import check_history
from agentnb.platforms._wire import to_wire
from agentnb.platforms.base import RunRequest
from agentnb.platforms.operativus.media import media_inputs
from agentnb.platforms.operativus.wire import (
    OperativusOptions,
    OperativusParams,
    RunOptions,
    RunRequestBody,
)

__all__ = ["build_body", "is_fresh"]


async def build_body(
    request: RunRequest, *, platform: str, defaults: OperativusOptions
) -> dict[str, Any]:
    """Return the JSON body of a run; the request's parameters override ``defaults``.

    It always has a ``sessionId``: if the server does not send the run's id, the run is found by its
    session.

    Raises:
        RequestError: a parameter or an attachment is invalid.
        UnsupportedError: the request has a JSON schema, or earlier messages for its session.
    """
    check_history(request, platform=platform, supported=False)
    if request.output_schema is not None:
        raise UnsupportedError(f"{platform} takes no JSON schema for the answer.")
    params = check_params(OperativusParams, request.params, platform=platform)
    if None not in (request.session_id, params.session_id) and (
        request.session_id != params.session_id
    ):
        raise RequestError(f"{platform}: the session is given twice, and differently.")
    followups = params.generate_followups
    body = RunRequestBody(
        message=request.prompt,
        sessionId=request.session_id or params.session_id or str(uuid.uuid4()),
        userId=params.user_id or defaults.user_id,
        orgId=params.org_id or defaults.org_id,
        generateFollowups=(request.followups or None) if followups is None else followups,
        media=(
            *await media_inputs(request.media, max_bytes=defaults.max_media_bytes),
            *params.media,
        )
        or None,
        options=_options(params, platform),
    )
    return to_wire(body)


def is_fresh(request: RunRequest) -> bool:
    """Return whether the run starts a session."""
    return not any((request.session_id, *map(request.params.get, ("session_id", "sessionId"))))


def _options(params: OperativusParams, platform: str) -> RunOptions | None:
    nested = params.options or RunOptions()
    names = RunOptions.model_fields
    top = {name: value for name in names if (value := getattr(params, name)) is not None}
    for name in top:
        if getattr(nested, name) is not None:
            raise RequestError(f"{platform}: {name} is given twice, beside and in options.")
    merged = nested.model_copy(update=top)
    return merged if merged.model_fields_set else None

"""From a `RunRequest` to the body that starts a run."""

from __future__ import annotations

import uuid
from typing import Any

from agentnb.errors import RequestError, UnsupportedError
from agentnb.platforms._params import check_params
from agentnb.platforms._validation import check_history
from agentnb.platforms._wire import to_wire
from agentnb.platforms.base import RunRequest
from agentnb.platforms.operativus.media import media_inputs
from agentnb.platforms.operativus.request_models import RunOptions, RunParams, RunRequestBody

__all__ = ["build_body", "is_fresh"]

_FLAT = ("model", "temperature", "max_tokens", "system_prompt")


async def build_body(
    request: RunRequest,
    *,
    platform: str,
    user_id: str | None = None,
    org_id: str | None = None,
    max_media_bytes: int,
) -> dict[str, Any]:
    """Return the JSON body of a run; the ids are defaults that the request's parameters override.

    ``sessionId`` is always in it: a server may answer without telling the run's id, and then the
    session that we made is how the run is found.

    Raises:
        RequestError: a parameter or an attachment is wrong.
        UnsupportedError: a JSON schema is asked for, or a session is to begin with earlier
            messages.
    """
    check_history(request, platform=platform, supported=False)
    if request.output_schema is not None:
        raise UnsupportedError(f"{platform} takes no JSON schema for the answer.")
    params = check_params(RunParams, request.params, platform=platform)
    if None not in (request.session_id, params.session_id) and (
        request.session_id != params.session_id
    ):
        raise RequestError(f"{platform}: the session is given twice, and differently.")
    media = await media_inputs(request.media, max_bytes=max_media_bytes)
    body = RunRequestBody(
        message=request.prompt,
        sessionId=request.session_id or params.session_id or str(uuid.uuid4()),
        userId=params.user_id or user_id,
        orgId=params.org_id or org_id,
        generateFollowups=_either(params.generate_followups, request.followups),
        media=(*media, *params.media) or None,
        options=_options(params, platform),
    )
    return to_wire(body)


def is_fresh(request: RunRequest) -> bool:
    """Tell whether the run begins a session of its own."""
    return not any((request.session_id, *map(request.params.get, ("session_id", "sessionId"))))


def _either(given: bool | None, asked: bool) -> bool | None:
    """Return the parameter where it was given, else whether it is asked for; None leaves it out."""
    return (asked or None) if given is None else given


def _options(params: RunParams, platform: str) -> RunOptions | None:
    flat = {name: value for name in _FLAT if (value := getattr(params, name)) is not None}
    nested = params.options or RunOptions()
    twice = [name for name in flat if getattr(nested, name) is not None]
    if twice:
        raise RequestError(f"{platform}: {twice[0]} is given twice, beside and in options.")
    merged = nested.model_copy(update=flat)
    return merged if merged.model_fields_set else None

"""Parameters that requests may have in two places."""

from __future__ import annotations

from typing import TypeVar

from agentnb.errors import RequestError, UnsupportedError
from agentnb.platforms._wire import Outbound
from agentnb.platforms.base import RunRequest

__all__ = ["nested_settings", "no_schema", "session_of"]

S = TypeVar("S", bound=Outbound)


def no_schema(request: RunRequest, *, platform: str) -> None:
    """Refuse a request with a JSON schema.

    Raises:
        UnsupportedError: it has one.
    """
    if request.output_schema is not None:
        raise UnsupportedError(f"{platform} takes no JSON schema for the answer.")


def session_of(
    request: RunRequest, param: str | None, *, platform: str, kind: str = "session"
) -> str | None:
    """Return the session of a request, which may be in its parameter ``param``, too.

    Raises:
        RequestError: they differ.
    """
    if None not in (request.session_id, param) and request.session_id != param:
        raise RequestError(f"{platform}: the {kind} is given twice, and differently.")
    return request.session_id or param


def nested_settings(params: Outbound, field: str, model: type[S], *, platform: str) -> S | None:
    """Return the settings in a field of ``params`` and those beside it; None without any.

    Raises:
        RequestError: one is in both places.
    """
    nested: S = getattr(params, field) or model()
    top = {
        name: value for name in model.model_fields if (value := getattr(params, name)) is not None
    }
    for name in top:
        if getattr(nested, name) is not None:
            raise RequestError(f"{platform}: {name} is given twice, beside and in {field}.")
    merged = nested.model_copy(update=top)
    return merged if merged.model_fields_set else None

"""What a chunk of SeekrFlow holds, whichever of the ways of writing it a server has taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from agentnb.platforms._wire import as_text, mend

__all__ = ["first_text", "is_error", "object_in", "sole_error", "unwrap"]


def unwrap(payload: dict[str, Any], event: str) -> tuple[str, dict[str, Any]]:
    """Return the chunk's tag and the chunk, taken out of ``{"type", "data": {...}}`` if need be."""
    tag = payload.get("type")
    if not isinstance(tag, str):
        tag = event if event not in ("", "message") else ""
    data = payload.get("data")
    if not isinstance(data, dict) or tag.startswith("data-"):
        return tag, payload
    inner = cast("dict[str, Any]", data)
    # The vendor's wrapper is always of type streaming_chunk; what it holds says what it is.
    own = inner.get("type")
    outer = {k: v for k, v in payload.items() if k != "data"}
    return own if isinstance(own, str) else tag, {**outer, **inner}


def first_text(place: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """Return the first of these fields that is a text, mended; None where none is."""
    values = (place.get(name) for name in names)
    return next((mend(value) for value in values if isinstance(value, str) and value), None)


def object_in(chunk: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a field that is an object, an empty one where it is none."""
    value = chunk.get(name)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def sole_error(output: Any) -> str | None:
    """Return the message of an output that is an error and nothing else."""
    if isinstance(output, dict) and list(cast("dict[str, Any]", output)) == ["error"]:
        return as_text(cast("dict[str, Any]", output)["error"]) or None
    return None


def is_error(chunk: Mapping[str, Any]) -> bool:
    """Tell whether a chunk that does not name its kind says what went wrong."""
    return bool(chunk.get("error") or chunk.get("errorText") or chunk.get("detail"))

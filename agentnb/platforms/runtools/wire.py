"""RunTools on the wire: what is its own among the many dialects that its runtimes stream."""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, Field

from agentnb.platforms._wire import Inbound

__all__ = ["DevUrlFrame", "FileEditFrame", "RunResult"]


def _maybe(*names: str) -> Any:
    return Field(default=None, validation_alias=AliasChoices(*names))


class FileEditFrame(Inbound):
    """The agent changed a file."""

    path: str
    diff: Any = None


class DevUrlFrame(Inbound):
    """The agent serves something at an address."""

    url: str = Field(validation_alias=AliasChoices("url", "data"))


class RunResult(Inbound):
    """What ``stream: false`` answers, with or without its ``data`` envelope."""

    run_id: str | None = _maybe("runId", "run_id", "id")
    thread_id: str | None = _maybe("threadId", "thread_id")
    status: str | None = None
    result: Any = _maybe("result", "output")
    usage: Any = None
    iterations: Any = None
    model: str | None = None
    error: Any = None

"""What a run ended by, as events: an exception, a stream that is gone, a platform's own word."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from agentnb.errors import AgentnbError, PlatformError
from agentnb.event.types import ApprovalRequested, Event, RunCancelled, RunFailed, RunFinished

if TYPE_CHECKING:
    from agentnb.platforms.base import RemoteRun

__all__ = [
    "failure_end",
    "incomplete_end",
    "is_last_passage",
    "one_line",
    "remote_end",
    "truncated_end",
]

_log = logging.getLogger(__name__)

_SILENT_END = "The stream ended before the agent had finished."
_INCOMPLETE = "The answer may be incomplete."
# What a platform or a library says of an error may be long, in characters.
_REASON = 300


def failure_end(error: BaseException) -> RunFailed:
    """Return the end of a run in which ``error`` was raised."""
    name = type(error).__name__
    if not isinstance(error, AgentnbError):
        _log.info("A run broke off", exc_info=error)
        message = " ".join(str(error).split())
        return RunFailed(message=f"{name}: {message}" if message else name, error_type=name)
    platform = error if isinstance(error, PlatformError) else None
    told: dict[str, Any] = {}
    if platform is not None:
        told = {"status": platform.status, "request_id": platform.request_id}
    return RunFailed(
        message=error.message,
        code=platform.code if platform else None,
        retry_after=platform.retry_after if platform else None,
        error_type=name,
        hint=error.hint,
        details={key: value for key, value in told.items() if value is not None},
    )


def incomplete_end(first: Exception | None, output: str | None) -> RunFailed:
    """Return the end of a run that completed on its platform, and whose answer may not be all here.

    ``first`` is what its stream broke off by, None where it just ended; ``output`` the answer that
    the platform has, where it does not go on from what arrived.
    """
    missing = "the rest of its answer could not be had"
    if output is not None:
        missing = "how its answer goes on from here is not known"
    return RunFailed(
        message=f"{one_line(first)} The run completed on its platform, but {missing}.",
        status="truncated",
        code="no_terminal_event" if first is None else None,
        error_type=None if first is None else type(first).__name__,
        hint=_hint(first),
        details={} if output is None else {"output": output},
    )


def truncated_end(
    first: Exception | None, last: Exception | None, *, attempts: int, goes_on: bool
) -> RunFailed:
    """Return the end of a run whose stream is gone, and whose platform does not say how it ended.

    ``first`` is what the stream broke off by, None where it just ended; ``last`` what the last of
    ``attempts`` to take it up again failed by, if anything.  ``goes_on``: the platform said so.
    """
    message = _SILENT_END if first is None else one_line(first)
    if attempts:
        message += f" {attempts} {'attempt' if attempts == 1 else 'attempts'} to take it up again"
        message += " brought nothing more"
        if last is not None and one_line(last) != one_line(first):
            message += f", the last: {one_line(last)}"
        message = message.rstrip(".") + "."
    if goes_on:
        message += " The run goes on on its platform."
    if first is None or attempts:
        message += f" {_INCOMPLETE}"
    return RunFailed(
        message=message,
        status="truncated",
        code="no_terminal_event" if first is None else None,
        error_type=None if first is None else type(first).__name__,
        hint=_hint(first or last),
        details={"reconnects": attempts} if attempts else {},
    )


def remote_end(remote: RemoteRun) -> Event | None:
    """Return the end that a platform's list has of a run, None where it has none."""
    match remote.status:
        case "completed":
            return RunFinished(output=remote.output)
        case "failed":
            return RunFailed(message=remote.error or "The platform reports the run as failed.")
        case "cancelled":
            return RunCancelled(reason="cancelled on the platform")
        case "paused":
            return ApprovalRequested(message="The run waits for a decision.")
        case _:
            return None


def is_last_passage(output: str | None, *, of: str) -> bool:
    """Return whether a platform's answer is the end of what arrived, or all of it.

    White space does not count: platforms trim.
    """
    wanted = "".join((output or "").split())
    return wanted != "" and "".join(of.split()).endswith(wanted)


def _hint(error: Exception | None) -> str | None:
    return error.hint if isinstance(error, AgentnbError) else None


def one_line(error: Exception | None) -> str:
    """Return what ``error`` says, in one line of bounded length; of None, that a stream ended."""
    if error is None:
        return _SILENT_END
    text = error.message if isinstance(error, AgentnbError) else f"{type(error).__name__}: {error}"
    line = " ".join(text.split())
    return line if len(line) <= _REASON else f"{line[:_REASON]}…"

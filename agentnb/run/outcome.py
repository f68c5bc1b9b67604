"""The terminal event of a run that ended by an exception, a broken stream or on its platform."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from agentnb.errors import AgentnbError, PlatformError
from agentnb.event.types import ApprovalRequested, Event, RunCancelled, RunFailed, RunFinished

if TYPE_CHECKING:
    from agentnb.platforms.base import RemoteRun

_log = logging.getLogger(__name__)

_ENDED_EARLY: Final = "The stream ended before the agent had finished."
_MAX_REASON: Final = 300


def failure_end(error: BaseException) -> RunFailed:
    """Return the end of a run in which ``error`` was raised."""
    name = type(error).__name__
    if not isinstance(error, AgentnbError):
        _log.info("A run raised", exc_info=error)
        message = " ".join(str(error).split())
        return RunFailed(message=f"{name}: {message}" if message else name, error_type=name)
    if not isinstance(error, PlatformError):
        return RunFailed(message=error.message, error_type=name, hint=error.hint)
    details = {"status": error.status, "request_id": error.request_id}
    return RunFailed(
        message=error.message,
        code=error.code,
        retry_after=error.retry_after,
        error_type=name,
        hint=error.hint,
        details={key: value for key, value in details.items() if value is not None},
    )


def incomplete_end(error: Exception | None, output: str | None) -> RunFailed:
    """Return the end of a run that completed on its platform with a partly received answer.

    ``error`` is the one that its stream broke off by, None where it ended; ``output`` the answer at
    the platform, where that does not continue the received text.
    """
    missing = "the rest of its answer is not available"
    if output is not None:
        missing = "its answer there does not continue the received text"
    return RunFailed(
        message=f"{one_line(error)} The run completed on its platform, but {missing}.",
        status="truncated",
        code="no_terminal_event" if error is None else None,
        error_type=None if error is None else type(error).__name__,
        hint=_hint(error),
        details={} if output is None else {"output": output},
    )


def truncated_end(
    first: Exception | None, last: Exception | None, *, attempts: int, in_progress: bool
) -> RunFailed:
    """Return the end of a run whose stream is lost and whose end is unknown.

    ``first`` is the error that the stream broke off by, None where it ended; ``last`` that of the
    last of ``attempts`` to resume it, if any.  ``in_progress``: the platform reported that.
    """
    message = one_line(first)
    if attempts:
        message += f" {attempts} {'attempt' if attempts == 1 else 'attempts'} to resume it"
        message += " delivered nothing more"
        if last is not None and one_line(last) != one_line(first):
            message += f", the last: {one_line(last)}"
        message = message.rstrip(".") + "."
    if in_progress:
        message += " The run continues on its platform."
    if first is None or attempts:
        message += " The answer may be incomplete."
    return RunFailed(
        message=message,
        status="truncated",
        code="no_terminal_event" if first is None else None,
        error_type=None if first is None else type(first).__name__,
        hint=_hint(first or last),
        details={"reconnects": attempts} if attempts else {},
    )


def remote_end(remote: RemoteRun) -> Event | None:
    """Return the end of a run by its platform's list, None while it is in progress."""
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
    """Return whether a platform's answer is the end of the received text, but for white space."""
    wanted = "".join((output or "").split())
    return wanted != "" and "".join(of.split()).endswith(wanted)


def one_line(error: Exception | None) -> str:
    """Return the message of ``error`` as a line of bounded length; None: the stream ended early."""
    if error is None:
        return _ENDED_EARLY
    text = error.message if isinstance(error, AgentnbError) else f"{type(error).__name__}: {error}"
    line = " ".join(text.split())
    return line if len(line) <= _MAX_REASON else f"{line[:_MAX_REASON]}…"


def _hint(error: Exception | None) -> str | None:
    return error.hint if isinstance(error, AgentnbError) else None

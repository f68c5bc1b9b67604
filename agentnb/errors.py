"""Everything agentnb raises.

One tree, so that ``except agentnb.AgentnbError`` catches all of it::

    AgentnbError
    ├── ConfigError                 an agent, platform, alias or setting is missing or wrong
    │   └── MissingKeyError         no API key was found for a platform
    ├── RequestError                refused before anything was sent (a value out of range, say)
    ├── UnsupportedError            the platform has no such operation
    ├── PlatformError               the platform answered with an error
    │   ├── AuthenticationError     401, 403
    │   ├── BudgetExceededError     402
    │   ├── NotFoundError           404
    │   ├── InvalidRequestError     400, 409, 413, 415, 422; `.fields` names what was wrong
    │   ├── RateLimitError          429
    │   └── ServerError             5xx
    ├── TransportError              the connection, not the platform, failed
    │   ├── ConnectionFailedError   refused, DNS, TLS
    │   ├── DeadlineError           a time ran out; `.deadline` says which
    │   ├── StreamCutError          the stream broke off before its terminal event
    │   ├── AnswerTooLargeError     an answer is larger than the cap, or unpacks to far too much
    │   └── ContentTypeError        an answer of another type than the one asked for
    ├── OutputError                 an answer is not of the form that was asked for
    ├── HistoryError                the store of runs cannot be used, or lacks what was asked for
    ├── PlaybackError               a recorded notebook asks what was not recorded
    ├── EventTooLargeError          one server-sent event is larger than the cap
    └── RunError                    a run did not complete; `.run` holds what arrived
        ├── RunFailedError
        │   └── NotRecordedError    a `PlaybackError`, too: the run is not in what is played back
        ├── RunTruncatedError       cut off; the partial answer is kept
        ├── RunCancelledError
        └── BatchError              a row failed that was to end a map; `.table` holds what is done

`HistoryWarning` is what a store that cannot be used gives instead where a run would go on without;
`UnencryptedWarning` says that what is sent to a platform can be read on its way.

Every message is one line that can stand alone in a notebook cell; what to do next follows in
``hint``.  No message, attribute or ``repr`` ever carries a key.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agentnb._support.text import escaped
from agentnb._support.tracebacks import short_traceback

if TYPE_CHECKING:
    import pandas as pd


__all__ = [
    "AgentnbError",
    "AnswerTooLargeError",
    "AuthenticationError",
    "BatchError",
    "BudgetExceededError",
    "ConfigError",
    "ConnectionFailedError",
    "ContentTypeError",
    "DeadlineError",
    "EventTooLargeError",
    "FieldProblem",
    "HistoryError",
    "HistoryWarning",
    "InvalidRequestError",
    "MissingKeyError",
    "NotFoundError",
    "NotRecordedError",
    "OutputError",
    "PlatformError",
    "PlaybackError",
    "RateLimitError",
    "RequestError",
    "RunCancelledError",
    "RunError",
    "RunFailedError",
    "RunTruncatedError",
    "ServerError",
    "StreamCutError",
    "TransportError",
    "UnencryptedWarning",
    "UnsupportedError",
    "retry_hint",
    "with_hint",
]

# A longer wait, in seconds, is no advice.
_LONGEST_ADVICE: Final = 1e15


def with_hint(message: str, hint: str | None) -> str:
    """Return the message and, after a space, the hint."""
    if not hint:
        return message
    return f"{message} {hint}" if message.endswith((".", "!", "?", "…")) else f"{message}. {hint}"


def retry_hint(seconds: float | None) -> str | None:
    """Return the hint for a platform that asks to wait ``seconds``; None where it asks for none."""
    if seconds is None or not 0 < seconds < _LONGEST_ADVICE:
        return None
    return f"Try again in {math.ceil(seconds)} s."


class AgentnbError(Exception):
    """Base of every error of this package.

    ``hint`` is one line on what to do next, or None.  ``str(error)`` is the message and, after a
    space, the hint.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        # A traceback goes to a terminal, and a server's words may hold sequences that act there.
        message, hint = escaped(message), hint and escaped(hint)
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return escaped(with_hint(self.message, self.hint))

    def _render_traceback_(self) -> list[str]:
        # What IPython shows of it: how this package got there says nothing to who called it.
        return short_traceback(self)


class ConfigError(AgentnbError):
    """An agent, platform, alias or setting is missing or wrong."""


class MissingKeyError(ConfigError):
    """No API key was found for a platform."""


class RequestError(AgentnbError):
    """The request was refused here, before anything was sent."""


class UnsupportedError(AgentnbError):
    """The platform has no such operation."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field that a platform refused: ``location`` is a dotted path, as in ``body.agent_id``."""

    location: str
    message: str
    kind: str = ""

    def __post_init__(self) -> None:
        for name in ("location", "message", "kind"):
            object.__setattr__(self, name, escaped(getattr(self, name)))

    def __str__(self) -> str:
        return f"{self.location}: {self.message}"


class OutputError(AgentnbError):
    """An answer is not of the form that was asked for."""


class HistoryError(AgentnbError):
    """The store of runs cannot be used, or does not hold what was asked for."""


class HistoryWarning(UserWarning):
    """Runs are not recorded, or not all of them; says why, once."""


class UnencryptedWarning(UserWarning):
    """A platform on another machine is addressed by http://; said once for each such host."""


class PlaybackError(AgentnbError):
    """A notebook that plays recorded answers back asked something else than was recorded."""


class PlatformError(AgentnbError):
    """The platform answered with an error.

    ``status`` is the HTTP status (None inside a stream), ``code`` the platform's own error code,
    ``request_id`` what its support will ask for, ``retry_after`` seconds, ``excerpt`` at most
    2,000 characters of the answer's body.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        excerpt: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code and escaped(code)
        self.request_id = request_id and escaped(request_id)
        self.retry_after = retry_after
        self.excerpt = escaped(excerpt)


class AuthenticationError(PlatformError):
    """401 or 403: the key is missing, wrong, or may not do this."""


class BudgetExceededError(PlatformError):
    """402: the account's budget is spent.  Never retried."""


class NotFoundError(PlatformError):
    """404: no such agent, run, thread or session.

    ``missing`` is which of these, as far as the platform says or its path shows, else None.
    """

    missing: str | None = None


class InvalidRequestError(PlatformError):
    """The platform refused the request's content; ``fields`` names each field where it said so."""

    def __init__(
        self,
        message: str,
        *,
        fields: tuple[FieldProblem, ...] = (),
        hint: str | None = None,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        excerpt: str = "",
    ) -> None:
        super().__init__(
            message,
            hint=hint,
            status=status,
            code=code,
            request_id=request_id,
            retry_after=retry_after,
            excerpt=excerpt,
        )
        self.fields = fields


class RateLimitError(PlatformError):
    """429: too many requests; ``retry_after`` says how long to wait, where the platform told."""


class ServerError(PlatformError):
    """5xx: the platform itself failed."""


class TransportError(AgentnbError):
    """The connection, not the platform, failed."""


class ConnectionFailedError(TransportError):
    """No connection: refused, no such host, or the TLS handshake failed.

    ``lasting`` says that another attempt would fail, too: what answers does not speak HTTP or TLS,
    or its certificate is not trusted.
    """

    def __init__(self, message: str, *, hint: str | None = None, lasting: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.lasting = lasting


class DeadlineError(TransportError):
    """A deadline passed.  ``deadline`` is its setting's name, ``seconds`` its value."""

    def __init__(
        self, message: str, *, deadline: str, seconds: float, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.deadline = deadline
        self.seconds = seconds


class StreamCutError(TransportError):
    """The stream broke off before its terminal event.

    ``last_event_id`` is the last id that the stream gave, or "".  ``reconnect_after`` is how many
    seconds it asked to wait before it is taken up again, None where it did not.
    """

    def __init__(
        self,
        message: str,
        *,
        last_event_id: str = "",
        reconnect_after: float | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.last_event_id = last_event_id
        self.reconnect_after = reconnect_after


class AnswerTooLargeError(TransportError):
    """An answer is larger than the client takes, ``limit`` bytes, or unpacks to far too much."""

    def __init__(self, message: str, *, limit: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.limit = limit


class ContentTypeError(TransportError):
    """An answer came in another type than the one asked for; ``excerpt`` is its bounded start."""

    def __init__(
        self, message: str, *, content_type: str, excerpt: str = "", hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.content_type = escaped(content_type)
        self.excerpt = escaped(excerpt)


class EventTooLargeError(AgentnbError):
    """One server-sent event, or one line of it, is larger than the decoder's cap."""

    def __init__(self, message: str, *, limit: int) -> None:
        super().__init__(message, hint="Raise max_event_bytes if such events are expected.")
        self.limit = limit


class RunError(AgentnbError):
    """A run did not complete.  ``run``, an `agentnb.Run`, holds what arrived before it ended."""

    def __init__(self, message: str, *, run: Any, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.run = run

    def _render_traceback_(self) -> list[str]:
        cause = self.__cause__
        # A run that ended by an error of another kind ended by somebody's mistake.
        return short_traceback(self, fault=None if isinstance(cause, AgentnbError) else cause)


class FunctionTraceback(Exception):
    """The traceback of an agent's function, as text, for Python to print before the error."""

    def __str__(self) -> str:
        return escaped(f"\n{self.args[0].rstrip()}")


class RunFailedError(RunError):
    """The agent or the platform reported a failure, or the request never succeeded.

    Of an agent that is a Python function, the cause shows the traceback through the function.
    """

    def __init__(self, message: str, *, run: Any, hint: str | None = None) -> None:
        super().__init__(message, run=run, hint=hint)
        # What is only watched has no transcript.
        failure = getattr(getattr(run, "transcript", None), "failure", None)
        shown = failure.details.get("traceback") if failure and run.platform == "local" else None
        if isinstance(shown, str):
            self.__cause__ = FunctionTraceback(shown)


class NotRecordedError(RunFailedError, PlaybackError):
    """What was asked is not in the recording that is played back; caught as either."""


class RunTruncatedError(RunError):
    """The stream ended without a terminal event; what arrived is kept in ``run``."""


class RunCancelledError(RunError):
    """The run was cancelled, by the user or by the platform."""


class BatchError(RunError):
    """A row of a map failed, and that was to end it; the rows that still ran were cancelled.

    ``table`` is what the map would have returned, as far as it came.  ``run`` is the run of the row
    that failed, None where none was made for it, or not in this process.
    """

    def __init__(
        self, message: str, *, run: Any, table: pd.DataFrame, hint: str | None = None
    ) -> None:
        AgentnbError.__init__(self, message, hint=hint)
        self.run = run
        self.table = table

"""Validate requests against what a platform supports, with the same errors for all."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

from agentnb.config.names import suggestion
from agentnb.errors import NotFoundError, RequestError, UnsupportedError
from agentnb.event.types import Event
from agentnb.platforms.base import Message, Platform, RunRequest

_ROLES: Final = ("user", "assistant", "system")
_FILTERS: Final = ("session_id", "status", "limit", "order", "offset")


def as_messages(history: Sequence[Mapping[str, object]]) -> tuple[Message, ...]:
    """Return earlier messages with only their role and content.

    Raises:
        RequestError: one is no message.
    """
    messages: list[Message] = []
    for number, message in enumerate(history, start=1):
        match message:
            case {"role": str(role), "content": str(content)} if role in _ROLES:
                messages.append({"role": role, "content": content})
            case _:
                raise RequestError(
                    f"Message {number} of the history is no message.",
                    hint="One is {'role': 'user', 'content': '...'}; the role is one of "
                    f"{', '.join(_ROLES)}.",
                )
    return tuple(messages)


def check_history(request: RunRequest, *, platform: str, supported: bool) -> None:
    """Refuse earlier messages that the platform or the session cannot take.

    Raises:
        UnsupportedError: the platform's sessions begin empty.
        RequestError: the request has a session, which has its own messages.
    """
    if not request.history:
        return
    if not supported:
        raise UnsupportedError(
            f"{platform} does not take earlier messages: its sessions begin empty."
        )
    if request.session_id is not None:
        raise RequestError(
            "Earlier messages begin a new session; one that is given has its own.",
            hint="Give either session or history.",
        )


def remote_filters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return validated filters of `Platform.runs`; ``session`` is short for ``session_id``.

    Raises:
        RequestError: a filter is unknown or given twice.
    """
    filters = {"session_id" if name == "session" else name: value for name, value in given.items()}
    if len(filters) < len(given):
        raise RequestError("session and session_id are the same filter: give one of them.")
    for name in filters:
        if name not in _FILTERS:
            near = suggestion(name, _FILTERS)
            raise RequestError(
                f"A platform's runs cannot be filtered by '{name}'.",
                hint=" ".join(filter(None, [near, f"There are {', '.join(_FILTERS)}."])),
            )
    # A `Run` stands for its session.
    session = filters.get("session_id")
    if session is not None and not isinstance(session, str):
        filters["session_id"] = getattr(session, "session_id", None)
        if filters["session_id"] is None:
            raise RequestError("That is no session, and no run that has one.")
    return filters


async def joined(
    platform: Platform, run_id: str, *, agent: str, session_id: str | None
) -> AsyncGenerator[list[Event], None]:
    """Yield the events of `Platform.attach`.

    Raises:
        NotFoundError: there is no such run; its hint is about runs, not about agents.
    """
    batches = platform.attach(run_id, agent=agent, session_id=session_id)
    try:
        async with aclosing(batches) as stream:
            async for batch in stream:
                yield batch
    except NotFoundError as error:
        if error.missing not in (None, "agent"):
            lists = platform.capabilities.list_runs
            error.hint = (
                "agent.remote_runs() lists the runs there are."
                if lists
                else "Check the run's id, and session=."
            )
        raise

"""What not every platform takes, refused in the same words by all that do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from agentnb.errors import RequestError, UnsupportedError
from agentnb.platforms.base import Message, RunRequest

__all__ = ["as_messages", "check_history", "no_approvals"]

_ROLES: Final = ("user", "assistant", "system")


def as_messages(history: Sequence[Mapping[str, object]]) -> tuple[Message, ...]:
    """Return earlier messages, checked; what they carry besides is left out.

    Raises:
        RequestError: one is no message.
    """
    made: list[Message] = []
    for number, message in enumerate(history, start=1):
        match message:
            case {"role": str(role), "content": str(content)} if role in _ROLES:
                made.append({"role": role, "content": content})
            case _:
                raise RequestError(
                    f"Message {number} of the history is no message.",
                    hint="One is {'role': 'user', 'content': '...'}; the role is one of "
                    f"{', '.join(_ROLES)}.",
                )
    return tuple(made)


def check_history(request: RunRequest, *, platform: str, supported: bool) -> None:
    """Refuse earlier messages where they cannot be taken.

    Raises:
        UnsupportedError: the platform begins every session empty.
        RequestError: a session is given, too, which has its own.
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


def no_approvals(platform: str) -> UnsupportedError:
    """Return the error of a platform whose runs wait for no decision."""
    return UnsupportedError(f"{platform} does not take decisions on approvals.")

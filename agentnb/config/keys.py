"""API keys: where they are looked for, in which order.

An argument first, then what ``%agent login`` was told in this session, the environment, the
project's ``.env``, the keyring, and a prompt; never ``agentnb.toml``.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable
from contextlib import suppress

from pydantic import SecretStr

from agentnb.config.env_file import env_file, key_in
from agentnb.config.keyrings import KEYRING_SERVICE, stored_key
from agentnb.errors import MissingKeyError

__all__ = [
    "KEYRING_SERVICE",
    "CannotAskError",
    "ask_for_key",
    "environment_key",
    "find_key",
    "given_key",
    "key_variable",
    "where_keys_go",
]


class CannotAskError(Exception):
    """Nobody can be asked for a key here."""


def key_variable(name: str) -> str:
    """Return the environment variable that holds the key of the platform ``name``."""
    return "".join(c if c.isalnum() else "_" for c in name.upper()) + "_API_KEY"


def where_keys_go(name: str | None = None) -> str:
    """Return what to do instead, where a key was written to a place that is shown or saved."""
    variable = key_variable(name) if name else "<PLATFORM>_API_KEY"
    return (
        f"Set {variable} in the environment or in .env, or run '%agent login "
        f"{name or '<platform>'}', which asks for it (getpass) and keeps it in the keyring."
    )


def environment_key(name: str) -> SecretStr | None:
    """Return the key of the platform ``name`` from the environment, None where there is none."""
    value = os.environ.get(key_variable(name), "").strip()
    return SecretStr(value) if value else None


def given_key(name: str) -> tuple[SecretStr, str] | None:
    """Return the key that the environment or ``.env`` gives, and which of them; never asks."""
    variable = key_variable(name)
    if given := environment_key(name):
        return given, f"environment variable {variable}"
    if (path := env_file()) is not None and (found := key_in(path, variable)):
        return found, f"{variable} in {path}"
    return None


def find_key(
    name: str, *, ask: bool = True, prompt: Callable[[str], str] | None = None
) -> tuple[SecretStr, str]:
    """Return the platform's key and where it was found, in words that may be shown.

    Looked for in the environment, in ``.env``, then in the keyring (service ``agentnb``, user
    ``name``), then, with ``ask`` and somebody there to answer, by a `getpass` prompt.

    Raises:
        MissingKeyError: it is nowhere to be found.
    """
    if (given := given_key(name)) is not None:
        return given
    if stored := stored_key(name):
        return stored, "keyring"
    # It may well be asked for where nobody can answer: there are other ways to give it.
    with suppress(CannotAskError):
        if ask and (typed := ask_for_key(name, prompt=prompt)):
            return typed, "prompt"
    raise MissingKeyError(
        f"No API key for {name}.",
        hint=f"Set {key_variable(name)} in the environment or in .env, run '%agent login {name}', "
        f"store it in the keyring (service '{KEYRING_SERVICE}', user '{name}'), or try the agents "
        "of the sandbox: '%%agent sandbox:finance_agent'.",
    )


def ask_for_key(
    name: str, *, at: str | None = None, prompt: Callable[[str], str] | None = None
) -> SecretStr | None:
    """Return what somebody types, unseen; None where nothing is typed.

    ``at`` is where the key will go, where that is to be said.

    Raises:
        CannotAskError: nobody can be asked.
    """
    question = f"API key for {name}{f' at {at}' if at else ''}: "
    if prompt is None and not _somebody_is_there():
        raise CannotAskError
    try:
        # Looked up at the call: ipykernel replaces `getpass.getpass` by its own.
        typed = SecretStr((prompt or getpass.getpass)(question).strip())
    except EOFError:
        return None
    except RuntimeError as error:
        # ipykernel refuses to prompt where the frontend cannot ask (nbclient, papermill).
        raise CannotAskError from error
    return typed if typed.get_secret_value() else None


def _somebody_is_there() -> bool:
    # In a cell, ipykernel puts a prompt of its own in place of the standard one.
    if getattr(getpass.getpass, "__module__", "") != "getpass":
        return True
    try:
        return sys.stdin is not None and sys.stdin.isatty()
    except ValueError:  # closed
        return False

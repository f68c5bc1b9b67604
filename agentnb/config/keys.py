"""API keys: from the environment, the keyring, or a prompt; never from a file."""

from __future__ import annotations

import getpass
import os
import sys
import warnings
from collections.abc import Callable

from pydantic import SecretStr

from agentnb.errors import MissingKeyError

__all__ = ["KEYRING_SERVICE", "environment_key", "find_key", "key_variable"]

KEYRING_SERVICE = "agentnb"


def key_variable(name: str) -> str:
    """Return the environment variable that holds the key of the platform ``name``."""
    return "".join(c if c.isalnum() else "_" for c in name.upper()) + "_API_KEY"


def environment_key(name: str) -> SecretStr | None:
    """Return the key of the platform ``name`` from the environment, None where there is none."""
    value = os.environ.get(key_variable(name), "").strip()
    return SecretStr(value) if value else None


def find_key(
    name: str, *, ask: bool = True, prompt: Callable[[str], str] | None = None
) -> tuple[SecretStr, str]:
    """Return the platform's key and where it was found, in words that may be shown.

    Looked for in the environment, then in the keyring (service ``agentnb``, user ``name``), then,
    with ``ask`` and somebody there to answer, by a `getpass` prompt.

    Raises:
        MissingKeyError: it is nowhere to be found.
    """
    variable = key_variable(name)
    if given := environment_key(name):
        return given, f"environment variable {variable}"
    if stored := _from_keyring(name):
        return stored, "keyring"
    if ask and (prompt is not None or _somebody_is_there()):
        try:
            # Looked up at the call: ipykernel replaces `getpass.getpass` by its own.
            typed = (prompt or getpass.getpass)(f"API key for {name}: ").strip()
        except (EOFError, RuntimeError):
            # ipykernel refuses to prompt where the frontend cannot ask (nbclient, papermill).
            typed = ""
        if typed:
            return SecretStr(typed), "prompt"
    raise MissingKeyError(
        f"No API key for {name}.",
        hint=f"Set {variable}, store it in the keyring (service '{KEYRING_SERVICE}', user "
        f"'{name}'), or try the agents of the sandbox: '%%agent sandbox:finance_agent'.",
    )


def _from_keyring(name: str) -> SecretStr | None:
    try:
        import keyring
        from keyring.errors import NoKeyringError
    except ImportError:
        return None
    try:
        value = keyring.get_password(KEYRING_SERVICE, name)
    except NoKeyringError:
        return None  # usual on servers, and no reason to speak
    # Backends raise what their own libraries do; none of it may stop who can type the key instead.
    except Exception as error:
        warnings.warn(f"The keyring could not be read: {error}", stacklevel=2)
        return None
    value = (value or "").strip()
    return SecretStr(value) if value else None


def _somebody_is_there() -> bool:
    # In a cell, ipykernel puts a prompt of its own in place of the standard one.
    if getattr(getpass.getpass, "__module__", "") != "getpass":
        return True
    try:
        return sys.stdin is not None and sys.stdin.isatty()
    except ValueError:  # closed
        return False

"""API keys: lookup in the environment, ``.env`` and the system's keyring, and by prompt."""

from __future__ import annotations

import getpass
import os
import sys
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from agentnb._support import install_hint
from agentnb.config.environment import env_file, env_file_key, key_variable
from agentnb.errors import MissingKeyError
from agentnb.redaction.secrets import mask

if TYPE_CHECKING:
    from types import ModuleType

#: Service name of agentnb's keys in the keyring; the user name is the platform's name.
KEYRING_SERVICE: Final = "agentnb"


class PromptUnavailableError(Exception):
    """The user cannot be prompted here."""


def key_hint(name: str | None = None) -> str:
    """Return how to set a key, for one that was written where it would be displayed or saved."""
    variable = key_variable(name) if name else "<PLATFORM>_API_KEY"
    return (
        f"Set {variable} in the environment or in .env, or run '%agent login "
        f"{name or '<platform>'}', which prompts for it (getpass) and stores it in the keyring."
    )


def configured_key(name: str) -> tuple[SecretStr, str] | None:
    """Return the key of platform ``name`` in the environment or ``.env``, and its source."""
    variable = key_variable(name)
    if value := os.environ.get(variable, "").strip():
        return SecretStr(value), f"environment variable {variable}"
    if (path := env_file()) is not None and (key := env_file_key(path, variable)):
        return key, f"{variable} in {path}"
    return None


def find_key(name: str, *, ask: bool = True) -> tuple[SecretStr, str]:
    """Return the key of platform ``name`` and a description of its source.

    Looked up in the environment, ``.env`` and the keyring; with ``ask``, then by a prompt.

    Raises:
        MissingKeyError: there is no key.
    """
    if (configured := configured_key(name)) is not None:
        return configured
    if stored := load_key(name):
        return stored, "keyring"
    with suppress(PromptUnavailableError):
        if ask and (typed := prompt_for_key(name)):
            return typed, "prompt"
    raise MissingKeyError(
        f"No API key for {name}.",
        hint=f"Set {key_variable(name)} in the environment or in .env, run '%agent login {name}', "
        f"store it in the keyring (service '{KEYRING_SERVICE}', user '{name}'), or try the agents "
        "of the sandbox: '%%agent sandbox:finance_agent'.",
    )


def prompt_for_key(name: str, *, at: str | None = None) -> SecretStr | None:
    """Prompt for a key without echo; return None if nothing is typed.

    ``at`` is the address to display, if the key goes to an unusual one.

    Raises:
        PromptUnavailableError: the frontend or terminal cannot prompt.
    """
    if not _can_prompt():
        raise PromptUnavailableError
    try:
        key = SecretStr(getpass.getpass(f"API key for {name}{f' at {at}' if at else ''}: ").strip())
    except EOFError:
        return None
    except RuntimeError as error:
        # ipykernel's error for frontends without prompts (nbclient, papermill).
        raise PromptUnavailableError from error
    return key if key.get_secret_value() else None


def _can_prompt() -> bool:
    if getattr(getpass.getpass, "__module__", "") != "getpass":  # ipykernel's
        return True
    try:
        return sys.stdin is not None and sys.stdin.isatty()
    except ValueError:  # closed
        return False


def load_key(name: str) -> SecretStr | None:
    """Return the key ``name`` in the keyring; the system may open a dialog."""
    if (keyring := _keyring()) is None:
        return None
    try:
        value = (keyring.get_password(KEYRING_SERVICE, name) or "").strip()
    except keyring.errors.NoKeyringError:  # usual on servers
        return None
    # Backends raise any error of their libraries; the user may still type the key.
    except Exception as error:
        warnings.warn(f"The keyring could not be read: {mask(str(error))}", stacklevel=2)
        return None
    return SecretStr(value) if value else None


def store_key(name: str, key: SecretStr) -> tuple[str | None, str]:
    """Store a key; return the keyring's name, or None and the reason why it was not stored."""
    if (keyring := _keyring()) is None:
        return None, f"the keyring's package is not installed ({install_hint('keyring')})"
    try:
        keyring.set_password(KEYRING_SERVICE, name, key.get_secret_value())
        # Some backends accept everything and store nothing.
        if keyring.get_password(KEYRING_SERVICE, name) != key.get_secret_value():
            return None, "the keyring did not keep it"
        return str(keyring.get_keyring().name), ""
    except keyring.errors.NoKeyringError:
        return None, "this machine has no keyring"
    except Exception as error:
        return None, f"the keyring refused it: {mask(str(error)) or type(error).__name__}"


def delete_key(name: str) -> bool:
    """Delete a key from the keyring; return whether there was one.

    Raises:
        Exception: any error of a backend that cannot delete it.
    """
    if load_key(name) is None or (keyring := _keyring()) is None:
        return False
    keyring.delete_password(KEYRING_SERVICE, name)
    return True


def _keyring() -> ModuleType | None:
    try:
        import keyring
    except ImportError:
        return None
    return keyring

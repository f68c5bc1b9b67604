"""The system's keyring: a key read, stored and removed, where there is one."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from agentnb._support.installing import install_hint
from agentnb.redaction.secrets import mask

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["KEYRING_SERVICE", "forget_stored", "store_key", "stored_key"]

#: Under this name keys are in the keyring; the user there is the platform's name.
KEYRING_SERVICE: Final = "agentnb"


def stored_key(name: str) -> SecretStr | None:
    """Return the key of the platform ``name``; this may open a dialog of the system."""
    if (keyring := _keyring()) is None:
        return None
    from keyring.errors import NoKeyringError

    try:
        value = keyring.get_password(KEYRING_SERVICE, name)
    except NoKeyringError:
        return None  # usual on servers, and no reason to speak
    # Backends raise what their own libraries do; none of it may stop who can type the key instead.
    except Exception as error:
        warnings.warn(f"The keyring could not be read: {mask(str(error))}", stacklevel=2)
        return None
    value = (value or "").strip()
    return SecretStr(value) if value else None


def store_key(name: str, key: SecretStr) -> tuple[str | None, str]:
    """Store a key; return the name of the keyring, None where it is in none, and why."""
    if (keyring := _keyring()) is None:
        return None, f"the keyring's package is not installed ({install_hint('keyring')})"
    from keyring.errors import NoKeyringError

    try:
        keyring.set_password(KEYRING_SERVICE, name, key.get_secret_value())
        # Some backends take everything and keep nothing.
        if keyring.get_password(KEYRING_SERVICE, name) != key.get_secret_value():
            return None, "the keyring did not keep it"
        return str(keyring.get_keyring().name), ""
    except NoKeyringError:
        return None, "this machine has no keyring"
    except Exception as error:
        return None, f"the keyring refused it: {mask(str(error)) or type(error).__name__}"


def forget_stored(name: str) -> bool:
    """Remove a key; tell whether there was one.

    Raises:
        Exception: whatever a backend raises that cannot remove it.
    """
    if stored_key(name) is None or (keyring := _keyring()) is None:
        return False
    keyring.delete_password(KEYRING_SERVICE, name)
    return True


def _keyring() -> ModuleType | None:
    try:
        import keyring
    except ImportError:
        return None
    return keyring

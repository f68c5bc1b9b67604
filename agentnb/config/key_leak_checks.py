"""Rejection of keys written where they would be displayed, logged or saved.

No error repeats the text that it rejects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from agentnb.config.keys import key_hint
from agentnb.config.names import quoted
from agentnb.errors import ConfigError
from agentnb.redaction.secrets import is_given_secret, is_opaque, looks_like_key

__all__ = ["check_address", "reject_key_as_name", "reject_key_options"]

# Not at a dot, which may be part of a key.
_SEPARATORS: Final = re.compile(r"[/;=:,]+")


def check_address(address: str, name: str) -> None:
    """Check the address of platform ``name``.

    Raises:
        ConfigError: not an HTTP address, or it may contain credentials: addresses are logged.
    """
    try:
        parts = urlsplit(address)
        has_credentials = bool("@" in parts.netloc or parts.query or parts.fragment)
    except ValueError:
        has_credentials = True
    # `is_opaque`: a development key may be a plain word that also occurs in addresses.
    words = _SEPARATORS.split(unquote(address))
    if has_credentials or any(looks_like_key(word) and is_opaque(word) for word in words):
        raise ConfigError(
            f"The base_url of {name} carries a key, a user name or a password, a query or a "
            "fragment, which end up in logs.",
            hint=key_hint(name),
        )
    if not address.startswith(("http://", "https://")):
        raise ConfigError(
            f"{quoted(address)} is not an address of {name}.",
            hint="It starts with https:// or http://, or is the word sandbox.",
        )


def reject_key_options(options: Mapping[str, Any], name: str) -> None:
    """Reject a key among the options of platform ``name``.

    Raises:
        ConfigError: an option holds a key and is not a `SecretStr`.
    """
    for option, value in options.items():
        if is_given_secret(option, value) and not isinstance(value, SecretStr):
            raise ConfigError(
                f"The options of {name} are displayed, so '{option}' cannot be one of them.",
                hint=key_hint(name),
            )


def reject_key_as_name(target: object, *more: object) -> None:
    """Reject a key passed as an agent's name or as a positional argument after it.

    Raises:
        ConfigError: there are further arguments, or the name looks like a key.
    """
    if more or (isinstance(target, str) and looks_like_key(target)):
        raise ConfigError(
            "Only the name of an agent is a positional argument, never a key.", hint=key_hint()
        )

"""Keys in places that are shown, logged or saved: refused, without being repeated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from agentnb.config.keys import where_keys_go
from agentnb.config.names import quoted
from agentnb.errors import ConfigError
from agentnb.redaction.secrets import is_given_secret, is_opaque, looks_like_key

# What stands between the words of an address; a dot may be within a key.
_BETWEEN: Final = re.compile(r"[/;=:,]+")

__all__ = ["check_address", "refuse_key_as_name", "refuse_key_options"]


def check_address(address: str, name: str) -> None:
    """Check the address of the platform ``name``.

    Raises:
        ConfigError: it is none, or could carry a key: addresses end up in logs.
    """
    try:
        parts = urlsplit(address)
        carries = bool("@" in parts.netloc or parts.query or parts.fragment) or _has_key(address)
    except ValueError:
        carries = True
    if carries:
        raise ConfigError(
            f"The base_url of {name} carries a key, a user name or a password, a query or a "
            "fragment, which end up in logs.",
            hint=where_keys_go(name),
        )
    if not address.startswith(("http://", "https://")):
        raise ConfigError(
            f"{quoted(address)} is no address of {name}.",
            hint="It begins with https:// or http://, or is the word sandbox.",
        )


def _has_key(address: str) -> bool:
    """Tell whether one of the words of ``address`` is a known key, or one by its looks.

    In development a key may be a mere word, which then also stands in an address.
    """
    words = _BETWEEN.split(unquote(address))
    return any(looks_like_key(word) and is_opaque(word) for word in words)


def refuse_key_options(options: Mapping[str, Any], name: str) -> None:
    """Refuse a key among the options of the platform ``name``, which are shown.

    Raises:
        ConfigError: there is one that is not a `SecretStr`.
    """
    for option, value in options.items():
        if is_given_secret(option, value) and not isinstance(value, SecretStr):
            raise ConfigError(
                f"The options of {name} are shown, so '{option}' cannot be one of them.",
                hint=where_keys_go(name),
            )


def refuse_key_as_name(target: object, *more: object) -> None:
    """Refuse what stands in the place of an agent's name, or after it, and may be a key.

    Raises:
        ConfigError: there is more than the name, or it looks like a key.
    """
    if more or (isinstance(target, str) and looks_like_key(target)):
        raise ConfigError(
            "Only the name of an agent is given without a keyword, and no key.",
            hint=where_keys_go(),
        )

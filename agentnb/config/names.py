"""Names of agents and addresses of platforms, without keys in their place.

A key written there would be displayed, logged or saved; no error repeats the text that it rejects.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from agentnb.config.keys import key_hint
from agentnb.errors import ConfigError
from agentnb.redaction.secrets import is_given_secret, is_opaque, looks_like_key

#: The platform name and the base address that mean agentnb's embedded server.
EMBEDDED: Final = "sandbox"
#: Open protocols; their servers are the user's own, and a bare agent name never means one of them.
OPEN_PROTOCOLS: Final = ("a2a", "agui", "langgraph", "openai", "sse")

# Characters compared; the cost of a comparison is the product of the lengths.
_MAX_COMPARED: Final = 200
_MIN_PREFIX: Final = 3
# Not at a dot, which may be part of a key.
_SEPARATORS: Final = re.compile(r"[/;=:,]+")


@dataclass(frozen=True, slots=True)
class AgentName:
    """An agent's full name, ``platform:agent``.

    ``notice`` is one line for the user when an alias in a project file chose the agent.
    """

    platform: str
    agent: str
    notice: str | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.platform}:{self.agent}"


def printable(text: str, *, longest: int = 80) -> str:
    """Return ``text`` truncated to ``longest`` characters, unprintable ones escaped."""
    cut = text if len(text) <= longest else f"{text[:longest]}…"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)


def quoted(text: str, *, longest: int = 80) -> str:
    """Return `printable` text in single quotes."""
    return f"'{printable(text, longest=longest)}'"


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """Return ``Did you mean 'x'?`` for the closest of ``known``, or "" if none is close.

    A name that is the only one starting with ``wrong`` is the closest.
    """
    import difflib  # only misspelt names need it

    names = list(known)
    near = [name for name in names if len(wrong) >= _MIN_PREFIX and name.startswith(wrong)]
    if len(near) != 1:
        near = difflib.get_close_matches(wrong[:_MAX_COMPARED], names, n=1, cutoff=0.6)
    return f"Did you mean {quoted(near[0])}?" if near else ""


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

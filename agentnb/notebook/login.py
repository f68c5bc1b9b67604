"""``%agent login``: store a typed key in the keyring, or for this session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from agentnb.config import EMBEDDED, config, suggestion
from agentnb.config.environment import is_single_word, key_variable
from agentnb.config.keys import (
    KEYRING_SERVICE,
    PromptUnavailableError,
    configured_key,
    delete_key,
    prompt_for_key,
    store_key,
)
from agentnb.config.names import check_address
from agentnb.config.trust import UntrustedEndpoint
from agentnb.errors import ConfigError, RequestError
from agentnb.notebook.tables import table
from agentnb.platforms import registry

#: Usage of ``%agent login``.
LOGIN_USAGE: Final = "PLATFORM [--forget]"
_FORGET: Final = "--forget"


def login(words: Sequence[str]) -> Any:
    """Execute ``%agent login``.

    Raises:
        ConfigError: there is no such platform.
        RequestError: the platform is missing, input is impossible, or nothing was typed.
    """
    names = [word for word in words if word != _FORGET]
    if len(names) != 1:
        # The surplus is not repeated, because it may be the key.
        more = ", and no key: that is asked for" if names else ""
        raise RequestError(f"%agent login takes {LOGIN_USAGE}{more}.", hint=_platforms())
    name = names[0]
    if name == EMBEDDED:
        raise RequestError("The sandbox needs no login: it makes a key of its own.")
    known = config().platform_names(registry.names())
    if name not in known:
        raise ConfigError(
            "There is no such platform to log in to.", hint=suggestion(name, known) or _platforms()
        )
    return _forget(name) if _FORGET in words else _ask(name)


def _ask(name: str) -> Any:
    endpoint = _checked_endpoint(name)
    try:
        key = prompt_for_key(name, at=endpoint.description if endpoint else None)
    except PromptUnavailableError:
        raise RequestError(
            f"This frontend cannot ask for the key of {name}: nothing can be typed here.",
            hint=endpoint.error().hint if endpoint else _other_ways(name),
        ) from None
    if key is None:
        raise RequestError(
            f"No key was typed for {name}; nothing has changed.",
            hint=f"'%agent login {name}' asks again.",
        )
    if not is_single_word(key):
        raise RequestError(
            f"What was typed for {name} is no key: it has a blank or a control character in it.",
            hint="Type the key alone, without 'Bearer'.",
        )
    kept, reason = store_key(endpoint.key_name if endpoint else name, key)
    where = f"kept in the keyring ({kept})" if kept else "kept for this session only"
    config().set_session_key(name, key, f"%agent login, {where}")
    notes = [] if kept else [f"Not in the keyring: {reason}."]
    if endpoint:
        notes.append(f"It goes to {endpoint.description}, and nowhere else.")
    elif (given := configured_key(name)) is not None:
        notes.append(f"This session uses it; the next one finds the {given[1]} first.")
    return table([{"platform": name, "key": where}], notes=notes)


def _other_ways(name: str) -> str:
    return (
        f"Set {key_variable(name)} in the environment or in .env, or store it in the keyring "
        f"(service '{KEYRING_SERVICE}', user '{name}')."
    )


def _forget(name: str) -> Any:
    was_kept = config().forget_key(name)
    endpoint = config().untrusted_endpoint(name)
    try:
        was_there = delete_key(endpoint.key_name if endpoint else name)
        if was_there:
            found = "removed from the keyring"
        else:
            found = "forgotten; it was in no keyring" if was_kept else "there was none to forget"
    # Backends raise the errors of their libraries.
    except Exception as error:
        raise ConfigError(
            f"The keyring does not let go of the key of {name}: {error}",
            hint="This session has forgotten it.",
        ) from error
    given = None if endpoint else configured_key(name)
    notes = [] if given is None else [f"There still is the {given[1]}."]
    return table([{"platform": name, "key": found}], notes=notes)


def _checked_endpoint(name: str) -> UntrustedEndpoint | None:
    """Return the untrusted endpoint of a platform, None for a trusted one.

    Raises:
        ConfigError: the address is invalid or misleading, or has the name of a platform.
    """
    endpoint = config().untrusted_endpoint(name)
    if endpoint is None:
        return None
    # By variable, because "Seekr" would use the key of seekr.
    if key_variable(name) in map(key_variable, registry.names()):
        raise ConfigError(
            f"{endpoint.file} says where '{name}' is, which is the name of a platform.",
            hint="Give the connection a name of its own there.",
        )
    registry.load(config().platform_type(name))
    if address := config().file.platforms[name].base_url:
        check_address(address, name)
    endpoint.check()
    return endpoint


def _platforms() -> str:
    names = config().platform_names(registry.names())
    return f"Platforms: {', '.join(name for name in names if name != EMBEDDED)}."

"""The effective configuration: files, environment, and what this session set."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, NoReturn

from pydantic import SecretStr

from agentnb._http.options import chosen_transport
from agentnb._http.retry import Retries
from agentnb._http.timeout import Deadlines
from agentnb._support.embedded import connect as embedded_server
from agentnb.config.environment import options_from_environment, url_from_environment
from agentnb.config.files import load_config
from agentnb.config.keys import configured_key, find_key, load_key
from agentnb.config.names import (
    EMBEDDED,
    OPEN_PROTOCOLS,
    AgentName,
    check_address,
    quoted,
    reject_key_options,
    suggestion,
)
from agentnb.config.settings import ConfigFile, KeyUse, PlatformSettings
from agentnb.config.trust import UntrustedEndpoint
from agentnb.errors import ConfigError, MissingKeyError
from agentnb.redaction.secrets import remember_secret

_EMBEDDED_TYPE: Final = "operativus"
_EMBEDDED_AGENT: Final = "finance_agent"  # for examples in hints

# A key and a description of its source.
_Key = tuple[SecretStr, str]


class BarePlatformError(ConfigError):
    """A platform was named without an agent; ``platform`` is its name."""

    def __init__(self, platform: str) -> None:
        example = f", as in '{platform}:{_EMBEDDED_AGENT}'" if platform == EMBEDDED else ""
        super().__init__(
            f"'{platform}' is a platform; name one of its agents.",
            hint=f"Write '{platform}:<agent>'{example}.",
        )
        self.platform = platform


@dataclass(slots=True)
class Config:
    """The configuration of this process.

    ``aliases``, ``default_agent`` and ``default_platform`` override the environment and the files
    for this session.  ``option_agent`` is the default of the magics' option, behind
    ``default_agent``.
    """

    file: ConfigFile = field(default_factory=ConfigFile.model_construct)
    paths: tuple[Path, ...] = ()
    aliases: dict[str, str] = field(default_factory=dict[str, str])
    default_agent: str | None = None
    option_agent: str | None = None
    default_platform: str | None = None
    # By the platform's name or the `UntrustedEndpoint.key_name`: keys of `set_session_key`, and
    # those of the keyring or a prompt, so that the next cell does not prompt again.
    session_keys: dict[str, _Key] = field(default_factory=dict[str, _Key])
    _key_cache: dict[str, _Key] = field(default_factory=dict[str, _Key], init=False)

    def __reduce__(self) -> NoReturn:
        raise TypeError("A Config may hold keys and cannot be pickled.")

    def all_aliases(self) -> dict[str, str]:
        """Return all aliases and their targets.

        A name with a colon is a full name and never an alias.
        """
        aliases = {**self.file.aliases, **self.aliases}
        return {alias: target for alias, target in aliases.items() if ":" not in alias}

    def platform_names(self, builtin: Collection[str]) -> list[str]:
        """Return all platform names in display order."""
        return list(dict.fromkeys([*builtin, *self.file.platforms, EMBEDDED]))

    def is_configured(self, name: str) -> bool:
        """Return whether the platform has a key or an address.

        The keyring is not read, since that may open a dialog.  A key of the sandbox does not count:
        it needs none.
        """
        has_key = name != EMBEDDED and self.key_source(name) is not None
        return bool(has_key or url_from_environment(name) or self.file.section(name).base_url)

    def configured_platforms(self, builtin: Collection[str]) -> list[str]:
        """Return the platforms that the user configured.

        An open protocol counts only where a file has it: OPENAI_API_KEY, for example, is in many
        environments for other programs.
        """
        return [
            name
            for name in self.platform_names(builtin)
            if (name not in OPEN_PROTOCOLS or name in self.file.platforms)
            and self.is_configured(name)
        ]

    def infer_platform(self, builtin: Collection[str]) -> str:
        """Return the platform of an agent named without one.

        It is the default platform, else the only one that `is_configured`, else the sandbox.

        Raises:
            ConfigError: the default is unknown, or several are configured and none is the default.
        """
        default = (
            self.default_platform
            or os.environ.get("AGENTNB_DEFAULT_PLATFORM", "").strip()
            or self.file.default_platform
        )
        if default:
            self._check_platform(default, builtin)
            return default
        configured = self.configured_platforms(builtin)
        if len(configured) > 1:
            names = ", ".join(configured)
            raise ConfigError(
                f"Several platforms are configured ({names}) and none is the default.",
                hint=f"Write {configured[0]}:<agent>, or '%agent use {configured[0]}:<agent>'.",
            )
        return configured[0] if configured else EMBEDDED

    def resolve(self, name: str | None, builtin: Collection[str]) -> AgentName:
        """Return the full name for ``platform:agent``, an alias, an agent, or (empty) the default.

        Raises:
            ConfigError: there is no default, the platform is unknown, or the aliases form a cycle.
        """
        wanted = (
            (name or "").strip()
            or self.default_agent
            or self.option_agent
            or os.environ.get("AGENTNB_DEFAULT_AGENT", "").strip()
            or self.file.default_agent
        )
        if not wanted:
            raise ConfigError(
                "No agent was named and there is no default.",
                hint=f"Write '%%agent {self._example(builtin)}', or choose one with "
                "'%agent use <agent>'.",
            )
        aliases = self.all_aliases()
        origins = self.file.origins
        # A project file redirects neither the default nor an alias of the user's own file.
        is_user_choice = not name and origins.has_user_default and wanted == self.file.default_agent
        followed: list[str] = []
        project_file: Path | None = None
        while wanted in aliases:
            if wanted in followed:
                raise ConfigError(f"The alias {quoted(followed[0])} leads back to itself.")
            path = None if wanted in self.aliases else origins.project_aliases.get(wanted)
            if path is not None and is_user_choice:
                break
            project_file = project_file or path
            is_user_choice = project_file is None
            followed.append(wanted)
            wanted = aliases[wanted].strip()
        platform, colon, agent = wanted.partition(":")
        if not colon:
            platforms = {name.lower(): name for name in (*self.file.platforms, *builtin, EMBEDDED)}
            if wanted.lower() in platforms:
                raise BarePlatformError(platforms[wanted.lower()])
            platform, agent = self.infer_platform(builtin), wanted
        self._check_platform(platform, builtin)
        if not agent:
            raise ConfigError(
                f"{quoted(wanted)} names no agent.", hint=f"Write {platform}:<agent>."
            )
        resolved = AgentName(platform, agent)
        if project_file is None:
            return resolved
        notice = f"{quoted(followed[0])} is {resolved}, by an alias in {project_file}"
        return replace(resolved, notice=notice)

    def _example(self, builtin: Collection[str]) -> str:
        try:
            is_embedded = self.infer_platform(builtin) == EMBEDDED
        except ConfigError:  # several platforms, none the default
            return "<platform>:<agent>"
        return _EMBEDDED_AGENT if is_embedded else "<agent>"

    def _check_platform(self, platform: str, builtin: Collection[str]) -> None:
        # `builtin` last: reading it may scan the installed packages.
        if platform not in (EMBEDDED, *self.file.platforms) and platform not in builtin:
            known = self.platform_names(builtin)
            raise ConfigError(
                f"There is no platform {quoted(platform)}.",
                hint=suggestion(platform, known)
                or f"Known are: {', '.join(known)}; an installed package adds others by an "
                "entry point.",
            )

    def platform_type(self, name: str) -> str:
        """Return the type of platform ``name``, which selects its client."""
        return self.file.section(name).type or (_EMBEDDED_TYPE if name == EMBEDDED else name)

    def deadlines(self, name: str) -> Deadlines:
        """Return the deadlines configured for platform ``name``."""
        section = self.file.section(name)
        names = [deadline.name for deadline in fields(Deadlines)]
        seconds = {name: getattr(section, f"{name}_timeout") for name in names}
        # 0 in a file is None, which TOML does not have.
        return Deadlines(**{k: v or None for k, v in seconds.items() if v is not None})

    def retries(self, name: str) -> Retries:
        """Return the retries configured for platform ``name``."""
        section = self.file.section(name)
        counts = {"requests": section.max_retries, "reconnects": section.max_reconnects}
        limits: dict[str, Any] = {name: n for name, n in counts.items() if n is not None}
        if section.reconnect_timeout is not None:
            limits["reconnect_timeout"] = section.reconnect_timeout or None
        return Retries(**limits)

    def settings(
        self,
        name: str,
        *,
        base_url: str | None = None,
        api_key: str | SecretStr | None = None,
        deadlines: Deadlines | None = None,
        retries: Retries | None = None,
        options: Mapping[str, Any] | None = None,
        ask: bool = True,
        key: KeyUse = "required",
    ) -> PlatformSettings:
        """Return the settings of platform ``name``; arguments override the configuration.

        ``base_url="sandbox"`` is the embedded server, which speaks this platform's API, has its own
        key and is started if needed.  Without ``ask``, a missing key is not prompted for.  ``key``
        is whether the platform needs one; an optional one is not prompted for.

        Raises:
            ConfigError: there is no key (`MissingKeyError`), the address is invalid, or only a
                project file gives it.
        """
        # First, so that a traceback with local variables does not display it.
        api_key = SecretStr(api_key.strip()) if isinstance(api_key, str) else api_key
        kind = self.platform_type(name)
        section = self.file.section(name)
        address = base_url or url_from_environment(name) or section.base_url
        trust_env = section.trust_env is not False
        endpoint = None if base_url else self.untrusted_endpoint(name)
        if address == EMBEDDED or (address is None and name == EMBEDDED):
            address, own_key = embedded_server(EMBEDDED if name == EMBEDDED else kind)
            api_key = api_key or own_key
            trust_env = False  # a proxy could not reach the server, and must not see its key
            endpoint = None
        elif address is not None:
            check_address(address, name)
        reject_key_options(options or {}, name)
        if endpoint is not None or not api_key:  # an empty key is none
            # Even if a key is given, the user must have trusted the endpoint.
            found = self._optional_key(name, endpoint, key, ask=ask)
            api_key = api_key or found
        if api_key is not None:
            remember_secret(api_key)
        if address is not None:
            check_address(address, name)  # again: the key, known now, may be part of it
        return PlatformSettings(
            platform=name,
            base_url=address,
            api_key=api_key,
            deadlines=deadlines or self.deadlines(name),
            retries=retries or self.retries(name),
            trust_env=trust_env,
            transport=chosen_transport(self.file.transport),
            options={**section.options, **options_from_environment(kind), **(options or {})},
        )

    def _optional_key(
        self, name: str, endpoint: UntrustedEndpoint | None, use: KeyUse, *, ask: bool
    ) -> SecretStr | None:
        """Return the key of a platform, None where it needs none and there is none.

        Raises:
            ConfigError: there is no key (`MissingKeyError`), or the endpoint is untrusted.
        """
        if use == "none" and endpoint is None:
            return None
        try:
            return self._find_key(name, endpoint, ask=ask and use == "required")[0]
        except MissingKeyError:
            if use == "required":
                raise
            return None

    def untrusted_endpoint(self, name: str) -> UntrustedEndpoint | None:
        """Return the endpoint of platform ``name`` if only a project file gives it."""
        if url_from_environment(name):
            return None
        return self.file.origins.untrusted_endpoints.get(name)

    def set_session_key(self, name: str, key: SecretStr, source: str) -> None:
        """Use ``key`` for platform ``name`` in this process; only an argument overrides it.

        ``source`` is what `key_source` returns.  For an `untrusted_endpoint`, this trusts the
        endpoint, and the key goes to no other.
        """
        remember_secret(key)
        self.session_keys[self._key_name(name)] = key, source

    def key_source(self, name: str) -> str | None:
        """Return a description of the source of the key of platform ``name``, None without a key.

        The keyring is not read, since that may open a dialog; a key read from it before counts.
        """
        key = self._known_key(name, self.untrusted_endpoint(name))
        return key[1] if key is not None else None

    def locate_key(self, name: str) -> str:
        """Return `key_source`, reading the keyring if necessary.

        Raises:
            ConfigError: there is no key (`MissingKeyError`), or the endpoint is untrusted.
        """
        return self._find_key(name, self.untrusted_endpoint(name), ask=False)[1]

    def forget_key(self, name: str) -> bool:
        """Look up the key of platform ``name`` again the next time it is needed.

        Returns whether `set_session_key` had set one.
        """
        self._key_cache.pop(self._key_name(name), None)
        return self.session_keys.pop(self._key_name(name), None) is not None

    def _key_name(self, name: str) -> str:
        endpoint = self.untrusted_endpoint(name)
        return name if endpoint is None else endpoint.key_name

    def _known_key(self, name: str, endpoint: UntrustedEndpoint | None) -> _Key | None:
        key_name = name if endpoint is None else endpoint.key_name
        configured = configured_key(name) if endpoint is None else None
        return self.session_keys.get(key_name) or configured or self._key_cache.get(key_name)

    def _find_key(self, name: str, endpoint: UntrustedEndpoint | None, *, ask: bool) -> _Key:
        """Return a key and its source; for an untrusted endpoint, one given for exactly this.

        Raises:
            ConfigError: there is none (`MissingKeyError`), or the endpoint is untrusted.
        """
        if endpoint is not None:
            endpoint.check()
        if (key := self._known_key(name, endpoint)) is not None:
            return key
        if endpoint is None:
            key = self._key_cache[name] = find_key(name, ask=ask)
        elif (stored := load_key(endpoint.key_name)) is not None:
            key = self._key_cache[endpoint.key_name] = stored, "keyring"
        else:
            raise endpoint.error()
        return key


_current: Config | None = None


def config(*, reload: bool = False) -> Config:
    """Return the configuration of this process; the first call reads the files.

    ``reload`` reads them again and keeps what the session set, except cached keys.

    Raises:
        ConfigError: a file cannot be read or has an invalid entry.
    """
    global _current
    if _current is None or reload:
        file, paths = load_config()
        _current = replace(_current or Config(), file=file, paths=paths)
    return _current

"""The configuration in force: the files, the environment, and what this session set."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NoReturn

from pydantic import SecretStr

from agentnb._http.library import chosen_transport
from agentnb._http.retry import Retries
from agentnb._http.timeout import Deadlines
from agentnb._support.embedded import connect as embedded_server
from agentnb.config.addresses import url_from_environment
from agentnb.config.files import ConfigFile, PlatformSection, load_config
from agentnb.config.key_leak_checks import check_address, refuse_key_options
from agentnb.config.keyrings import stored_key
from agentnb.config.keys import find_key, given_key
from agentnb.config.names import EMBEDDED, AgentName, quoted, suggestion
from agentnb.config.settings import PlatformSettings
from agentnb.config.trust import Stranger
from agentnb.errors import ConfigError
from agentnb.redaction.secrets import remember_secret

__all__ = ["EMBEDDED", "BarePlatformError", "Config", "config"]

_EMBEDDED_TYPE: Final = "operativus"
# An agent that the sandbox has, for examples.
_EMBEDDED_AGENT: Final = "finance_agent"

# Options that a platform's own tools read from the environment.
_OPTION_VARIABLES: Final = {
    "runagent": {"protocol": "RUNAGENT_PROTOCOL"},
    "seekr": {"team_id": "SEEKR_TEAM_ID"},
}


# There is nothing to validate, and building what validates takes longer than all the rest.
_NO_SECTION: Final = PlatformSection.model_construct()

_Keys = dict[str, tuple[SecretStr, str]]


class BarePlatformError(ConfigError):
    """A platform was named without an agent; ``platform`` is its name."""

    def __init__(self, platform: str) -> None:
        example = f", as in '{platform}:{_EMBEDDED_AGENT}'" if platform == EMBEDDED else ""
        super().__init__(
            f"'{platform}' is a platform, and which of its agents is meant is not said.",
            hint=f"Write '{platform}:<agent>'{example}.",
        )
        self.platform = platform


@dataclass(slots=True)
class Config:
    """What is configured, and what this session changed of it.

    ``aliases``, ``default_agent`` and ``default_platform`` set here win over the environment and
    the files, and last as long as the process.
    """

    file: ConfigFile = field(default_factory=ConfigFile.model_construct)
    paths: tuple[Path, ...] = ()
    aliases: dict[str, str] = field(default_factory=dict[str, str])
    default_agent: str | None = None
    option_agent: str | None = None
    default_platform: str | None = None
    # Keys from the keyring or a prompt, so that nobody is asked again in the next cell, and those
    # of `keep_key`; each with where it came from, by the name of the platform or by the slot of a
    # `Stranger`.
    _keys: _Keys = field(default_factory=dict[str, tuple[SecretStr, str]], init=False)
    _kept: _Keys = field(default_factory=dict[str, tuple[SecretStr, str]], init=False)

    def all_aliases(self) -> dict[str, str]:
        """Return every alias and what it stands for.

        A name with a colon is a full name and never an alias, whatever a file says.
        """
        found = {**self.file.aliases, **self.aliases}
        return {alias: target for alias, target in found.items() if ":" not in alias}

    def __reduce__(self) -> NoReturn:
        raise TypeError("A Config may hold keys and cannot be pickled.")

    def platform_names(self, builtin: Collection[str]) -> list[str]:
        """Return every platform name that can be typed, in the order to show them."""
        return list(dict.fromkeys([*builtin, *self.file.platforms, EMBEDDED]))

    def is_configured(self, name: str) -> bool:
        """Tell whether there is a key or an address of this platform.

        The keyring is not asked: that may open a dialog.
        """
        section = self.file.platforms.get(name)
        # The sandbox is there without being set up; a key that happens to be called like it says
        # nothing.
        has_key = name != EMBEDDED and self.key_source(name) is not None
        return bool(
            has_key or url_from_environment(name) or (section is not None and section.base_url)
        )

    def bare_platform(self, builtin: Collection[str]) -> str:
        """Return the platform of a name without one: the default, the only one, or the sandbox.

        A platform counts as configured by `is_configured`.

        Raises:
            ConfigError: the default is unknown, or several are configured and none is the default.
        """
        chosen = (
            self.default_platform
            or os.environ.get("AGENTNB_DEFAULT_PLATFORM", "").strip()
            or self.file.default_platform
        )
        if chosen:
            return self._known(chosen, builtin)
        configured = [n for n in self.platform_names(builtin) if self.is_configured(n)]
        if len(configured) > 1:
            names = ", ".join(configured)
            raise ConfigError(
                f"Several platforms are configured ({names}) and none is the default.",
                hint=f"Write {configured[0]}:<agent>, or '%agent use {configured[0]}:<agent>'.",
            )
        return configured[0] if configured else EMBEDDED

    def resolve(self, name: str | None, builtin: Collection[str]) -> AgentName:
        """Return the full name of what a user typed: ``platform:agent``, an alias, or an agent.

        Raises:
            ConfigError: nothing was typed and there is no default, the platform is unknown, or the
                aliases run in a circle.
        """
        aliases = self.all_aliases()
        wanted = (name or "").strip()
        if not wanted:
            wanted = (
                self.default_agent
                or self.option_agent
                or os.environ.get("AGENTNB_DEFAULT_AGENT", "").strip()
                or self.file.default_agent
                or ""
            )
        if not wanted:
            raise ConfigError(
                "No agent was named and there is no default.",
                hint=f"Write '%%agent {self._example(builtin)}', or choose one with "
                "'%agent use <agent>'.",
            )
        # The user's own file means this agent by its default or alias; a folder redirects neither.
        is_own = wanted == self.file.default_agent and self.file.has_own_default and not name
        seen: list[str] = []
        folder: Path | None = None
        while wanted in aliases:
            if wanted in seen:
                raise ConfigError(f"The alias {quoted(seen[0])} leads back to itself.")
            by_folder = self.file.folder_aliases.get(wanted) if wanted not in self.aliases else None
            if is_own and by_folder is not None:
                break
            is_own = by_folder is None and folder is None
            folder = folder or by_folder
            seen.append(wanted)
            wanted = aliases[wanted].strip()
        platform, colon, agent = wanted.partition(":")
        if not colon:
            named = {name.lower(): name for name in (*self.file.platforms, *builtin, EMBEDDED)}
            if wanted.lower() in named:
                raise BarePlatformError(named[wanted.lower()])
            platform, agent = self.bare_platform(builtin), wanted
        self._known(platform, builtin)
        if not agent:
            raise ConfigError(
                f"{quoted(wanted)} names no agent.", hint=f"Write {platform}:<agent>."
            )
        found = AgentName(platform, agent)
        if folder is None:
            return found
        return replace(found, notice=f"{quoted(seen[0])} is {found}, by an alias in {folder}")

    def _example(self, builtin: Collection[str]) -> str:
        """Return how to name an agent: one that there is, where that is known."""
        try:
            is_embedded = self.bare_platform(builtin) == EMBEDDED
        except ConfigError:  # several platforms, and none is the default
            return "<platform>:<agent>"
        return _EMBEDDED_AGENT if is_embedded else "<agent>"

    def _known(self, platform: str, builtin: Collection[str]) -> str:
        # Listing all of them means looking through what is installed.
        if platform not in (EMBEDDED, *self.file.platforms) and platform not in builtin:
            known = self.platform_names(builtin)
            raise ConfigError(
                f"There is no platform {quoted(platform)}.",
                hint=suggestion(platform, known) or f"Known are: {', '.join(known)}.",
            )
        return platform

    def platform_type(self, name: str) -> str:
        """Return which implementation serves the platform ``name``."""
        section = self.file.platforms.get(name, _NO_SECTION)
        return section.type or (_EMBEDDED_TYPE if name == EMBEDDED else name)

    def deadlines(self, name: str) -> Deadlines:
        """Return the deadlines that are configured for the platform ``name``."""
        section = self.file.platforms.get(name, _NO_SECTION)
        given = {
            "connect": section.connect_timeout,
            "first_event": section.first_event_timeout,
            "idle": section.idle_timeout,
            "progress": section.progress_timeout,
            "total": section.total_timeout,
        }
        # 0 in a file stands for "none", which TOML cannot say.
        return replace(Deadlines(), **{k: v or None for k, v in given.items() if v is not None})

    def retries(self, name: str) -> Retries:
        """Return how often requests and streams of the platform ``name`` are tried again."""
        section = self.file.platforms.get(name, _NO_SECTION)
        given: dict[str, Any] = {"requests": section.max_retries}
        given["reconnects"] = section.max_reconnects
        found = {k: v for k, v in given.items() if v is not None}
        if section.reconnect_timeout is not None:
            found["reconnect_timeout"] = section.reconnect_timeout or None
        return replace(Retries(), **found)

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
    ) -> PlatformSettings:
        """Return the settings of the platform ``name``; arguments win over what is configured.

        ``base_url="sandbox"`` means the embedded server speaking this platform's API; it is
        started when it is not running, and brings its own key.

        Raises:
            ConfigError: there is no key (`MissingKeyError`), the address is not an address, or only
                a folder's file gives it.
        """
        # At once, so that a traceback that shows local variables does not show it.
        api_key = SecretStr(api_key.strip()) if isinstance(api_key, str) else api_key
        kind = self.platform_type(name)
        section = self.file.platforms.get(name, _NO_SECTION)
        address = base_url or url_from_environment(name) or section.base_url
        trust_env = True if section.trust_env is None else section.trust_env
        stranger = None if base_url else self.stranger(name)
        if address == EMBEDDED or (address is None and name == EMBEDDED):
            address, own_key = embedded_server(EMBEDDED if name == EMBEDDED else kind)
            api_key = api_key or own_key
            # No proxy reaches it, nor is one to see its key.
            trust_env = False
            stranger = None
        elif address is not None:
            check_address(address, name)
        refuse_key_options(options or {}, name)
        from_environment = {
            option: value
            for option, variable in _OPTION_VARIABLES.get(kind, {}).items()
            if (value := os.environ.get(variable, "").strip())
        }
        if stranger is not None:
            # Whichever key is sent: first the address must have been agreed to.
            agreed = self._agreed_key(stranger)
            api_key = api_key or agreed
        # One that is empty is none.
        api_key = api_key or self._find_key(name, ask=ask)
        remember_secret(api_key)
        if address is not None:
            # Again, now that the key is known: it may stand in the path.
            check_address(address, name)
        return PlatformSettings(
            platform=name,
            base_url=address,
            api_key=api_key,
            deadlines=deadlines or self.deadlines(name),
            retries=retries or self.retries(name),
            trust_env=trust_env,
            transport=chosen_transport(self.file.transport),
            options={**section.options, **from_environment, **(options or {})},
        )

    def take_over(self, earlier: Config) -> None:
        """Keep what the session set in ``earlier``."""
        self.aliases = earlier.aliases
        self.default_agent = earlier.default_agent
        self.option_agent = earlier.option_agent
        self.default_platform = earlier.default_platform
        self._kept = earlier._kept

    def stranger(self, name: str) -> Stranger | None:
        """Return what there is to know where only a folder's file says where ``name`` is.

        None where the user's own word counts: the environment's, or that of the user's own file.
        """
        section = self.file.platforms.get(name)
        if section is None or url_from_environment(name):
            return None
        return section.stranger

    def keep_key(self, name: str, key: SecretStr, source: str) -> None:
        """Use ``key`` for the platform ``name`` in this process, before any other but an argument.

        ``source`` is what `key_source` is to say.  Where the address is a `stranger`'s, this agrees
        to it, and the key goes to no other.
        """
        remember_secret(key)
        self._kept[self._slot(name)] = key, source

    def key_source(self, name: str) -> str | None:
        """Return where the key of the platform ``name`` comes from, None where none is known.

        In words that may be shown.  The keyring counts once a key was taken from it: asking it may
        open a dialog.
        """
        slot = self._slot(name)
        given = given_key(name) if slot == name else None
        found = self._kept.get(slot) or given or self._keys.get(slot)
        return found[1] if found is not None else None

    def look_for_key(self, name: str) -> str:
        """Return where the key of the platform ``name`` comes from; asks the keyring, too.

        Raises:
            ConfigError: there is none (`MissingKeyError`), or it would go to a `stranger`'s.
        """
        if (source := self.key_source(name)) is None:
            if (stranger := self.stranger(name)) is not None:
                self._agreed_key(stranger)
                return self._keys[stranger.slot][1]
            return find_key(name, ask=False)[1]
        return source

    def forget_key(self, name: str) -> bool:
        """Look for the key of the platform ``name`` again when it is next needed.

        Returns whether `keep_key` had kept one.
        """
        self._keys.pop(self._slot(name), None)
        return self._kept.pop(self._slot(name), None) is not None

    def _slot(self, name: str) -> str:
        stranger = self.stranger(name)
        return name if stranger is None else stranger.slot

    def _agreed_key(self, stranger: Stranger) -> SecretStr:
        """Return the key that was given for just this address.

        Raises:
            ConfigError: there is none, so that nobody has agreed to the address.
        """
        stranger.check()
        slot = stranger.slot
        if (found := self._kept.get(slot) or self._keys.get(slot)) is None:
            if (stored := stored_key(slot)) is None:
                raise stranger.refusal()
            found = self._keys[slot] = stored, "keyring"
        return found[0]

    def _find_key(self, name: str, *, ask: bool) -> SecretStr:
        found = self._kept.get(name) or given_key(name)
        if found is None:
            if name not in self._keys:
                self._keys[name] = find_key(name, ask=ask)
            found = self._keys[name]
        return found[0]


_current: Config | None = None


def config(*, reload: bool = False) -> Config:
    """Return the configuration of this process; the files are read at the first call.

    ``reload`` reads them again and keeps what the session set; keys are looked for anew.

    Raises:
        ConfigError: a file cannot be read or has a wrong entry.
    """
    global _current
    if _current is None or reload:
        file, paths = load_config()
        fresh = Config(file=file, paths=paths)
        if _current is not None:
            fresh.take_over(_current)
        _current = fresh
    return _current

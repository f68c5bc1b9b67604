"""The configuration files: one of the project, one of the user, merged."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final, cast

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from agentnb._http.library import TransportName
from agentnb.config.keys import key_variable
from agentnb.config.names import EMBEDDED, quoted, suggestion
from agentnb.config.project import PROJECT_FILE, project_folders
from agentnb.config.toml import read_toml
from agentnb.config.trust import Stranger, destination
from agentnb.errors import ConfigError
from agentnb.redaction.secrets import is_secret_name

__all__ = ["ConfigFile", "PlatformSection", "load_config", "user_config_path"]

# A user with a password, where an @ follows; the password itself may contain anything.
_USER_IN_URL: Final = re.compile(r"://[^:/]*:")
_PASSWORD_OPTION: Final = re.compile(r"[?&](ssl)?password=", re.IGNORECASE)

_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Times = Annotated[int, Field(ge=0)]
_Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class PlatformSection(BaseModel):
    """One ``[platforms.NAME]`` table.

    ``type`` names the platform where NAME is the user's own word for it.  Deadlines are in
    seconds, 0 for none; so is ``reconnect_timeout``, see `Retries`.  Any further key
    is an option of the platform itself.  Keys do not belong in a file: an ``api_key`` here is
    refused.
    """

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    type: str | None = None
    base_url: str | None = None
    connect_timeout: _Seconds | None = None
    first_event_timeout: _Seconds | None = None
    idle_timeout: _Seconds | None = None
    progress_timeout: _Seconds | None = None
    total_timeout: _Seconds | None = None
    reconnect_timeout: _Seconds | None = None
    max_retries: _Times | None = None
    max_reconnects: _Times | None = None
    trust_env: bool | None = None

    # Set where only the file of a folder says where this is.
    _stranger: Stranger | None = PrivateAttr(default=None)

    @property
    def goes_anywhere(self) -> bool:
        """Whether this says where the connection is."""
        return bool(self.base_url or self.type)

    @property
    def stranger(self) -> Stranger | None:
        """What there is to know before a key goes there; None where the user's own word counts."""
        return self._stranger

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class HistorySection(BaseModel):
    """The ``[history]`` table: where runs are kept, and whether with their content.

    ``url`` is a path, ``sqlite:///path``, ``postgresql+psycopg://user@host/database``, or ``off``;
    None for a file in the user's data folder.  Without ``store_content`` neither prompts nor
    answers, tool arguments, results or events are kept, only what is counted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    url: str | None = None
    store_content: bool = True


class PriceSection(BaseModel):
    """One ``[prices."MODEL"]`` table: US dollars for a million tokens.

    ``cached`` is for input tokens from the platform's cache; without it they cost as the others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    input: _Dollars
    output: _Dollars
    cached: _Dollars | None = None


class ConfigFile(BaseModel):
    """The content of a configuration file.

    ``transport`` is the library that carries the requests: ``httpx``, or ``aiohttp``, see the extra
    ``fast``; ``AGENTNB_TRANSPORT`` wins over it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    default_agent: str | None = None
    default_platform: str | None = None
    transport: TransportName | None = None
    aliases: dict[str, str] = Field(default_factory=dict[str, str])
    platforms: dict[str, PlatformSection] = Field(default_factory=dict[str, PlatformSection])
    history: HistorySection = Field(default_factory=HistorySection.model_construct)
    prices: dict[str, PriceSection] = Field(default_factory=dict[str, PriceSection])

    # The aliases that only the file of a folder has, each with that file.
    _folder_aliases: dict[str, Path] = PrivateAttr(default_factory=dict[str, Path])

    _has_own_default: bool = PrivateAttr(default=False)

    @property
    def has_own_default(self) -> bool:
        """Whether the default agent is that of the user's own file."""
        return self._has_own_default

    @property
    def folder_aliases(self) -> Mapping[str, Path]:
        """The aliases that only the file of a folder has, each with that file."""
        return self._folder_aliases


def user_config_path() -> Path:
    """Return where the user's own file is looked for, whether or not it exists."""
    import platformdirs

    return platformdirs.user_config_path("agentnb", appauthor=False) / "config.toml"


def load_config(start: Path | None = None) -> tuple[ConfigFile, tuple[Path, ...]]:
    """Return the merged files and the paths that were read, the strongest first.

    Entry by entry, the user's own file wins over that of a folder, which may be somebody else's.
    ``AGENTNB_CONFIG`` names one file to read instead of both.  ``start`` is the folder from which
    ``agentnb.toml`` is looked for upwards, to the root of its project, the working folder by
    default.

    Raises:
        ConfigError: a file cannot be read, is not TOML, or has an unknown or wrong entry.
    """
    if named := os.environ.get("AGENTNB_CONFIG"):
        candidates = [_named_file(named)]
    else:
        candidates = [
            p for p in (user_config_path(), _project_file(start)) if p is not None and _is_there(p)
        ]
    if not candidates:
        # Building what validates takes longer than all the rest, and there is nothing to validate.
        return ConfigFile.model_construct(), ()
    merged: dict[str, Any] = {}
    strangers: list[Stranger] = []
    # What one file will not have stored, the other does not bring back.
    kept: dict[str, Any] = {}
    folder_aliases: dict[str, Path] = {}
    own_default = False
    for path in candidates:
        data = _read(path)
        history = ConfigFile.model_validate(data).history
        if path.name == PROJECT_FILE:
            strangers = _strangers(merged, data, path)
            _refuse_another_store(data, path)
            own: Collection[str] = merged.get("aliases", {})
            theirs: Collection[str] = data.get("aliases", {})
            folder_aliases = {name: path for name in theirs if name not in own}
            if history.url is not None:
                kept["url"] = history.url
        else:
            own_default = path == user_config_path() and "default_agent" in data
        if not history.store_content:
            kept["store_content"] = False
        merged = _merge(data, merged)
    if kept:
        merged = _merge(merged, {"history": kept})
    file = ConfigFile.model_validate(merged)
    file._folder_aliases = folder_aliases  # pyright: ignore[reportPrivateUsage]
    file._has_own_default = own_default  # pyright: ignore[reportPrivateUsage]
    for stranger in strangers:
        file.platforms[stranger.name]._stranger = stranger  # pyright: ignore[reportPrivateUsage]
    return file, tuple(candidates)


def _project_file(start: Path | None) -> Path | None:
    above = (up / PROJECT_FILE for up in project_folders(start))
    return next((p for p in above if _is_there(p)), None)


def _is_there(path: Path) -> bool:
    """Tell whether there is a file to read.

    Raises:
        ConfigError: there is something of that name which is no file, such as a folder or a pipe.
    """
    if path.is_file():
        return True
    if os.path.lexists(path):
        raise ConfigError(f"{path} cannot be read: it is no file.")
    return False


def _named_file(name: str) -> Path:
    with suppress(OSError, RuntimeError, ValueError):  # no such user, or too long for a path
        if (path := Path(name).expanduser()).is_file():
            return path
    raise ConfigError(
        f"AGENTNB_CONFIG names {quoted(name, longest=200)[1:-1]}, which is not a file."
    )


def _read(path: Path) -> dict[str, Any]:
    data = read_toml(path)
    _refuse_keys(data, path)
    try:
        file = ConfigFile.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            hint = suggestion(where, _entries())
            message = f"{path}: there is no entry {quoted(where)}."
            raise ConfigError(message, hint=hint or None) from None
        where = quoted(where)[1:-1]
        raise ConfigError(f"{path}: {where}: {first['msg']}.") from None
    for name, section in file.platforms.items():
        _refuse_misspelt(name, section, path)
    if file.history.url is not None and _holds_password(file.history.url):
        raise ConfigError(
            f"{path} holds a password, in the address in [history]; it does not belong in a file.",
            hint="Put it into the file that PGPASSFILE names, or set AGENTNB_HISTORY.",
        )
    return data


def _holds_password(url: str) -> bool:
    last_at = url.rfind("@")
    return bool(_PASSWORD_OPTION.search(url)) or any(
        user.end() <= last_at for user in _USER_IN_URL.finditer(url)
    )


def _entries() -> list[str]:
    """Return the names of entries that can be misspelt."""
    nested = [f"history.{name}" for name in HistorySection.model_fields]
    return [*ConfigFile.model_fields, *nested]


def _strangers(own: dict[str, Any], data: dict[str, Any], path: Path) -> list[Stranger]:
    """Return the connections of which only ``data``, a folder's file, says where they are.

    Raises:
        ConfigError: it says so of a platform by its own name, or of a connection that the user's
            own file, ``own``, has; their keys would be sent there.
    """
    before = ConfigFile.model_validate(own).platforms
    after = ConfigFile.model_validate(_merge(own, data)).platforms
    taken = {key_variable(name) for name, section in before.items() if section.goes_anywhere}
    found: list[Stranger] = []
    for name in ConfigFile.model_validate(data).platforms:
        section = after[name]
        place = destination(name, section)
        embedded = section.base_url or (name if name == EMBEDDED else None)
        if embedded == EMBEDDED or place == destination(name, before.get(name)):
            continue
        if section.type in (None, name) or key_variable(name) in taken:
            raise ConfigError(
                f"{path} says where {quoted(name)} is,"
                f" and the key of {quoted(name)} would go there.",
                hint="Give the connection a name of its own, with a type and its own key, or put "
                f"the address into {user_config_path()}.",
            )
        found.append(Stranger(name=name, place=place, file=path, own_file=user_config_path()))
    for name, section in ConfigFile.model_validate(data).platforms.items():
        for option, value in section.options.items():
            if "://" in str(value):
                raise ConfigError(
                    f"{path}: the option {quoted(option)} of {quoted(name)} is an address.",
                    hint=f"Put it into {user_config_path()}.",
                )
    return found


def _refuse_another_store(data: dict[str, Any], path: Path) -> None:
    """Refuse to record elsewhere because a folder's file says so; it may ask for less, though."""
    url = ConfigFile.model_validate(data).history.url
    if url is not None and url.strip().lower() != "off":
        raise ConfigError(
            f"{path} gives an address for [history], and prompts and answers would go there.",
            hint=f"Put it into {user_config_path()}, or set AGENTNB_HISTORY.",
        )


def _refuse_misspelt(name: str, section: PlatformSection, path: Path) -> None:
    """Refuse an option that is nearly the name of a setting that all platforms have."""
    import difflib

    for option in section.options:
        if near := difflib.get_close_matches(option, PlatformSection.model_fields, 1, cutoff=0.8):
            raise ConfigError(
                f"{path}: [platforms.{quoted(name)[1:-1]}] has no {quoted(option)}.",
                hint=f"Did you mean '{near[0]}'?",
            )


def _refuse_keys(table: dict[str, Any], path: Path, *parents: str) -> None:
    for name, value in table.items():
        if isinstance(value, dict):
            _refuse_keys(cast("dict[str, Any]", value), path, *parents, name)
        # An alias may be called as it likes: what it holds is the name of an agent.
        elif parents != ("aliases",) and is_secret_name(name):
            table_name = f" in [{quoted('.'.join(parents))[1:-1]}]" if parents else ""
            variable = _variable(parents)
            raise ConfigError(
                f"{path} holds a key, {quoted(name)}{table_name}; keys do not belong in a file.",
                hint=f"Set the environment variable {variable}, or use a keyring.",
            )


def _variable(parents: tuple[str, ...]) -> str:
    if parents == ("history",):
        return "AGENTNB_HISTORY"
    return key_variable(parents[1]) if len(parents) > 1 else "<PLATFORM>_API_KEY"


def _merge(weak: dict[str, Any], strong: dict[str, Any]) -> dict[str, Any]:
    result = dict(weak)
    for key, value in strong.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            value = _merge(cast("dict[str, Any]", old), cast("dict[str, Any]", value))
        result[key] = value
    return result

"""Reading and merging of the user's ``config.toml`` and a project's ``agentnb.toml``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final, cast

from pydantic import ValidationError

from agentnb.config.environment import PROJECT_FILE, key_variable, project_folders, user_config_path
from agentnb.config.names import EMBEDDED, printable, quoted, suggestion
from agentnb.config.settings import ConfigFile, HistorySection, Origins, PlatformSection
from agentnb.config.trust import UntrustedEndpoint
from agentnb.errors import ConfigError
from agentnb.redaction.secrets import is_secret_name

# A user name with a password if an @ follows; the password may contain any character.
_USER_IN_URL: Final = re.compile(r"://[^:/]*:")
_PASSWORD_OPTION: Final = re.compile(r"[?&](ssl)?password=", re.IGNORECASE)


def load_config(start: Path | None = None) -> tuple[ConfigFile, tuple[Path, ...]]:
    """Return the merged configuration and the files read, the one with precedence first.

    Each entry of the user's file overrides that of the project file, which may come from someone
    else.  ``AGENTNB_CONFIG`` names one file to read instead.  The project file is searched from
    ``start`` (default: the working folder) up to the project's root.

    Raises:
        ConfigError: a file cannot be read, is not TOML, or has an unknown or invalid entry.
    """
    paths = _config_paths(start)
    if not paths:
        return ConfigFile.model_construct(), ()  # building the validator is slow
    merged: dict[str, Any] = {}
    origins = Origins()
    # What one file excludes from the history, the other cannot include.
    restrictions: dict[str, Any] = {}
    for path in paths:
        data, file = _read(path)
        if path.name == PROJECT_FILE:
            _check_project_file(file, path)
            user_aliases: Mapping[str, str] = merged.get("aliases", {})
            origins = replace(
                origins,
                project_aliases={name: path for name in file.aliases if name not in user_aliases},
                untrusted_endpoints=_untrusted_endpoints(merged, data, path),
            )
            if file.history.url is not None:
                restrictions["url"] = file.history.url
        elif path == user_config_path() and "default_agent" in data:
            origins = replace(origins, has_user_default=True)
        if not file.history.store_content:
            restrictions["store_content"] = False
        merged = _merge(data, merged)
    if restrictions:
        merged = _merge(merged, {"history": restrictions})
    file = ConfigFile.model_validate(merged)
    file._origins = origins  # pyright: ignore[reportPrivateUsage]
    return file, tuple(paths)


def _config_paths(start: Path | None) -> list[Path]:
    if named := os.environ.get("AGENTNB_CONFIG"):
        return [_named_file(named)]
    project_files = (folder / PROJECT_FILE for folder in project_folders(start))
    return [*filter(_is_file, [user_config_path()]), *islice(filter(_is_file, project_files), 1)]


def _is_file(path: Path) -> bool:
    """Return whether the file exists.

    Raises:
        ConfigError: it is something else, such as a folder or a pipe.
    """
    if not path.is_file() and os.path.lexists(path):
        raise ConfigError(f"{path} cannot be read: it is not a file.")
    return path.is_file()


def _named_file(name: str) -> Path:
    with suppress(OSError, RuntimeError, ValueError):  # no such user, or too long for a path
        if (path := Path(name).expanduser()).is_file():
            return path
    raise ConfigError(f"AGENTNB_CONFIG names {printable(name, longest=200)}, which is not a file.")


def _read(path: Path) -> tuple[dict[str, Any], ConfigFile]:
    """Return the content of a file, as it is and validated."""
    import difflib  # only processes with a configuration file need it

    data = read_toml(path)
    _reject_keys(data, path)
    try:
        file = ConfigFile.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        entry = ".".join(str(part) for part in first["loc"])
        if first["type"] != "extra_forbidden":
            raise ConfigError(f"{path}: {printable(entry)}: {first['msg']}.") from None
        known = [*ConfigFile.model_fields, *(f"history.{f}" for f in HistorySection.model_fields)]
        hint = suggestion(entry, known)
        raise ConfigError(
            f"{path}: there is no entry {quoted(entry)}.", hint=hint or None
        ) from None
    for name, section in file.platforms.items():
        for option in section.options:
            if near := difflib.get_close_matches(option, PlatformSection.model_fields, 1, 0.8):
                raise ConfigError(
                    f"{path}: [platforms.{printable(name)}] has no {quoted(option)}.",
                    hint=f"Did you mean '{near[0]}'?",
                )
    if file.history.url is not None and _has_password(file.history.url):
        raise ConfigError(
            f"{path} holds a password, in the address in [history]; it does not belong in a file.",
            hint="Put it into the file that PGPASSFILE names, or set AGENTNB_HISTORY.",
        )
    return data, file


def _has_password(url: str) -> bool:
    last_at = url.rfind("@")
    return bool(_PASSWORD_OPTION.search(url)) or any(
        user.end() <= last_at for user in _USER_IN_URL.finditer(url)
    )


def _check_project_file(file: ConfigFile, path: Path) -> None:
    """Check that a project file names no address in an option or for the history.

    It may only turn the history off.
    """
    for name, section in file.platforms.items():
        for option, value in section.options.items():
            if "://" in str(value):
                raise ConfigError(
                    f"{path}: the option {quoted(option)} of {quoted(name)} is an address.",
                    hint=f"Put it into {user_config_path()}.",
                )
    url = file.history.url
    if url is not None and url.strip().lower() != "off":
        raise ConfigError(
            f"{path} gives an address for [history], and prompts and answers would go there.",
            hint=f"Put it into {user_config_path()}, or set AGENTNB_HISTORY.",
        )


def _untrusted_endpoints(
    user_data: dict[str, Any], project_data: dict[str, Any], path: Path
) -> dict[str, UntrustedEndpoint]:
    """Return the connections whose endpoint only the project file names.

    Raises:
        ConfigError: the project file moves a platform, or a connection in the user's file, so that
            its key would be sent elsewhere.
    """
    user = ConfigFile.model_validate(user_data)
    merged = ConfigFile.model_validate(_merge(user_data, project_data))
    taken = {key_variable(n) for n, s in user.platforms.items() if s.base_url or s.type}
    endpoints: dict[str, UntrustedEndpoint] = {}
    for name in project_data.get("platforms", {}):
        section = merged.section(name)
        target = section.target(name)
        is_embedded = (section.base_url or name) == EMBEDDED
        if is_embedded or target == user.section(name).target(name):
            continue
        if section.type in (None, name) or key_variable(name) in taken:
            raise ConfigError(
                f"{path} says where {quoted(name)} is,"
                f" and the key of {quoted(name)} would go there.",
                hint="Give the connection a name of its own, with a type and its own key, or put "
                f"the address into {user_config_path()}.",
            )
        endpoints[name] = UntrustedEndpoint(name, target, path, user_config_path())
    return endpoints


def _reject_keys(table: dict[str, Any], path: Path, *parents: str) -> None:
    for name, value in table.items():
        if isinstance(value, dict):
            _reject_keys(cast("dict[str, Any]", value), path, *parents, name)
        # An alias may have any name: its value is the name of an agent.
        elif parents != ("aliases",) and is_secret_name(name):
            table_name = f" in [{printable('.'.join(parents))}]" if parents else ""
            variable = key_variable(parents[1]) if len(parents) > 1 else "<PLATFORM>_API_KEY"
            if parents == ("history",):
                variable = "AGENTNB_HISTORY"
            raise ConfigError(
                f"{path} holds a key, {quoted(name)}{table_name}; keys do not belong in a file.",
                hint=f"Set the environment variable {variable}, or use a keyring.",
            )


def _merge(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in override.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            value = _merge(cast("dict[str, Any]", old), cast("dict[str, Any]", value))
        result[key] = value
    return result


# Far above any real configuration; a hostile file is rejected in milliseconds.
_MAX_BYTES: Final = 128 * 1024
_MAX_DEPTH: Final = 16
_MAX_ENTRIES: Final = 4_000
_MAX_NAME: Final = 256
_MAX_INTEGER: Final = 2**63
_TOO_DEEP: Final = f"it is nested in more than {_MAX_DEPTH} levels"
# tomllib takes quadratic time for a dotted key, so its dots are counted first, outside of strings
# and comments.  Both patterns run in linear time.
_STRINGS_AND_COMMENTS: Final = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:""")?|"(?:[^"\\\n]|\\.)*+"?'
    r"|'''(?:[^']|'(?!''))*+(?:''')?|'[^'\n]*+'?|#[^\n]*+",
    re.DOTALL,
)
_DEEP_KEY: Final = re.compile(
    rf"(?<![\w \t-])[ \t]*+(?:[\w-]*+[ \t]*+\.[ \t]*+){{{_MAX_DEPTH}}}", re.ASCII
)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file.

    Raises:
        ConfigError: the file cannot be read, is not TOML, is larger than 128 KiB, or exceeds a
            limit of `_check_limits`.
    """
    import tomllib  # only processes with a configuration file need it

    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES:,} bytes")
        text = content.decode("utf-8").replace("\r\n", "\n")
        if _DEEP_KEY.search(_STRINGS_AND_COMMENTS.sub("", text)):
            raise ValueError(_TOO_DEEP)
        data = tomllib.loads(text)
        _check_limits(data)
    except RecursionError:
        raise ConfigError(f"{path} cannot be read: {_TOO_DEEP}.") from None
    except (OSError, ValueError) as error:
        reason = printable(str(error), longest=200).rstrip(".")
        raise ConfigError(f"{path} cannot be read: {reason}.") from error
    return data


def _check_limits(data: dict[str, Any]) -> None:
    """Check the depth, the number of entries, the length of names and the size of integers.

    Raises:
        ValueError: a limit is exceeded.
    """
    entries = 0
    stack: list[tuple[int, Any]] = [(0, data)]
    while stack:
        depth, value = stack.pop()
        if isinstance(value, dict | list):
            container = cast("dict[str, Any] | list[Any]", value)
            entries += len(container)
            if depth > _MAX_DEPTH:
                raise ValueError(_TOO_DEEP)
            if entries > _MAX_ENTRIES:
                raise ValueError(f"it has more than {_MAX_ENTRIES:,} entries")
            if isinstance(container, dict) and any(len(name) > _MAX_NAME for name in container):
                raise ValueError(f"a name has more than {_MAX_NAME} characters")
            values = container.values() if isinstance(container, dict) else container
            stack += [(depth + 1, each) for each in values]
        elif isinstance(value, int) and abs(value) > _MAX_INTEGER:
            raise ValueError("an integer has more than 64 bits")

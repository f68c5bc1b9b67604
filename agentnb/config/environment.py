"""Folders of configuration files, environment variables, and keys from a project's ``.env``.

A ``.env`` may come from someone else together with its folder.  Its key may decide which account is
used, so the source of a key is always reported; it cannot decide where the user's own keys are
sent, so no address is read from it.  The file and the environment do not mix: nothing is exported
from the file, and no variable is interpolated into it.
"""

from __future__ import annotations

import io
import os
import stat
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import Final

from pydantic import SecretStr

PROJECT_FILE: Final = "agentnb.toml"
_ROOT_MARKERS: Final = (".git", PROJECT_FILE, "pyproject.toml")
# Variables of the platforms' own tools.
_URL_VARIABLES: Final = {"runtools": "RUNTOOLS_API_URL"}
_OPTION_VARIABLES: Final = {
    "runagent": {"protocol": "RUNAGENT_PROTOCOL"},
    "seekr": {"team_id": "SEEKR_TEAM_ID"},
}

# Far above any real .env; parsing a larger one takes seconds.
_MAX_BYTES: Final = 128 * 1024
_MAX_LINES: Final = 2_000


def user_config_path() -> Path:
    """Return the path of the user's ``config.toml``, whether or not it exists."""
    import platformdirs

    return platformdirs.user_config_path("agentnb", appauthor=False) / "config.toml"


def project_folders(start: Path | None = None) -> Sequence[Path]:
    """Return the folders from ``start`` (default: the working folder) up to the project's root.

    The root is the first folder with ``.git``, ``agentnb.toml`` or ``pyproject.toml``; outside of a
    project it is the working folder.  The search stops below a folder that every user may write to,
    such as ``/tmp``, and below one whose owner is neither that of the working folder, nor the user,
    nor root.
    """
    try:
        folder = (start or Path.cwd()).resolve()
        owners = {folder.stat().st_uid, 0}
    except OSError:  # the working folder was deleted
        return ()
    if hasattr(os, "geteuid"):
        owners.add(os.geteuid())
    safe = list(takewhile(lambda path: _is_safe(path, owners), (folder, *folder.parents)))
    roots = (n for n, path in enumerate(safe) for mark in _ROOT_MARKERS if (path / mark).exists())
    return safe[: next(roots, 0) + 1]


def _is_safe(folder: Path, owners: set[int]) -> bool:
    try:
        status = folder.stat()
    except OSError:
        return False
    # The sticky bit marks a shared folder; a file system without permissions reports all writable.
    is_shared = status.st_mode & stat.S_IWOTH and status.st_mode & stat.S_ISVTX
    return status.st_uid in owners and not is_shared


def key_variable(name: str) -> str:
    """Return the environment variable of the API key of platform ``name``."""
    return "".join(c if c.isalnum() else "_" for c in name.upper()) + "_API_KEY"


def base_url_variable(name: str) -> str:
    """Return the environment variable of the address of platform ``name``."""
    return key_variable(name).removesuffix("_API_KEY") + "_BASE_URL"


def url_from_environment(name: str) -> str | None:
    """Return the address of platform ``name`` from the environment."""
    variables = (base_url_variable(name), _URL_VARIABLES.get(name, ""))
    return next(filter(None, (os.environ.get(v, "").strip() for v in variables)), None)


def options_from_environment(platform_type: str) -> dict[str, str]:
    """Return the platform options set in the environment."""
    variables = _OPTION_VARIABLES.get(platform_type, {})
    values = {option: os.environ.get(name, "").strip() for option, name in variables.items()}
    return {option: value for option, value in values.items() if value}


def env_file(start: Path | None = None) -> Path | None:
    """Return the nearest ``.env`` in `project_folders`, None if there is none."""
    paths = (folder / ".env" for folder in project_folders(start))
    return next((path for path in paths if path.is_file()), None)  # a virtualenv may be named .env


def env_file_key(path: Path, variable: str) -> SecretStr | None:
    """Return the key ``variable`` in the file; warn if it is not a single word.

    The key is not registered for redaction until it is used: otherwise a file could have arbitrary
    words redacted by calling them keys.
    """
    key = read_env_keys(path).get(variable)
    if key is None or is_single_word(key):
        return key
    warnings.warn(
        f"{variable} in {path} is not a key: it contains a space or a control character.",
        stacklevel=2,
    )
    return None


def is_single_word(key: SecretStr) -> bool:
    """Return whether the key has neither whitespace nor control characters."""
    return all(c.isprintable() and not c.isspace() for c in key.get_secret_value())


def read_env_keys(path: Path) -> Mapping[str, SecretStr]:
    """Return the ``..._API_KEY`` variables of the file; warn if it cannot be read."""
    try:
        status = path.stat()
        return _cached_keys(path, status.st_mtime_ns, status.st_size)
    except (OSError, ValueError) as error:
        # The message of a UnicodeDecodeError holds at most one byte of the file.
        warnings.warn(f"{path} could not be read: {error}", stacklevel=2)
        return {}


@lru_cache(maxsize=1)
def _cached_keys(path: Path, _modified: int, _size: int) -> Mapping[str, SecretStr]:
    variables = _read_variables(path)
    return {k: SecretStr(value) for k, value in variables.items() if k.endswith("_API_KEY")}


def _read_variables(path: Path) -> dict[str, str]:
    """Return the variables of the file that have a value.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is too large or not UTF-8.
    """
    from dotenv import dotenv_values

    with path.open("rb") as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES or content.count(b"\n") + content.count(b"\r") > _MAX_LINES:
        raise ValueError(f"it has more than {_MAX_BYTES:,} bytes or {_MAX_LINES:,} lines")
    # Not interpolated: a key "${OTHER_SECRET}" would send that secret to the platform.
    values = dotenv_values(stream=io.StringIO(content.decode("utf-8-sig")), interpolate=False)
    return {name: value.strip() for name, value in values.items() if value and value.strip()}


def explain_ignored_address(name: str) -> str | None:
    """Return a sentence about an address of platform ``name`` in ``.env``, which is not used.

    None if there is no such address, or if the environment sets one.
    """
    if url_from_environment(name) or (path := env_file()) is None:
        return None
    try:
        present = _read_variables(path)
    except (OSError, ValueError):
        return None
    for variable in (base_url_variable(name), _URL_VARIABLES.get(name)):
        if variable in present:
            return (
                f"{variable} in {path} is not used: .env may only hold keys. Set it in the "
                f"environment, or base_url in {user_config_path()}."
            )
    return None

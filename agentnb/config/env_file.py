"""Keys from the ``.env`` of a project: keys alone, never an address.

The file may have come with its folder, from somebody else.  Its key can decide whose account
answers, so whoever asks is told where a key came from; it cannot decide where the user's own keys
are sent.  Nothing of it is put into the environment, and nothing of the environment into it.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from agentnb.config.project import project_folders

__all__ = ["env_file", "is_one_word", "key_in", "keys_of", "variables_in"]

_NAME: Final = ".env"
_KEY: Final = "_API_KEY"
# Limits of a file, far above what anybody has: reading a longer one takes seconds.
_MAX_BYTES: Final = 128 * 1024
_MAX_LINES: Final = 2_000

# The file read last, as it was then: path, time of change and size.
_read: tuple[tuple[Path, int, int], Mapping[str, SecretStr]] | None = None


def env_file(start: Path | None = None) -> Path | None:
    """Return the ``.env`` that counts, None where there is none.

    It is the nearest one from the working folder (or ``start``) upwards to the root of the project,
    see `project_folders`.  Outside of a project it is that of the working folder alone.
    """
    candidates = (up / _NAME for up in project_folders(start))
    # A virtual environment may be called so, too.
    return next((path for path in candidates if path.is_file()), None)


def key_in(path: Path, variable: str) -> SecretStr | None:
    """Return the key that the file gives under ``variable``; what has a blank in it is none.

    It is no known secret yet: as such it would be taken out of every text, so that a file could
    have any words taken out that it calls a key.
    """
    found = keys_of(path).get(variable)
    if found is None or is_one_word(found):
        return found
    warnings.warn(
        f"{variable} in {path} is no key: it has a blank or a control character in it.",
        stacklevel=2,
    )
    return None


def is_one_word(key: SecretStr) -> bool:
    """Tell whether what was typed or written for a key has no blank or control character in it."""
    return all(c.isprintable() and not c.isspace() for c in key.get_secret_value())


def keys_of(path: Path) -> Mapping[str, SecretStr]:
    """Return the keys in the file: variables called ``..._API_KEY``, as they stand there."""
    global _read
    try:
        about = path.stat()
        stamp = (path, about.st_mtime_ns, about.st_size)
        if _read is not None and _read[0] == stamp:
            return _read[1]
        text = _text_of(path)
    except (OSError, ValueError) as error:
        # The words of a UnicodeDecodeError hold no more than one byte of it.
        warnings.warn(f"{path} could not be read: {error}", stacklevel=2)
        return {}
    found = _keys_in(text)
    _read = stamp, found
    return found


def variables_in(path: Path) -> frozenset[str]:
    """Return the names of all variables with a value in the file; none where it cannot be read."""
    from dotenv import dotenv_values

    try:
        text = _text_of(path)
    except (OSError, ValueError):
        return frozenset()
    values = dotenv_values(stream=io.StringIO(text), interpolate=False)
    return frozenset(name for name, value in values.items() if value and value.strip())


def _text_of(path: Path) -> str:
    """Return the text of the file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is too long, or no UTF-8.
    """
    with path.open("rb") as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES or content.count(b"\n") + content.count(b"\r") > _MAX_LINES:
        raise ValueError(f"it has more than {_MAX_BYTES:,} bytes or {_MAX_LINES:,} lines")
    return content.decode("utf-8-sig")


def _keys_in(text: str) -> dict[str, SecretStr]:
    from dotenv import dotenv_values

    # Not interpolated: a key "${OTHER_SECRET}" would send that secret to the platform.
    values = dotenv_values(stream=io.StringIO(text), interpolate=False)
    return {
        name: SecretStr(value.strip())
        for name, value in values.items()
        if name.endswith(_KEY) and value and value.strip()
    }

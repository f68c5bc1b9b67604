"""Reading TOML that somebody else may have written: bounded in bytes, depth and time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, cast

from agentnb.config.names import quoted
from agentnb.errors import ConfigError

__all__ = ["read_toml"]

# Limits of a file, far above what anybody configures: a hostile one is refused in milliseconds.
_MAX_BYTES: Final = 128 * 1024
_MAX_DEPTH: Final = 16
_MAX_ENTRIES: Final = 4_000
_MAX_NAME: Final = 256
_MAX_INTEGER: Final = 2**63
_TOO_DEEP: Final = f"it is nested in more than {_MAX_DEPTH} levels"
# The standard library reads a dotted key in the square of its length, so its dots are counted
# first, without strings and comments.  No pattern looks at a character more than a few times.
_NO_KEYS: Final = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:""")?|"(?:[^"\\\n]|\\.)*+"?'
    r"|'''(?:[^']|'(?!''))*+(?:''')?|'[^'\n]*+'?|#[^\n]*+",
    re.DOTALL,
)
_DOTTED: Final = re.compile(
    rf"(?<![\w \t-])[ \t]*+(?:[\w-]*+[ \t]*+\.[ \t]*+){{{_MAX_DEPTH}}}", re.ASCII
)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a file.

    Raises:
        ConfigError: the file cannot be read, is not TOML, is larger than 128 KiB, or exceeds a
            limit of `_check_limits`.
    """
    # Imported here: most processes have no configuration file to wait for.
    import tomllib

    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ConfigError(f"{path} cannot be read: it is larger than {_MAX_BYTES:,} bytes.")
        text = content.decode("utf-8").replace("\r\n", "\n")
        if _DOTTED.search(_NO_KEYS.sub("", text)):
            raise ConfigError(f"{path} cannot be read: {_TOO_DEEP}.")
        data = tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{path} cannot be read: {_TOO_DEEP}.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {_one_line(error)}.") from error
    except ValueError as error:
        # Python refuses to read an integer of more than 4,300 digits.
        raise ConfigError(f"{path} cannot be read: {_one_line(error)}.") from None
    _check_limits(data, path)
    return data


def _one_line(error: Exception) -> str:
    return quoted(str(error), longest=200)[1:-1].rstrip(".")


def _check_limits(data: dict[str, Any], path: Path) -> None:
    """Refuse what no configuration has, and what would take long or fail later.

    Raises:
        ConfigError: values are nested too deeply, there are too many entries, a name is too long,
            or an integer has more than 64 bits.
    """
    entries = 0
    waiting: list[tuple[int, Any]] = [(0, data)]
    while waiting:
        depth, value = waiting.pop()
        problem = None
        if isinstance(value, dict | list):
            inner = cast("dict[str, Any] | list[Any]", value)
            entries += len(inner)
            if depth > _MAX_DEPTH:
                problem = _TOO_DEEP
            elif entries > _MAX_ENTRIES:
                problem = f"it has more than {_MAX_ENTRIES:,} entries"
            elif isinstance(inner, dict) and any(len(name) > _MAX_NAME for name in inner):
                problem = f"a name has more than {_MAX_NAME} characters"
            values = inner.values() if isinstance(inner, dict) else inner
            waiting += [(depth + 1, each) for each in values]
        elif isinstance(value, int) and abs(value) > _MAX_INTEGER:
            problem = "an integer has more than 64 bits"
        if problem is not None:
            raise ConfigError(f"{path} cannot be read: {problem}.")

"""Reader for TOML files from untrusted sources, bounded in bytes, depth and time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, cast

from agentnb.config.names import printable
from agentnb.errors import ConfigError

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

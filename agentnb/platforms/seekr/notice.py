"""What the platform says about endpoints that will go away."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from agentnb.platforms._wire import one_line

__all__ = ["DeprecationNotice", "PlatformDeprecationWarning"]


_LINK: Final = re.compile(r'<([^>]+)>[^,]*rel="?(?:deprecation|sunset)')


class PlatformDeprecationWarning(FutureWarning):
    """A platform announced that an endpoint in use will stop working."""


class DeprecationNotice:
    """Warns once about answers with a ``Deprecation`` or ``Sunset`` header.

    Both are standard (RFC 9745, RFC 8594): a date, in the one as ``@`` and epoch seconds, in the
    other as an HTTP date; older servers send ``true``.
    """

    def __init__(self, platform: str) -> None:
        self._platform = platform
        self._said = False

    def look(self, headers: Mapping[str, str], path: str) -> None:
        """Look at one answer's headers (case-insensitive)."""
        deprecation, sunset = headers.get("deprecation"), headers.get("sunset")
        if self._said or not (deprecation or sunset) or (deprecation == "false" and not sunset):
            return
        self._said = True
        message = f"{self._platform} says that {path} is deprecated"
        if deprecation and (since := _date(deprecation)):
            message += f" since {since}"
        if sunset:
            message += f" and will stop working on {_date(sunset) or one_line(sunset)}"
        if link := re.search(
            r'<([^>]+)>[^,]*rel="?(?:deprecation|sunset)', headers.get("link", "")
        ):
            message += f" (see {one_line(link.group(1))})"
        warnings.warn(f"{message}.", PlatformDeprecationWarning, stacklevel=2)


def _date(value: str) -> str | None:
    try:
        if value.startswith("@"):
            return datetime.fromtimestamp(int(value[1:]), UTC).date().isoformat()
        return parsedate_to_datetime(value).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return None

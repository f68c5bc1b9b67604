"""What a platform is constructed with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from pydantic import SecretStr

from agentnb._http.library import TransportName
from agentnb._http.retry import Retries
from agentnb._http.timeout import Deadlines

__all__ = ["PlatformSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformSettings:
    """Where a platform is and how to speak to it.

    ``base_url`` None means the platform's own default.  ``options`` are the platform's own
    settings (a team id, an authorization scheme); each platform documents and checks its own.
    ``trust_env`` lets the HTTP client read proxy settings from the environment; ``transport`` is
    the library that it is to use, where the environment names none.  It holds a key, so
    it is neither pickled nor copied; `dataclasses.replace` makes another.
    """

    platform: str
    base_url: str | None = None
    api_key: SecretStr | None = None
    deadlines: Deadlines = field(default_factory=Deadlines)
    retries: Retries = field(default_factory=Retries)
    trust_env: bool = True
    transport: TransportName = "httpx"
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __reduce__(self) -> NoReturn:
        raise TypeError("PlatformSettings hold a key and cannot be pickled.")

"""Make a platform's HTTP client from its settings."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import SecretStr

from agentnb._http import ErrorParser, HttpClient
from agentnb.platforms._bodies import parse_error_body
from agentnb.platforms.base import PlatformSettings
from agentnb.sse import DEFAULT_MAX_EVENT_BYTES

__all__ = ["http_client", "key_header"]


def key_header(
    settings: PlatformSettings, *, name: str = "Authorization", scheme: str = "Bearer"
) -> dict[str, SecretStr]:
    """Return the header with the API key; {} where there is no key.

    With an empty ``scheme`` the value is the key alone.
    """
    if settings.api_key is None:
        return {}
    key = settings.api_key.get_secret_value().strip()
    return {name: SecretStr(f"{scheme} {key}" if scheme else key)}


def http_client(
    settings: PlatformSettings,
    *,
    base_url: str,
    headers: Mapping[str, str | SecretStr],
    parse_error: ErrorParser = parse_error_body,
    max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
) -> HttpClient:
    """Return the client of a platform; ``base_url`` is the default of the settings' own."""
    return HttpClient(
        settings.base_url or base_url,
        name=settings.platform,
        headers=headers,
        deadlines=settings.deadlines,
        retries=settings.retries,
        trust_env=settings.trust_env,
        transport=settings.transport,
        parse_error=parse_error,
        max_event_bytes=max_event_bytes,
    )

"""The one redirect that is followed: to the same address with or without a slash at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import httpx

__all__ = ["slash_redirect"]

# These keep the method and the body of any request.
_KEEPING: Final = frozenset({307, 308})
# These turn other requests than a GET into one, or leave that open.
_READING: Final = frozenset({301, 302, 303})


def slash_redirect(
    request: httpx.Request, *, status: int, headers: Mapping[str, str]
) -> httpx.Request | None:
    """Return the request that a redirect asks for; None where it is not to be followed.

    Frameworks send requests to the same path with a slash at its end, or without it.  Nothing else
    may differ: no scheme, host, port, user, other path, query or fragment.  The address is built
    here and only compared with the one that the server gave.
    """
    if status not in _KEEPING and not (status in _READING and request.method == "GET"):
        return None
    path, mark, query = request.url.raw_path.partition(b"?")
    other = path[:-1] if path.endswith(b"/") else path + b"/"
    if not other:
        return None
    url = request.url.copy_with(raw_path=other + mark + query)
    try:
        target = request.url.join(headers.get("location", ""))
    except (httpx.InvalidURL, ValueError):
        return None
    if target != url:
        return None
    return httpx.Request(
        request.method,
        url,
        headers=request.headers,
        content=request.content,
        extensions=request.extensions,
    )

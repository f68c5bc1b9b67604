"""Validation and encoding of addresses, headers and bodies before anything is sent."""

from __future__ import annotations

import ipaddress
import json
import re
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

from agentnb.errors import ConfigError, RequestError, UnencryptedWarning

if TYPE_CHECKING:
    from pydantic import SecretStr

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_warned: set[str] = set()


def quote_segment(segment: str) -> str:
    """Return ``segment`` percent-encoded for use as one segment of a path.

    Raises:
        RequestError: it is empty, or one of the dot segments that would climb the path.
    """
    if segment in ("", ".", ".."):
        raise RequestError(f"{segment!r} cannot stand in an address.")
    try:
        return quote(segment, safe="")
    except UnicodeEncodeError as error:
        raise RequestError(f"{segment!r} is not valid Unicode.") from error


def proxy_for(address: str) -> str | None:
    """Return the proxy of the environment, or of the system, for ``address``; None for none."""
    parts, proxies = urlsplit(address), getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.hostname or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def check_base_url(base_url: str, *, name: str) -> str:
    """Return ``base_url`` without a slash at its end.

    Raises:
        ConfigError: it is no http or https address, or has a user, a query or a fragment, from
            which a key would get into logs.
    """
    problem = None
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        problem = "is not an address"
    else:
        if parts.scheme not in ("http", "https") or not host:
            problem = "is not an http or https address"
        elif parts.username is not None or parts.password is not None:
            problem = "carries a user name or a password"
        elif parts.query or parts.fragment:
            problem = "carries a query or a fragment"
        elif re.search(r"[\x00-\x20\x7f\\]", base_url):
            problem = "has a blank, a control character or a backslash in it"
    if problem is not None:
        # The address may hold a key, so it is not repeated.
        raise ConfigError(
            f"The base_url of {name} {problem}.", hint="Give it as in https://api.example.com."
        )
    return base_url.rstrip("/")


def warn_if_unencrypted(base_url: str, *, name: str) -> None:
    """Warn about http:// to another machine, once for each host."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if parts.scheme != "http" or _is_loopback(host) or host in _warned:
        return
    _warned.add(host)
    where = host if parts.port is None else f"{host}:{parts.port}"
    # Without a source line: the user's is unknown here, and one of this package is no help.
    warnings.warn_explicit(
        f"{name} is reached over http://{where}: anyone on the network path can read the "
        "questions, the answers and the key. Use https://.",
        UnencryptedWarning,
        filename="<agentnb>",
        lineno=1,
        module="agentnb",
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def encode_headers(
    defaults: Mapping[str, str], *layers: Mapping[str, str | SecretStr] | None
) -> list[tuple[bytes, bytes]]:
    """Return the headers as bytes; those of a later layer replace those of an earlier one.

    Values are encoded as UTF-8.  ``defaults`` are well-formed and in lower case.

    Raises:
        RequestError: a name is no token, or a value holds a control character: NUL, CR or LF could
            inject further headers.  The message names the header, never its value.
    """
    merged: dict[str, str | SecretStr] = dict(defaults)
    for layer in layers:
        for name, value in (layer or {}).items():
            if not _TOKEN.fullmatch(name):
                raise RequestError(f"{name!r} is not a header name.")
            if problem := _problem(value):
                raise RequestError(f"The value of the header {name.lower()} holds {problem}.")
            merged[name.lower()] = value
    return [(name.encode("ascii"), _reveal(value).encode()) for name, value in merged.items()]


def _problem(value: str | SecretStr) -> str | None:
    # A function, so that no frame of the exception's traceback holds a revealed value.
    plain = _reveal(value)
    if _CONTROL.search(plain):
        return "a line break or another control character"
    try:
        plain.encode()
    except UnicodeEncodeError:
        return "a character that is not valid Unicode"
    return None


def _reveal(value: str | SecretStr) -> str:
    return (value if isinstance(value, str) else value.get_secret_value()).strip(" \t")


def encode_json(value: Any) -> bytes:
    """Return ``value`` as JSON.

    Raises:
        RequestError: it cannot be encoded; neither can NaN and lone surrogates.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError(f"The request cannot be written as JSON: {error}.") from error

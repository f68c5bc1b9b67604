"""What goes out: addresses, headers and bodies, checked before anything is sent."""

from __future__ import annotations

import ipaddress
import json
import re
import threading
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from agentnb._support.fork import after_fork_in_child
from agentnb.errors import ConfigError, RequestError, UnencryptedWarning

if TYPE_CHECKING:
    from pydantic import SecretStr

__all__ = [
    "check_base_url",
    "encode_headers",
    "encode_json",
    "encode_params",
    "quote_segment",
    "warn_if_unencrypted",
]

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_warned: set[str] = set()
_lock = threading.Lock()


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


def check_base_url(base_url: str, *, name: str) -> str:
    """Return ``base_url`` without a slash at its end.

    Raises:
        ConfigError: it is no http or https address, or carries a user, a query or a fragment:
            places where a key would end up in logs.
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
        # The address itself may hold a key, so it is not repeated.
        raise ConfigError(
            f"The base_url of {name} {problem}.", hint="Give it as in https://api.example.com."
        )
    return base_url.rstrip("/")


def warn_if_unencrypted(base_url: str, *, name: str) -> None:
    """Warn where what is sent can be read on its way: http:// to another machine, once a host."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if parts.scheme != "http" or _is_this_machine(host):
        return
    with _lock:
        if host in _warned:
            return
        _warned.add(host)
    where = host if parts.port is None else f"{host}:{parts.port}"
    # Of no line of the user's: whose it is that led here cannot be told, and naming one of this
    # package's would only hide what is said.
    warnings.warn_explicit(
        f"{name} is asked at http://{where}: whoever is in between can read the questions, the "
        "answers and the key. Use https://.",
        UnencryptedWarning,
        filename="<agentnb>",
        lineno=1,
        module="agentnb",
    )


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def encode_headers(
    own: Mapping[str, str], *layers: Mapping[str, str | SecretStr] | None
) -> list[tuple[bytes, bytes]]:
    """Return the headers as bytes, those of a later layer replacing the same of an earlier one.

    Values go out as UTF-8.  ``own`` are this package's, which are well-formed and in lower case.

    Raises:
        RequestError: a name is no token, or a value holds a control character: NUL, CR or LF would
            let it forge further headers.  The message names the header, never its value.
    """
    merged: dict[str, str | SecretStr] = dict(own)
    for layer in layers:
        for name, value in (layer or {}).items():
            if not _TOKEN.fullmatch(name):
                raise RequestError(f"{name!r} is not a header name.")
            if problem := _problem(value):
                raise RequestError(f"The value of the header {name.lower()} holds {problem}.")
            merged[name.lower()] = value
    return [(name.encode("ascii"), _plain(value).encode()) for name, value in merged.items()]


def _problem(value: str | SecretStr) -> str | None:
    # Apart from its caller, so that no frame of the exception's traceback holds a plain value.
    plain = _plain(value)
    if _CONTROL.search(plain):
        return "a line break or another control character"
    try:
        plain.encode()
    except UnicodeEncodeError:
        return "a character that is not valid Unicode"
    return None


def _plain(value: str | SecretStr) -> str:
    return (value if isinstance(value, str) else value.get_secret_value()).strip(" \t")


def encode_params(params: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the query parameters without those that are None; None if there are none left."""
    return {name: value for name, value in (params or {}).items() if value is not None} or None


def encode_json(value: Any) -> bytes:
    """Return ``value`` as JSON.

    Raises:
        RequestError: it holds something that JSON cannot, NaN and lone surrogates among them.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError(f"The request cannot be written as JSON: {error}.") from error


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


after_fork_in_child(_after_fork)

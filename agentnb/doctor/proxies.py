"""Proxies that the environment names, as the HTTP client takes them from it."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from agentnb.doctor.checking import Tell
from agentnb.doctor.discretion import shown_address
from agentnb.doctor.findings import note, ok

__all__ = ["look_at_proxies", "proxy_for"]

_HERE: Final = "127.0.0.1"


def proxy_for(address: str) -> str | None:
    """Return the proxy that requests to ``address`` pass, None where there is none."""
    proxies = getproxies()
    parts = urlsplit(address)
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.hostname or "", proxies):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def look_at_proxies(tell: Tell) -> None:
    """Tell which proxies are in force, and whether one stands before this very machine."""
    proxies = getproxies()
    named = {
        scheme: shown_address(proxy if "://" in proxy else f"http://{proxy}")
        for scheme, proxy in proxies.items()
        if scheme in ("http", "https", "all") and proxy
    }
    if not named:
        tell(ok("proxy", "none"))
        return
    told = ", ".join(f"{scheme}: {proxy}" for scheme, proxy in named.items())
    around = f"; not for {proxies['no']}" if proxies.get("no") else ""
    if proxy_for(f"http://{_HERE}") is not None:
        says = f"{told}{around}: also requests to servers on this machine go there"
        tell(note("proxy", says, f"Add '{_HERE},localhost' to NO_PROXY."))
    else:
        tell(ok("proxy", f"{told}{around}"))

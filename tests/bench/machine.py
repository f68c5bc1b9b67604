"""The machine that figures come from, told without its name, its user or any path."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

__all__ = ["described", "load", "summary"]

# What the figures depend on: what agentnb stands on, and its peers.
LIBRARIES: Final = (
    "jupyter-agentnb",
    "aiohttp",
    "anywidget",
    "distributed",
    "duckdb",
    "httpx",
    "httpx-sse",
    "ipykernel",
    "jupyterlab",
    "openai",
    "pandas",
    "playwright",
    "pydantic",
    "sqlalchemy",
)
_CPUINFO: Final = Path("/proc/cpuinfo")


def described() -> dict[str, Any]:
    """Return what can be told of the machine, as JSON has it."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "memory_gb": _memory_gb(),
        "os": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": load(),
    }


def load() -> list[float]:
    """Return how many processes wanted to run, on average over 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def summary(machine: dict[str, Any]) -> list[str]:
    """Return the machine in two lines, for the caption of a picture."""
    versions: dict[str, str] = machine["libraries"]
    shown = ("jupyter-agentnb", "httpx", "httpx-sse", "openai", "pydantic", "pandas", "duckdb")
    libraries = ", ".join(f"{name} {versions[name]}" for name in shown if name in versions)
    return [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['os']}, {machine['python']},"
        f" load {machine['load'][0]:.1f}, {machine['date'][:10]}",
        libraries,
    ]


def _cpu() -> str:
    if _CPUINFO.exists():
        for line in _CPUINFO.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return " ".join(value.split())
    return platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    names = getattr(os, "sysconf_names", {})
    if not {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= names.keys():
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

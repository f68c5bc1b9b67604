"""What is installed in which version, and whether that is what is asked for."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from typing import Any, NamedTuple

from agentnb._support.installing import DISTRIBUTION

__all__ = ["Need", "clashing", "installed", "needs", "release"]


class Need(NamedTuple):
    """A package that agentnb asks for: in which versions, and which one there is.

    ``extra`` is the extra that asks for it, or "".
    """

    package: str
    versions: str
    extra: str
    found: str | None
    fits: bool


def installed(package: str) -> str | None:
    """Return the version of ``package``, None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def clashing() -> str | None:
    """Return the version of the other project that is installed as ``agentnb``, if any.

    Its files have the same folder and command as this package's, so that each installation
    overwrites the other.
    """
    try:
        found = metadata("agentnb")
    except PackageNotFoundError:
        return None
    return next(iter(found.get_all("Version") or ()), "of an unknown version")


def release(version: str) -> tuple[int, ...]:
    """Return the numbers that ``version`` begins with: (7, 4, 0) of 7.4.0rc1."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def needs() -> list[Need]:
    """Return what the metadata of agentnb asks for; nothing where it is not installed."""
    try:
        told = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return []
    try:
        # It is there wherever pip, ipykernel or build is; without it, versions are not compared.
        requirement: Any = import_module("packaging.requirements").Requirement
    except ImportError:
        requirement = None
    return [_need(line, requirement) for line in told]


def _need(line: str, requirement: Any) -> Need:
    # As in "psycopg[binary]>=3.2; extra == 'postgresql'".
    said, _, condition = line.partition(";")
    name = re.match(r"[\w.-]+", said.strip())
    package = name[0] if name else said.strip()
    extra = re.search(r"""extra\s*==\s*['"]([\w.-]+)['"]""", condition)
    found = installed(package)
    wanted = said.strip().removeprefix(package)
    wanted = re.sub(r"^\[[^\]]*\]", "", wanted).strip()
    fits = found is not None and (
        requirement is None or requirement(line).specifier.contains(found, prereleases=True)
    )
    return Need(package, wanted, extra[1] if extra else "", found, fits)

"""Check Python, the packages that agentnb requires, and its extras."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from typing import Any, Final, NamedTuple

from agentnb._support.installing import DISTRIBUTION, __version__, install_hint, upgrade_hint
from agentnb.doctor.report import Finding, note, ok, problem

__all__ = [
    "Dependency",
    "check_extras",
    "check_packages",
    "check_python",
    "dependencies",
    "installed_version",
    "parse_release",
]

_REINSTALL: Final = f"pip uninstall -y agentnb && pip install --force-reinstall {DISTRIBUTION}"
# Optional packages whose versions help to understand a report.
_HOSTS: Final = ("ipykernel", "jupyterlab", "notebook", "marimo")


class Dependency(NamedTuple):
    """A package that agentnb requires: the specifier, and the version installed, if any.

    ``extra`` is the extra that requires it, or "".
    """

    package: str
    specifier: str
    extra: str
    installed: str | None
    is_satisfied: bool

    @property
    def mismatch(self) -> str:
        """Sentence that says why the requirement is not satisfied."""
        if self.installed is None:
            return f"{self.package} is not installed"
        return f"{self.package} is {self.installed}, and {self.specifier} is needed"


def check_python() -> Iterator[Finding]:
    """Report the versions of agentnb, Python and the system."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    yield ok("agentnb", f"{__version__}, on {python}, {system}")
    if sys.flags.optimize:
        yield note("Python", f"runs with -{'O' * sys.flags.optimize}", "Start it without.")


def check_packages() -> Iterator[Finding]:
    """Report installed, missing and outdated packages."""
    if (other := _conflicting_version()) is not None:
        message = (
            f"another project, agentnb {other}, is installed; its files overwrite those of"
            f" {DISTRIBUTION}, which has the same import name"
        )
        yield problem("packages", message, _REINSTALL)
    required = [each for each in dependencies() if not each.extra]
    for each in required:
        if not each.is_satisfied:
            yield problem("packages", each.mismatch, upgrade_hint())
    if not required:
        message = "agentnb itself is not installed, so that what it needs is not known"
        yield note("packages", message, install_hint())
    if satisfied := [each for each in required if each.is_satisfied]:
        yield ok("packages", _versions((each.package, each.installed) for each in satisfied))
    if hosts := [(name, found) for name in _HOSTS if (found := installed_version(name))]:
        yield ok("notebooks", f"{_versions(hosts)} in this environment")


def check_extras() -> Iterator[Finding]:
    """Report the extras; one that is not installed is fine, an outdated package of one is a note.

    An extra with missing packages counts as not installed, since packages such as fsspec are
    also installed by others.
    """
    extras: dict[str, list[Dependency]] = {}
    for each in dependencies():
        if each.extra:
            extras.setdefault(each.extra, []).append(each)
    complete: list[str] = []
    missing: list[str] = []
    for extra, packages in extras.items():
        if all(each.is_satisfied for each in packages):
            complete.append(f"{extra} ({_versions((p.package, p.installed) for p in packages)})")
            continue
        missing.append(extra)
        for each in packages:
            if each.installed and not each.is_satisfied:
                yield note("extras", f"{extra}: {each.mismatch}", upgrade_hint(extra))
    if complete:
        yield ok("extras", ", ".join(complete))
    if missing:
        hint = f"{install_hint(*missing)} adds them."
        yield ok("extras", f"not installed: {', '.join(missing)}", hint)


def installed_version(package: str) -> str | None:
    """Return the version of ``package``, or None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def parse_release(version: str) -> tuple[int, ...]:
    """Return the release numbers of a version: (7, 4, 0) for 7.4.0rc1."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def dependencies() -> list[Dependency]:
    """Return the requirements in agentnb's metadata; none if it is not installed."""
    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return []
    try:
        # Installed along with pip, ipykernel or build; without it, versions are not compared.
        requirement: Any = import_module("packaging.requirements").Requirement
    except ImportError:
        requirement = None
    return [_dependency(line, requirement) for line in lines]


def _dependency(line: str, requirement: Any) -> Dependency:
    # Such as "psycopg[binary]>=3.2; extra == 'postgresql'".
    spec, _, condition = line.partition(";")
    spec = spec.strip()
    match = re.match(r"[\w.-]+", spec)
    package = match[0] if match else spec
    extra = re.search(r"""extra\s*==\s*['"]([\w.-]+)['"]""", condition)
    specifier = re.sub(r"^\[[^\]]*\]", "", spec.removeprefix(package)).strip()
    found = installed_version(package)
    is_satisfied = found is not None and (
        requirement is None or requirement(line).specifier.contains(found, prereleases=True)
    )
    return Dependency(package, specifier, extra[1] if extra else "", found, is_satisfied)


def _conflicting_version() -> str | None:
    """Return the version of the unrelated distribution ``agentnb``, if installed.

    Both install the same folder and command, and overwrite each other.
    """
    try:
        found = metadata("agentnb")
    except PackageNotFoundError:
        return None
    return next(iter(found.get_all("Version") or ()), "of an unknown version")


def _versions(packages: Iterable[tuple[str, str | None]]) -> str:
    return ", ".join(f"{name} {found}" for name, found in packages)

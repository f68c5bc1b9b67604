"""Python, the packages that agentnb needs, and the extras."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable
from typing import Final

from agentnb._support.installing import DISTRIBUTION, __version__, install_hint, upgrade_hint
from agentnb.doctor.checking import Tell
from agentnb.doctor.findings import note, ok, problem
from agentnb.doctor.versions import Need, clashing, installed, needs

__all__ = ["look_at_extras", "look_at_packages", "look_at_python"]

_REINSTALL: Final = f"pip uninstall -y agentnb && pip install --force-reinstall {DISTRIBUTION}"
# Not needed, and worth knowing of.
_HOSTS: Final = ("ipykernel", "jupyterlab", "notebook", "marimo")


def look_at_python(tell: Tell) -> None:
    """Tell the versions of agentnb, Python and the system."""
    kind = platform.python_implementation()
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    says = f"{__version__}, on {kind} {platform.python_version()}, {system}"
    tell(ok("agentnb", says))
    if sys.flags.optimize:
        tell(note("Python", f"runs with -{'O' * sys.flags.optimize}", "Start it without."))


def look_at_packages(tell: Tell) -> None:
    """Tell which packages there are, and which are missing or too old."""
    if (other := clashing()) is not None:
        says = (
            f"another project, agentnb {other}, is installed; its files overwrite those of"
            f" {DISTRIBUTION}, which has the same import name"
        )
        tell(problem("packages", says, _REINSTALL))
    own = [need for need in needs() if not need.extra]
    for need in own:
        if not need.fits:
            tell(problem("packages", _lacks(need), upgrade_hint()))
    if not own:
        says = "agentnb itself is not installed, so that what it needs is not known"
        tell(note("packages", says, install_hint()))
    if fitting := [need for need in own if need.fits]:
        tell(ok("packages", _listed((need.package, need.found) for need in fitting)))
    if hosts := [(name, found) for name in _HOSTS if (found := installed(name))]:
        tell(ok("notebooks", f"{_listed(hosts)} in this environment"))


def look_at_extras(tell: Tell) -> None:
    """Tell which extras are installed; not to have one is no fault, to have half of one is."""
    extras: dict[str, list[Need]] = {}
    for need in needs():
        if need.extra:
            extras.setdefault(need.extra, []).append(need)
    there: list[str] = []
    missing: list[str] = []
    for extra, asked in extras.items():
        found = [need for need in asked if need.found]
        lacking = [need for need in asked if not need.fits]
        # Packages are shared: that fsspec is there need not mean that the extra was wanted.
        if not lacking:
            there.append(f"{extra} ({_listed((need.package, need.found) for need in asked)})")
            continue
        missing.append(extra)
        for need in found:
            if not need.fits:
                hint = upgrade_hint(extra)
                tell(note("extras", f"{extra}: {_lacks(need)}", hint))
    if there:
        tell(ok("extras", ", ".join(there)))
    if missing:
        hint = f"{install_hint(*missing)} adds them."
        tell(ok("extras", f"not installed: {', '.join(missing)}", hint))


def _lacks(need: Need) -> str:
    if need.found is None:
        return f"{need.package} is not installed"
    return f"{need.package} is {need.found}, and {need.versions} is needed"


def _listed(packages: Iterable[tuple[str, str | None]]) -> str:
    return ", ".join(f"{name} {found}" for name, found in packages)

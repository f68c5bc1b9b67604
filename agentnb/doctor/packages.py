"""Check Python, the packages that agentnb requires, its extras, and the halves of the widgets."""

from __future__ import annotations

import json
import platform
import re
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from agentnb._support import DISTRIBUTION, __version__, install_hint, upgrade_hint
from agentnb.doctor.report import Finding, note, ok, problem

_REINSTALL: Final = f"pip uninstall -y agentnb && pip install --force-reinstall {DISTRIBUTION}"
# Such as "psycopg[binary]>=3.2; extra == 'postgresql'": package, specifier and extra.
_REQUIREMENT: Final = re.compile(
    r"""([\w.-]+)(?:\[[^\]]*\])?\s*([^;]*?)\s*(?:;(?:.*extra\s*==\s*['"]([\w.-]+)['"])?.*)?$"""
)
# Optional packages whose versions help to understand a report.
_HOSTS: Final = ("ipykernel", "jupyterlab", "notebook", "marimo")
_VIEWS: Final = "live views"
_BUNDLES: Final = ("loader.js", "run.js", "widget.js")
# Major version of ipywidgets -> that of jupyterlab_widgets, its counterpart in the page.
_PAIRS: Final = {7: 1, 8: 3}
_MANAGER: Final = "@jupyter-widgets/jupyterlab-manager"


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
    match = _REQUIREMENT.match(line)
    package, specifier, extra = match.groups() if match else (line, "", None)
    found = installed_version(package)
    is_satisfied = found is not None and (
        requirement is None or requirement(line).specifier.contains(found, prereleases=True)
    )
    return Dependency(package, specifier, extra or "", found, is_satisfied)


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


def check_views() -> Iterator[Finding]:
    """Report whether the Python and the JavaScript packages of the widgets match."""
    versions = {name: installed_version(name) for name in ("ipywidgets", "anywidget")}
    findings = [
        *_check_bundles(),
        *(
            problem(_VIEWS, f"{name} is not installed", upgrade_hint())
            for name, version in versions.items()
            if version is None
        ),
        *_check_pair(versions["ipywidgets"]),
        *_check_extensions(versions["anywidget"]),
    ]
    if not findings:
        names = ", ".join(f"{name} {version}" for name, version in versions.items())
        findings = [ok(_VIEWS, f"{names}: both halves of the widgets fit")]
    yield from findings


def _check_bundles() -> Iterator[Finding]:
    static = files("agentnb").joinpath("widgets", "static")
    missing = [name for name in _BUNDLES if not static.joinpath(name).is_file()]
    if missing:
        message = f"the code of the live views was not built: {', '.join(missing)} missing"
        yield problem(_VIEWS, message, "Install a released agentnb, or run 'make build' here.")


def _check_pair(ipywidgets: str | None) -> Iterator[Finding]:
    """Report if JupyterLab is installed without the matching jupyterlab_widgets."""
    lab = installed_version("jupyterlab_widgets")
    if ipywidgets is None or (lab is None and installed_version("jupyterlab") is None):
        return
    expected = _PAIRS.get(parse_release(ipywidgets)[0])
    if lab is not None and expected in (None, parse_release(lab)[0]):
        return
    other = f"jupyterlab_widgets is {lab}" if lab else "jupyterlab_widgets is not installed"
    message = (
        f"ipywidgets is {ipywidgets}, and {other}: views may show as 'Error displaying widget'"
    )
    hint = "pip install -U ipywidgets jupyterlab_widgets, then reload the page."
    yield problem(_VIEWS, message, hint)


def _check_extensions(anywidget: str | None) -> Iterator[Finding]:
    """Report if a page would load another version of anywidget, or miss an extension."""
    if installed_version("jupyterlab") is None:
        # The server runs in another environment, whose extensions are not known here.
        return
    folders = _extension_folders()
    folder, version = _extension(folders, "anywidget")
    if anywidget is not None and version is not None and version != anywidget:
        message = f"anywidget is {anywidget}, and JupyterLab would load its {version} from {folder}"
        hint = f"Remove that folder, or pip install anywidget=={version}."
        yield note(_VIEWS, message, hint)
    for name, package in ((_MANAGER, "jupyterlab_widgets"), ("anywidget", "anywidget")):
        if installed_version(package) is not None and _extension(folders, name)[1] is None:
            message = f"JupyterLab's extension {name} is not where it looks for extensions"
            hint = f"pip install --force-reinstall {package}, then reload the page."
            yield note(_VIEWS, message, hint)


def _extension_folders() -> list[Path]:
    """Return the folders that JupyterLab searches for extensions, in order of precedence."""
    try:
        # Installed along with a kernel or a server, which this environment need not have.
        paths: Any = import_module("jupyter_core.paths")
        return [Path(path) for path in paths.jupyter_path("labextensions")]
    except ImportError:
        return [Path(sys.prefix) / "share" / "jupyter" / "labextensions"]


def _extension(folders: list[Path], name: str) -> tuple[Path | None, str | None]:
    """Return the folder and version of an extension, or twice None."""
    for folder in folders:
        try:
            package: Any = json.loads((folder / name / "package.json").read_text("utf-8"))
            return folder / name, str(cast("dict[str, Any]", package)["version"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None, None

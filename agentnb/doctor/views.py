"""Check what live views need: their JavaScript, ipywidgets, and JupyterLab's extensions."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, cast

from agentnb._support.installing import upgrade_hint
from agentnb.doctor.packages import installed_version, parse_release
from agentnb.doctor.report import Finding, note, ok, problem

__all__ = ["check_views"]

_CHECK: Final = "live views"
_BUNDLES: Final = ("loader.js", "run.js", "widget.js")
# Major version of ipywidgets -> that of jupyterlab_widgets, its counterpart in the page.
_PAIRS: Final = {7: 1, 8: 3}
_MANAGER: Final = "@jupyter-widgets/jupyterlab-manager"


def check_views() -> Iterator[Finding]:
    """Report whether the Python and the JavaScript packages of the widgets match."""
    versions = {name: installed_version(name) for name in ("ipywidgets", "anywidget")}
    findings = [
        *_check_bundles(),
        *(
            problem(_CHECK, f"{name} is not installed", upgrade_hint())
            for name, version in versions.items()
            if version is None
        ),
        *_check_pair(versions["ipywidgets"]),
        *_check_extensions(versions["anywidget"]),
    ]
    if not findings:
        names = ", ".join(f"{name} {version}" for name, version in versions.items())
        findings = [ok(_CHECK, f"{names}: both halves of the widgets fit")]
    yield from findings


def _check_bundles() -> Iterator[Finding]:
    static = files("agentnb").joinpath("widgets", "static")
    missing = [name for name in _BUNDLES if not static.joinpath(name).is_file()]
    if missing:
        message = f"the code of the live views was not built: {', '.join(missing)} missing"
        yield problem(_CHECK, message, "Install a released agentnb, or run 'make build' here.")


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
    yield problem(_CHECK, message, hint)


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
        yield note(_CHECK, message, hint)
    for name, package in ((_MANAGER, "jupyterlab_widgets"), ("anywidget", "anywidget")):
        if installed_version(package) is not None and _extension(folders, name)[1] is None:
            message = f"JupyterLab's extension {name} is not where it looks for extensions"
            hint = f"pip install --force-reinstall {package}, then reload the page."
            yield note(_CHECK, message, hint)


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

"""What live views need: our own code, ipywidgets, and what the page brings for both."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, cast

from agentnb._support.installing import upgrade_hint
from agentnb.doctor.checking import Tell
from agentnb.doctor.findings import note, ok, problem
from agentnb.doctor.versions import installed, release

__all__ = ["look_at_views"]

_CODE: Final = ("loader.js", "run.js", "widget.js")
# Major version of ipywidgets -> of jupyterlab_widgets, which is its half in the page.
_PAIRS: Final = {7: 1, 8: 3}
_MANAGER: Final = "@jupyter-widgets/jupyterlab-manager"


def look_at_views(tell: Tell) -> None:
    """Tell whether the two halves of a widget, in Python and in the page, fit each other."""
    missing = [name for name in _CODE if not _has_code(name)]
    if missing:
        says = f"the code of the live views was not built: {', '.join(missing)} missing"
        tell(problem("live views", says, "Install a released agentnb, or run 'make build' here."))
    python = {name: installed(name) for name in ("ipywidgets", "anywidget")}
    for name, found in python.items():
        if found is None:
            says = f"{name} is not installed"
            tell(problem("live views", says, upgrade_hint()))
    fits = _check_pair(tell, python["ipywidgets"]) and not missing and all(python.values())
    fits &= _check_extensions(tell, python["anywidget"])
    if fits:
        told = ", ".join(f"{name} {found}" for name, found in python.items())
        tell(ok("live views", f"{told}: both halves of the widgets fit"))


def _has_code(name: str) -> bool:
    return files("agentnb").joinpath("widgets", "static", name).is_file()


def _check_pair(tell: Tell, ipywidgets: str | None) -> bool:
    """Tell whether ipywidgets' other half is there, where JupyterLab is."""
    lab = installed("jupyterlab_widgets")
    if ipywidgets is None or (lab is None and installed("jupyterlab") is None):
        return True
    wanted = _PAIRS.get(release(ipywidgets)[0])
    if lab is not None and wanted in (None, release(lab)[0]):
        return True
    there = f"jupyterlab_widgets is {lab}" if lab else "jupyterlab_widgets is not installed"
    says = f"ipywidgets is {ipywidgets}, and {there}: views may show as 'Error displaying widget'"
    hint = "pip install -U ipywidgets jupyterlab_widgets, then reload the page."
    tell(problem("live views", says, hint))
    return False


def _check_extensions(tell: Tell, anywidget: str | None) -> bool:
    """Tell whether a page would load another version of anywidget than this one, or none."""
    folders = _labextensions()
    if installed("jupyterlab") is None:
        # The server is another environment's, and what it brings is not known here.
        return True
    fits = True
    where, found = _extension(folders, "anywidget")
    if anywidget is not None and found is not None and found != anywidget:
        says = f"anywidget is {anywidget}, and JupyterLab would load its {found} from {where}"
        tell(note("live views", says, f"Remove that folder, or pip install anywidget=={found}."))
        fits = False
    for name, package in ((_MANAGER, "jupyterlab_widgets"), ("anywidget", "anywidget")):
        if installed(package) is not None and _extension(folders, name)[1] is None:
            says = f"JupyterLab's extension {name} is not where it looks for extensions"
            hint = f"pip install --force-reinstall {package}, then reload the page."
            tell(note("live views", says, hint))
            fits = False
    return fits


def _labextensions() -> list[Path]:
    """Return the folders that JupyterLab looks into, the first one wins."""
    try:
        # There wherever a kernel or a server is; it carries types of its own, but need not be here.
        paths: Any = import_module("jupyter_core.paths")
        return [Path(path) for path in paths.jupyter_path("labextensions")]
    except ImportError:
        return [Path(sys.prefix) / "share" / "jupyter" / "labextensions"]


def _extension(folders: list[Path], name: str) -> tuple[Path | None, str | None]:
    for folder in folders:
        try:
            told: Any = json.loads((folder / name / "package.json").read_text("utf-8"))
            return folder / name, str(cast("dict[str, Any]", told)["version"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None, None

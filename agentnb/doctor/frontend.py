"""Who shows the runs, and how the kernel behaves under it."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from importlib import import_module
from typing import Any, Final

from agentnb._loop import submit
from agentnb.doctor.checking import Tell
from agentnb.doctor.findings import note, ok, problem
from agentnb.doctor.host import Host
from agentnb.doctor.versions import installed, release

__all__ = ["look_at_frontend", "look_at_kernel", "look_at_loops"]

# What each way to show a run means, and what to do where it is not the live one.
_DISPLAYS: Final = {
    "widget": ("runs are live views", ""),
    "static": (
        "runs are shown once, at their end: nobody seems to be there to look at a live view",
        "'%config AgentMagics.display = \"widget\"' shows live views all the same.",
    ),
    "text": ("runs are plain text", ""),
}
# A variable that a host sets -> the host.
_VARIABLES: Final = {
    "COLAB_RELEASE_TAG": "Google Colab",
    "DATABRICKS_RUNTIME_VERSION": "Databricks",
    "KAGGLE_KERNEL_RUN_TYPE": "Kaggle",
    "VSCODE_PID": "VS Code",
}
# How long the background loop may take to answer, in seconds, before it counts as kept busy.
_SLOW: Final = 0.5


def look_at_frontend(tell: Tell, *, host: Host) -> None:
    """Tell who asked, as far as it can be told, and how runs are shown there."""
    where = host.frontend or _surroundings(host)
    if host.display is None:
        tell(ok("frontend", where))
        return
    says, hint = _DISPLAYS.get(host.display, (f"runs are shown as {host.display}", ""))
    finding = note if hint else ok
    tell(finding("frontend", f"{where}; {says}", hint))


def look_at_kernel(tell: Tell, *, host: Host) -> None:
    """Tell which ipykernel it is, and whether a button is heard while a cell runs."""
    version = installed("ipykernel")
    if version is None:
        says = "not installed: no notebook can run in this environment"
        tell(note("ipykernel", says, "pip install ipykernel"))
        return
    if host.kind != "kernel":
        tell(ok("ipykernel", version))
        return
    if host.subshells:
        tell(ok("ipykernel", f"{version}, with subshells: buttons are heard while a cell runs"))
        return
    hint = "Interrupt the kernel to stop a cell at once"
    if release(version) < (7,):
        hint += ", or pip install -U 'ipykernel>=7.0'"
    says = f"{version}, without subshells: a Stop button is heard when its cell has returned"
    tell(note("ipykernel", says, f"{hint}."))


def look_at_loops(tell: Tell, *, host: Host, seconds: float = 3.0) -> None:
    """Tell what became of asyncio, and whether the loop that runs live on still answers.

    It is waited for ``seconds``.
    """
    patched = _patched_by()
    if patched == "nest_asyncio":
        # Its archived original loses the cells that were queued while a nested run went on.
        loses = release(installed("ipykernel") or "") >= (7, 1) and host.kind == "kernel"
        what = "cells that are queued meanwhile are lost" if loses else "it is archived"
        hint = "Do not apply it; 'await' in cells, or call agentnb.allow_nested_loops()."
        finding = problem if loses else note
        tell(finding("event loop", f"nest_asyncio has patched asyncio: {what}", hint))
    elif patched:
        tell(ok("event loop", f"{patched} lets asyncio.run() be called inside a cell"))
    late = _lateness(seconds)
    kind = f"{host.loop}; " if host.loop else ""
    if late is None:
        says = f"the loop that serves the runs did not answer within {seconds:g} s"
        hint = "An agent's function blocks it: let it 'await', or restart the kernel."
        tell(problem("event loop", says, hint))
    elif late > _SLOW:
        says = f"the loop that serves the runs took {late:.1f} s to answer"
        tell(note("event loop", says, "An agent's function blocks it, or the machine is busy."))
    else:
        tell(ok("event loop", f"{kind}the loop that serves the runs answers at once"))


def _surroundings(host: Host) -> str:
    """Return the host by what it leaves in the process."""
    marimo: Any = sys.modules.get("marimo")
    if marimo is not None and getattr(marimo, "running_in_notebook", bool)():
        return "marimo"
    if host.kind != "kernel":
        return "a terminal with IPython" if host.kind == "ipython" else "a terminal"
    for variable, name in _VARIABLES.items():
        if os.environ.get(variable):
            return name
    return _jupyter_server() or "a Jupyter frontend that does not say which"


def _jupyter_server() -> str:
    """Return what the server was started as; any page of it may look at this kernel."""
    parent = os.environ.get("JPY_PARENT_PID", "")
    try:
        # A dependency of ipykernel, which carries no types.
        command = " ".join(import_module("psutil").Process(int(parent)).cmdline())
    # Where it cannot be told, for whatever reason of the system's, nothing is lost.
    except Exception:
        return ""
    if "jupyter-lab" in command or "jupyterlab" in command:
        return "JupyterLab"
    if "jupyter-notebook" in command or "notebook" in command.rpartition("/")[2]:
        return "Jupyter Notebook"
    return "a Jupyter server" if "jupyter" in command else ""


def _patched_by() -> str:
    if not hasattr(asyncio, "_nest_patched"):
        return ""
    return "nest_asyncio2" if hasattr(asyncio, "_nest_asyncio2") else "nest_asyncio"


def _lateness(seconds: float) -> float | None:
    async def answer() -> None: ...

    began = time.monotonic()
    future = submit(answer())
    try:
        future.result(seconds)
    except TimeoutError:
        future.cancel()
        return None
    return time.monotonic() - began

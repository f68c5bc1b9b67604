"""Check the frontend, the kernel and its event loops."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Literal

from agentnb.doctor.checks import run_on_loop
from agentnb.doctor.packages import installed_version, parse_release
from agentnb.doctor.report import Finding, note, ok, problem

# Display mode -> what it means, and what to do if runs are not live.
_DISPLAYS: Final = {
    "widget": ("runs are live views", ""),
    "static": (
        "runs are displayed once, at their end: no frontend seems to display live views",
        "'%config AgentMagics.display = \"widget\"' displays live views all the same.",
    ),
    "text": ("runs are plain text", ""),
}
# Environment variable -> the host that sets it.
_VARIABLES: Final = {
    "COLAB_RELEASE_TAG": "Google Colab",
    "DATABRICKS_RUNTIME_VERSION": "Databricks",
    "KAGGLE_KERNEL_RUN_TYPE": "Kaggle",
    "VSCODE_PID": "VS Code",
}
# Seconds after which the background loop counts as blocked.
_SLOW: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Environment that the code runs in, as only the notebook layer knows it.

    ``display`` is how runs are displayed, ``frontend`` the client's name if its messages have one.
    ``subshells`` is whether the kernel handles messages while a cell runs, None outside a kernel.
    ``loop`` is the kind of event loop that cells run in.
    """

    kind: Literal["kernel", "ipython", "python"] = "python"
    display: str | None = None
    frontend: str | None = None
    subshells: bool | None = None
    loop: str | None = None


def check_frontend(*, host: Host) -> Iterator[Finding]:
    """Report the frontend, as far as it is known, and how it displays runs."""
    name = host.frontend or _detect_frontend(host)
    if host.display is None:
        yield ok("frontend", name)
        return
    message, hint = _DISPLAYS.get(host.display, (f"runs are displayed as {host.display}", ""))
    yield (note if hint else ok)("frontend", f"{name}; {message}", hint)


def check_kernel(*, host: Host) -> Iterator[Finding]:
    """Report the version of ipykernel, and whether buttons work while a cell runs."""
    version = installed_version("ipykernel")
    if version is None:
        message = "not installed: no notebook can run in this environment"
        yield note("ipykernel", message, "pip install ipykernel")
    elif host.kind != "kernel":
        yield ok("ipykernel", version)
    elif host.subshells:
        yield ok("ipykernel", f"{version}, with subshells: buttons work while a cell runs")
    else:
        hint = "Interrupt the kernel to stop a cell at once"
        if parse_release(version) < (7,):
            hint += ", or pip install -U 'ipykernel>=7.0'"
        message = f"{version}, without subshells: a Stop button works when its cell has returned"
        yield note("ipykernel", message, f"{hint}.")


def check_event_loops(*, host: Host, timeout: float = 3.0) -> Iterator[Finding]:
    """Report patches of asyncio, and whether the background loop answers within ``timeout`` s."""
    patch = asyncio.run.__module__
    if patch == "nest_asyncio2":
        yield ok("event loop", "nest_asyncio2 lets asyncio.run() be called inside a cell")
    elif patch == "nest_asyncio":
        # The archived original loses cells that are queued while a nested run goes on.
        loses = parse_release(installed_version("ipykernel") or "") >= (7, 1)
        loses = loses and host.kind == "kernel"
        effect = "cells that are queued meanwhile are lost" if loses else "it is archived"
        message = f"nest_asyncio has patched asyncio: {effect}"
        hint = "Do not apply it; 'await' in cells, or call agentnb.allow_nested_loops()."
        yield (problem if loses else note)("event loop", message, hint)
    latency = _loop_latency(timeout)
    if latency is None:
        message = f"the loop that serves the runs did not answer within {timeout:g} s"
        hint = "An agent's function blocks it: let it 'await', or restart the kernel."
        yield problem("event loop", message, hint)
    elif latency > _SLOW:
        message = f"the loop that serves the runs took {latency:.1f} s to answer"
        hint = "An agent's function blocks it, or the machine is busy."
        yield note("event loop", message, hint)
    else:
        kind = f"{host.loop}; " if host.loop else ""
        yield ok("event loop", f"{kind}the loop that serves the runs answers at once")


def _detect_frontend(host: Host) -> str:
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
    """Return the name of the Jupyter server that started this kernel, or ""."""
    parent = os.environ.get("JPY_PARENT_PID", "")
    try:
        # psutil is a dependency of ipykernel, and untyped.
        command = " ".join(import_module("psutil").Process(int(parent)).cmdline())
    # Any failure of the system: the name is optional.
    except Exception:
        return ""
    if "jupyter-lab" in command or "jupyterlab" in command:
        return "JupyterLab"
    if "jupyter-notebook" in command or "notebook" in command.rpartition("/")[2]:
        return "Jupyter Notebook"
    return "a Jupyter server" if "jupyter" in command else ""


def _loop_latency(timeout: float) -> float | None:
    """Return the seconds until the background loop answers, None after ``timeout``."""

    async def answer() -> None: ...

    started = time.monotonic()
    try:
        run_on_loop(answer(), timeout=timeout)
    except TimeoutError:
        return None
    return time.monotonic() - started

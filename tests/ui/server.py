"""One Jupyter server that serves JupyterLab and Notebook 7, with folders of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from tests.patience import looks

_START_S = 120
# Else each page that loads asks whether JupyterLab should be built anew, which starts Node.
_PAGE = {"page_config_data": {"buildAvailable": False, "buildCheck": False}}
# How long pages have to leave, and how often to look, in seconds.
_LEAVE_S = 5.0
_LOOK_S = 0.05
_STOP_S = 20
# After so many seconds without kernels or requests it ends by itself, should its tests have been
# killed; longer than other tests of the process may take between two that use it.
_ABANDONED_S = 3600

# Nothing here may ask the network for news, or save a notebook at a moment that a test didn't pick.
_SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}


@dataclass(frozen=True)
class JupyterServer:
    """A running server; `root` is the folder that it shows, `url` ends in a slash."""

    process: subprocess.Popen[bytes]
    root: Path
    url: str
    token: str
    environment: dict[str, str]

    @classmethod
    def start(cls, home: Path) -> JupyterServer:
        root = home / "notebooks"
        settings = home / "config" / "labconfig" / "default_setting_overrides.json"
        for folder in (root, settings.parent):
            folder.mkdir(parents=True)
        settings.write_text(json.dumps(_SETTINGS), "utf-8")
        environment = {
            **os.environ,
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_DATA_DIR": str(home / "data"),
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
            "IPYTHONDIR": str(home / "ipython"),
            "JUPYTER_PREFER_ENV_PATH": "1",
        }
        token = os.urandom(16).hex()
        log = home / "server.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "jupyterlab",
                    str(root),
                    "--no-browser",
                    "--allow-root",
                    "--ip=127.0.0.1",
                    "--port=0",
                    f"--IdentityProvider.token={token}",
                    f"--ServerApp.shutdown_no_activity_timeout={_ABANDONED_S}",
                    f"--MappingKernelManager.cull_idle_timeout={_ABANDONED_S}",
                    f"--ServerApp.tornado_settings={_PAGE}",
                    "--LabApp.expose_app_in_browser=True",
                    "--JupyterNotebookApp.expose_app_in_browser=True",
                ],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        info = home / "runtime" / f"jpserver-{process.pid}.json"
        server = cls(process, root, _url(process, info, log), token, environment)
        server.until_it_answers()
        return server

    def until_it_answers(self) -> None:
        end = time.monotonic() + _START_S
        while True:
            try:
                self.ask("GET", "api/status")
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
            else:
                return

    def ask(self, method: str, path: str, content: Any = None) -> Any:
        """Call the server's own API."""
        headers = {"Authorization": f"token {self.token}", "Content-Type": "application/json"}
        data = None if content is None else json.dumps(content).encode()
        request = Request(self.url + path, data, method=method, headers=headers)
        # A proxy of the surroundings has nothing to do with this machine's own server.
        with build_opener(ProxyHandler({})).open(request, timeout=60) as response:
            body = response.read()
        return json.loads(body) if body else None

    def trust(self, path: Path) -> None:
        """Sign a notebook, as its user does by running it or by saying so."""
        command = [sys.executable, "-m", "jupyter", "trust", str(path)]
        subprocess.run(
            command, env=self.environment, check=True, capture_output=True, timeout=_START_S
        )

    def start_kernel(self, path: Path) -> None:
        """Start the kernel of a notebook, which a page that opens it later finds at work."""
        place = path.relative_to(self.root).as_posix()
        kernel = {"name": "python3"}
        session = {"path": place, "name": path.name, "type": "notebook", "kernel": kernel}
        self.ask("POST", "api/sessions", session)

    def end_kernels(self) -> None:
        """End all kernels, once the pages that are closed have left them.

        Of one that ends sooner Jupyter goes on asking for the ports, several times a second, and
        other processes, which have them by then, are asked.
        """
        for _ in looks(_LEAVE_S):
            if not any(kernel["connections"] for kernel in self.ask("GET", "api/kernels")):
                break
            time.sleep(_LOOK_S)
        for session in self.ask("GET", "api/sessions"):
            self.ask("DELETE", f"api/sessions/{session['id']}")
        for kernel in self.ask("GET", "api/kernels"):
            self.ask("DELETE", f"api/kernels/{kernel['id']}")

    def stop(self) -> None:
        # It ends its kernels itself when it is asked; the whole group goes if it doesn't.
        self.process.terminate()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def _url(process: subprocess.Popen[bytes], info: Path, log: Path) -> str:
    """Where the server says that it listens; the port was its own choice."""
    end = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < end:
        with suppress(OSError, ValueError):
            return str(json.loads(info.read_text("utf-8"))["url"])
        time.sleep(0.1)
    process.kill()
    process.wait()
    raise RuntimeError(f"Jupyter did not start:\n{log.read_text('utf-8', errors='replace')}")

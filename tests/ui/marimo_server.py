"""A marimo server for one notebook, with folders of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.request import ProxyHandler, build_opener

from tests.ports import bound

# An app, whose code nobody sees and which begins anew with each page, or a notebook to work in,
# whose kernel outlives its page.
Mode = Literal["run", "edit"]

_START_S = 120
_STOP_S = 20
# Should the tests be killed, nobody is left to end the server but itself.
_ABANDONED_MIN = 5

_SETTINGS = """\
[display]
theme = "{theme}"

[runtime]
auto_instantiate = true
"""


@dataclass(frozen=True)
class MarimoServer:
    """A running server; `url` is the notebook's own, with what lets its reader in."""

    process: subprocess.Popen[bytes]
    path: Path
    url: str

    @classmethod
    def start(cls, path: Path, *, mode: Mode, dark: bool) -> MarimoServer:
        """Serve a notebook; what the server writes, it writes beside it."""
        folders = {
            f"XDG_{name.upper()}_HOME": path.parent / name
            for name in ("cache", "config", "data", "state")
        }
        settings = folders["XDG_CONFIG_HOME"] / "marimo" / "marimo.toml"
        settings.parent.mkdir(parents=True)
        settings.write_text(_SETTINGS.format(theme="dark" if dark else "light"), "utf-8")
        port = _free_port()
        token = os.urandom(16).hex()
        address = ["--host=127.0.0.1", f"--port={port}", f"--token-password={token}"]
        lone = [f"--timeout={_ABANDONED_MIN}", "--skip-update-check"] if mode == "edit" else []
        log = path.parent / "server.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "marimo", mode, path.name, "--headless", *address, *lone],
                cwd=path.parent,
                env={**os.environ, **{name: str(folder) for name, folder in folders.items()}},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        base = f"http://127.0.0.1:{port}/"
        server = cls(process, path, f"{base}?access_token={token}")
        try:
            server._until_it_answers(f"{base}health", log)
        except BaseException:
            server.stop()
            raise
        return server

    def stop(self) -> None:
        # It ends its kernel itself when it is asked; the whole group goes if it doesn't.
        self.process.terminate()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _until_it_answers(self, url: str, log: Path) -> None:
        end = time.monotonic() + _START_S
        while True:
            try:
                # A proxy of the surroundings has nothing to do with this machine's own server.
                with build_opener(ProxyHandler({})).open(url, timeout=10):
                    return
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise RuntimeError(log.read_text("utf-8", "replace")) from None
                time.sleep(0.1)


def _free_port() -> int:
    """marimo can't pick one itself and tell which it was."""
    with bound() as found:
        return found.getsockname()[1]

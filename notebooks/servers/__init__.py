"""Start a server of this folder as a child process: ``server = servers.start("agui")``.

A checkout runs it in the environment of `build/vendors` that `make test` and `make lab` install;
elsewhere it runs in the notebook's own Python.
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENTS = {"a2a": "a2a", "agui": "fasta2a", "openai": "mlflow"}
NOTEBOOKS = Path(__file__).resolve().parents[1]


@dataclass
class Server:
    """A running server and its address."""

    url: str
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """End the server; does nothing if it has ended."""
        self.process.terminate()
        self.process.wait()


def start(name: str, *, seconds: float = 60) -> Server:
    """Run ``uvicorn servers.NAME:app`` on a free port until `Server.stop`, or the kernel's end.

    Raises:
        RuntimeError: the server did not start within ``seconds``; the message is its log.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    log = Path(tempfile.mkdtemp()) / "log.txt"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [_python(name), "-m", "uvicorn", f"servers.{name}:app", "--port", port],
            cwd=NOTEBOOKS,
            env={**os.environ, "PORT": port},
            stdout=sink,
            stderr=sink,
            # An interrupt of the kernel is for the kernel only.
            start_new_session=True,
        )
    server = Server(f"http://127.0.0.1:{port}", process)
    atexit.register(server.stop)
    end = time.monotonic() + seconds
    while "Application startup complete" not in (text := log.read_text()):
        if process.poll() is not None or time.monotonic() > end:
            server.stop()
            raise RuntimeError(f"The server did not start:\n{text}")
        time.sleep(0.05)
    return server


def _python(name: str) -> str:
    folder = NOTEBOOKS.parent / "build" / "vendors" / ENVIRONMENTS.get(name, "")
    python = folder / "bin" / "python"
    return str(python) if python.exists() else sys.executable

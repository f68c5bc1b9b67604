"""Real servers in the environments of their vendors, and turns of other processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from tests.patience import looks
from tests.ports import bound

# One run, recorded in a store of its own.
_FIRST_TURN = """
import sys, agentnb
agentnb.history.use(sys.argv[3])
print(agentnb.agent(sys.argv[1], base_url=sys.argv[2]).run("tea?").session_id)
agentnb.history.use("off")
"""


@contextmanager
def running(
    folder: Path, command: Sequence[Path | str], health: str, more: Mapping[str, str] | None = None
) -> Generator[str, None, None]:
    """Run a server in ``folder`` on a free port until the block ends; yield its address.

    ``{port}`` in ``command`` and in the variables ``more`` is the port; ``health`` is a path that
    answers once the server is up.
    """
    assert Path(command[0]).exists(), f"{command[0]} is missing: run make test, which installs it"
    free = bound()
    port = str(free.getsockname()[1])
    free.close()
    keep = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    own = {name: value.replace("{port}", port) for name, value in (more or {}).items()}
    log = folder / "log.txt"
    with log.open("wb") as sink:
        server = subprocess.Popen(
            [str(part).replace("{port}", port) for part in command],
            cwd=folder,
            env={**keep, "HOME": str(folder), **own},
            stdout=sink,
            stderr=sink,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_up(url + health, server, log)
        yield url
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def first_turn(agent: str, url: str, store: Path) -> str:
    """Run an agent in another process, which records it in ``store``; return the session."""
    command = [sys.executable, "-c", _FIRST_TURN, agent, url, str(store)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _wait_until_up(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in looks(120):
        try:
            with urlopen(url, timeout=5):
                return
        except OSError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)
    raise AssertionError(f"the server did not start: {log.read_text()}")

"""Opens the notebooks in JupyterLab, on the first free port from Jupyter's usual one."""

from __future__ import annotations

import os
import sys

import bootstrap


def main() -> None:
    command = [str(bootstrap.PYTHON), "-m", "jupyterlab", str(bootstrap.ROOT / "notebooks")]
    if bootstrap.is_root():
        # Jupyter refuses root by default, and a container's user is root.
        command.append("--allow-root")
    os.chdir(bootstrap.ROOT)
    os.execve(command[0], command, bootstrap.environment())


if __name__ == "__main__":
    sys.exit(main())

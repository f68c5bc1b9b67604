"""Opens the notebooks in JupyterLab, on the first free port from Jupyter's usual one."""

from __future__ import annotations

import os
import subprocess
import sys

import bootstrap

# Environments of the servers that notebooks start, see notebooks/servers.
SERVERS = ("a2a", "fasta2a", "mlflow")


def main() -> None:
    try:
        with bootstrap.one_at_a_time():
            for name in SERVERS:
                bootstrap.ensure_vendor(name)
    except subprocess.CalledProcessError:
        # The other notebooks need none of them.
        print("lab: the notebooks of open protocols need packages that cannot be installed")
    command = [str(bootstrap.PYTHON), "-m", "jupyterlab", str(bootstrap.ROOT / "notebooks")]
    if bootstrap.is_root():
        # Jupyter refuses root by default, and a container's user is root.
        command.append("--allow-root")
    os.chdir(bootstrap.ROOT)
    os.execve(command[0], command, bootstrap.environment())


if __name__ == "__main__":
    sys.exit(main())

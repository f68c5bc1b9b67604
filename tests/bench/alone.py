"""What is measured in a process of its own, and the memory of a process."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from pathlib import Path
from typing import Any, Final

__all__ = ["KIB", "MB", "peak", "resident", "tell", "told_by"]

KIB: Final = 2**10
MB: Final = 10**6
_STATUS: Final = Path("/proc/self/status")


async def told_by(module: str, *arguments: object) -> Any:
    """Run ``python -m module`` with ``arguments``; return what it gave to `tell`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "ignore", "-m", module, *map(str, arguments)),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"A process of the measurement failed: {module}.")
    return json.loads(out.splitlines()[-1])


def tell(value: object) -> None:
    """Say what was measured, as the last thing that the process says."""
    print(json.dumps(value), flush=True)


def resident() -> int:
    """Return the bytes of memory that this process holds now."""
    return _memory("VmRSS:")


def peak() -> int:
    """Return the most bytes of memory that this process ever held."""
    return _memory("VmHWM:")


def _memory(name: str) -> int:
    if _STATUS.exists():
        # Not `getrusage`: on Linux, its peak begins with that of the parent process.
        for line in _STATUS.read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * KIB
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * KIB

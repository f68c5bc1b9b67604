"""This machine's name and the state of its processes."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Final

from agentnb.store.values import to_micros

# Clocks are set, and `ps` reports whole seconds: tolerance of two readings, in microseconds.
_START_TOLERANCE: Final = 2_500_000
# Name that Linux gives the PID namespace outside of all containers.
_ROOT_NAMESPACE: Final = "pid:[4026531836]"


def host_name() -> str:
    """Return a name that distinguishes this machine or container from others that use the store."""
    parts = [socket.gethostname()]
    if (boot := _boot_id()) is not None:
        parts.append(boot)
    with suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
        # Containers may share a name, and each numbers its own processes.
        if namespace != _ROOT_NAMESPACE:
            parts.append(namespace)
    return " ".join(parts)


@cache
def _boot_id() -> str | None:
    with suppress(OSError, ValueError):
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip() or None
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessInfo:
    """State of a process.

    ``is_zombie``: it has ended and was not reaped.  ``started_at`` is in microseconds, by a clock
    that may have been set since; ``ticks`` count from the boot, None where unknown.
    """

    is_zombie: bool
    started_at: int
    ticks: int | None = None


def process_info(pid: int) -> ProcessInfo | None:
    """Return the state of the process ``pid``, None where it is unknown."""
    try:
        # The name of the program, in parentheses, may contain blanks and parentheses.
        stat = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        boot_time = re.search(rb"^btime (\d+)$", Path("/proc/stat").read_bytes(), re.MULTILINE)
        if boot_time is not None:
            ticks = int(stat[19])
            started = int(boot_time[1]) + ticks / os.sysconf("SC_CLK_TCK")
            return ProcessInfo(
                is_zombie=stat[0] in (b"Z", b"X"), started_at=int(started * 1_000_000), ticks=ticks
            )
    except (OSError, ValueError, IndexError):
        pass
    return None if sys.platform in ("linux", "win32") else _info_from_ps(pid)


def _info_from_ps(pid: int) -> ProcessInfo | None:
    try:
        output = subprocess.run(
            ["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)],
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=2,
            check=True,
        ).stdout
        state, _, start = output.strip().partition(" ")
        started = datetime.strptime(start.strip(), "%a %b %d %H:%M:%S %Y").astimezone()
        return ProcessInfo(is_zombie=state.startswith("Z"), started_at=to_micros(started))
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def is_unique_host() -> bool:
    """Return whether no other machine can have the same `host_name`."""
    return _boot_id() is not None


def is_process_alive(pid: int, started_at: int, ticks: str) -> bool | None:
    """Return whether the process ``pid`` of this machine is the one started at that time.

    ``ticks`` is its start in clock ticks since the boot, "" where unknown.  None where the system
    does not say.
    """
    if sys.platform == "win32":
        # os.kill would end the process.
        return None
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # another user's process, and alive
    info = process_info(pid)
    if info is None:
        return True
    if info.ticks is not None and ticks.isdigit():
        return not info.is_zombie and info.ticks == int(ticks)
    return not info.is_zombie and abs(info.started_at - started_at) <= _START_TOLERANCE

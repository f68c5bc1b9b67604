"""This machine and its processes, as its system tells of them."""

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

from agentnb.store.timestamps import to_micros

__all__ = ["FoundProcess", "found_process", "host_name", "is_unique", "lives"]

# Clocks are set, and `ps` tells whole seconds: what two readings of one start may differ by.
_SAME_START: Final = 2_500_000
# What Linux calls the numbering of processes outside of all containers.
_OUTERMOST: Final = "pid:[4026531836]"


def host_name() -> str:
    """Return what tells this machine, or container, from others that share the store."""
    told = [socket.gethostname()]
    if (boot := _boot()) is not None:
        told.append(boot)
    with suppress(OSError):
        numbering = str(Path("/proc/self/ns/pid").readlink())
        # Containers may have one name and each its own processes of the same numbers.
        if numbering != _OUTERMOST:
            told.append(numbering)
    return " ".join(told)


@cache
def _boot() -> str | None:
    """Return what no other machine has, nor this one after it was started again."""
    with suppress(OSError, ValueError):
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip() or None
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundProcess:
    """A process as the system shows it.

    ``is_over``: it has ended, though nobody took note of that yet.  ``started_at`` in microseconds,
    by a clock that may have been set since; ``ticks`` from the boot, where the system tells them.
    """

    is_over: bool
    started_at: int
    ticks: int | None = None


def found_process(pid: int) -> FoundProcess | None:
    """Return the process ``pid``, None where nobody tells of it."""
    try:
        # The name of the program, in parentheses, may hold blanks and parentheses itself.
        stat = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        booted = re.search(rb"^btime (\d+)$", Path("/proc/stat").read_bytes(), re.MULTILINE)
        if booted is not None:
            ticks = int(stat[19])
            started = int(booted[1]) + ticks / os.sysconf("SC_CLK_TCK")
            return FoundProcess(
                is_over=stat[0] in (b"Z", b"X"), started_at=int(started * 1_000_000), ticks=ticks
            )
    except (OSError, ValueError, IndexError):
        pass
    return None if sys.platform in ("linux", "win32") else _told_by_ps(pid)


def _told_by_ps(pid: int) -> FoundProcess | None:
    try:
        told = subprocess.run(
            ["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)],
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=2,
            check=True,
        ).stdout
        state, _, started = told.strip().partition(" ")
        moment = datetime.strptime(started.strip(), "%a %b %d %H:%M:%S %Y").astimezone()
        return FoundProcess(is_over=state.startswith("Z"), started_at=to_micros(moment))
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def is_unique() -> bool:
    """Tell whether no other machine has the `host_name` of this one."""
    return _boot() is not None


def lives(pid: int, started_at: int, ticks: str) -> bool | None:
    """Tell whether the process ``pid`` of this machine is the one that was started then.

    ``ticks`` is when it was in clock ticks since the boot, "" where that is not known.  None where
    the system does not tell of processes.
    """
    if sys.platform == "win32":
        # The call that asks whether a process lives would end it.
        return None
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # somebody else's, and alive
    found = found_process(pid)
    if found is None:
        return True
    if found.ticks is not None and ticks.isdigit():
        return not found.is_over and found.ticks == int(ticks)
    return not found.is_over and abs(found.started_at - started_at) <= _SAME_START

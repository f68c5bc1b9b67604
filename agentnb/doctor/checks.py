"""Run checks concurrently, each in its own thread and with its own deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from agentnb._loop import submit
from agentnb.doctor.report import Finding, failed, note, problem
from agentnb.errors import AgentnbError

T = TypeVar("T")

# Seconds between two looks of a waiting main thread: Windows delivers Ctrl-C only then.
_POLL: Final = 0.1
_BUSY: Final = "This machine is busy: 'agentnb doctor --timeout 60' waits for longer."
_REPORT: Final = "Please report it, with what 'agentnb doctor --json' prints."


@dataclass(frozen=True, slots=True)
class DoctorCheck:
    """One check: ``run`` yields findings, in a thread of its own.

    After ``timeout`` seconds it is abandoned, with the hint ``if_late``.  A local check that times
    out is a note, any other a problem.
    """

    name: str
    run: Callable[[], Iterable[Finding]]
    timeout: float = 5.0
    if_late: str = _BUSY
    is_local: bool = False


def run_checks(checks: Sequence[DoctorCheck]) -> list[Finding]:
    """Run the checks concurrently and return their findings, in the order of the checks."""
    started = time.monotonic()
    running = [(check, list[Finding](), threading.Event()) for check in checks]
    for each in running:
        name = f"agentnb-doctor-{each[0].name}"
        # A daemon thread, so that a hanging check cannot keep the process alive.
        threading.Thread(target=_run, args=each, name=name, daemon=True).start()
    for check, _, done in running:
        while not done.is_set() and (left := started + check.timeout - time.monotonic()) > 0:
            done.wait(min(_POLL, left))
    result: list[Finding] = []
    for check, findings, done in running:
        is_late = not done.is_set()
        result += findings
        if is_late:
            message = f"This check did not end within {check.timeout:g} s."
            result.append((note if check.is_local else problem)(check.name, message, check.if_late))
    return result


def _run(check: DoctorCheck, findings: list[Finding], done: threading.Event) -> None:
    try:
        for finding in check.run():
            findings.append(finding)  # noqa: PERF402 - those before an error are kept
    except AgentnbError as error:
        findings.append(failed(check.name, error))
    # Including SystemExit raised by an imported module: the other checks are still useful.
    except BaseException as error:
        message = f"This check itself failed: {type(error).__name__}: {error}"
        findings.append(problem(check.name, message, _REPORT))
    finally:
        done.set()


def run_on_loop(coroutine: Coroutine[Any, Any, T], *, timeout: float) -> T:
    """Run a coroutine on the background loop and return its result.

    Raises:
        TimeoutError: it took longer than ``timeout`` seconds, and was cancelled.
    """
    future = submit(coroutine)
    try:
        return future.result(timeout)
    except FutureTimeoutError:
        # Since Python 3.11 the coroutine itself may have raised the same class.
        if not future.cancel():
            raise
        raise TimeoutError(f"no answer within {timeout:g} s") from None

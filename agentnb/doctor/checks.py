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

__all__ = ["DoctorCheck", "run_checks", "run_on_loop"]

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


class _RunningCheck:
    """A check in its thread, and its findings so far."""

    def __init__(self, check: DoctorCheck) -> None:
        self.check = check
        self.done = threading.Event()
        self._findings: list[Finding] = []
        self._lock = threading.Lock()
        self._is_closed = False

    def start(self) -> None:
        name = f"agentnb-doctor-{self.check.name}"
        # A daemon thread, so that a hanging check cannot keep the process alive.
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def close(self) -> list[Finding]:
        """Return the findings, with a timeout if the check still runs; ignore later ones."""
        with self._lock:
            self._is_closed = True
            findings = list(self._findings)
        if not self.done.is_set():
            message = f"This check did not end within {self.check.timeout:g} s."
            level = note if self.check.is_local else problem
            findings.append(level(self.check.name, message, self.check.if_late))
        return findings

    def _add(self, finding: Finding) -> None:
        with self._lock:
            if not self._is_closed:
                self._findings.append(finding)

    def _run(self) -> None:
        try:
            for finding in self.check.run():
                self._add(finding)
        except AgentnbError as error:
            self._add(failed(self.check.name, error))
        # Including SystemExit raised by an imported module: the other checks are still useful.
        except BaseException as error:
            message = f"This check itself failed: {type(error).__name__}: {error}"
            self._add(problem(self.check.name, message, _REPORT))
        finally:
            self.done.set()


def run_checks(checks: Sequence[DoctorCheck]) -> list[Finding]:
    """Run the checks concurrently and return their findings, in the order of the checks."""
    started = time.monotonic()
    running = [_RunningCheck(check) for check in checks]
    for each in running:
        each.start()
    for each in running:
        deadline = started + each.check.timeout
        while not each.done.is_set() and (left := deadline - time.monotonic()) > 0:
            each.done.wait(min(_POLL, left))
    return [finding for each in running for finding in each.close()]


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

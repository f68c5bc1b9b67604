"""Carrying checks out: all at once, each on its own, none for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from agentnb._loop import submit
from agentnb.doctor.findings import Finding, note, problem, refusal
from agentnb.errors import AgentnbError

__all__ = ["Check", "Tell", "carry_out", "on_loop"]

T = TypeVar("T")
Tell = Callable[[Finding], None]

# How often a blocked main thread looks up, in seconds: Windows delivers Ctrl-C only then.
_TICK: Final = 0.1
_BUSY: Final = "This machine is busy: 'agentnb doctor --timeout 60' waits for longer."
_REPORT: Final = "Please report it, with what 'agentnb doctor --json' prints."


@dataclass(frozen=True, slots=True)
class Check:
    """One check: ``look`` tells what it finds, on a thread of its own.

    After ``seconds`` it is not waited for any more; ``if_late`` is what to do then.  One that waits
    for nobody else, ``is_local``, is not wrong because it is late.
    """

    name: str
    look: Callable[[Tell], None]
    seconds: float = 5.0
    if_late: str = _BUSY
    is_local: bool = False


class _Going:
    """A check that goes on, and what it told so far."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self.done = threading.Event()
        self._found: list[Finding] = []
        self._lock = threading.Lock()
        self._is_closed = False

    def start(self) -> None:
        name = f"agentnb-doctor-{self.check.name}"
        # A daemon: what hangs in it must not keep the process from ending.
        threading.Thread(target=self._look, name=name, daemon=True).start()

    def close(self) -> list[Finding]:
        """Return what was found, and that it took too long where it did; later words are lost."""
        with self._lock:
            self._is_closed = True
            found = list(self._found)
        if not self.done.is_set():
            says = f"This check did not end within {self.check.seconds:g} s."
            late = note if self.check.is_local else problem
            found.append(late(self.check.name, says, self.check.if_late))
        return found

    def _tell(self, finding: Finding) -> None:
        with self._lock:
            if not self._is_closed:
                self._found.append(finding)

    def _look(self) -> None:
        try:
            self.check.look(self._tell)
        except AgentnbError as error:
            self._tell(refusal(self.check.name, error))
        # Whatever it is, SystemExit of a stranger's module too: the other checks are of use still.
        except BaseException as error:
            says = f"This check itself failed: {type(error).__name__}: {error}"
            self._tell(problem(self.check.name, says, _REPORT))
        finally:
            self.done.set()


def carry_out(checks: Sequence[Check]) -> list[Finding]:
    """Return what the checks find, in their order; takes as long as the slowest may."""
    began = time.monotonic()
    going = [_Going(check) for check in checks]
    for each in going:
        each.start()
    for each in going:
        until = began + each.check.seconds
        while not each.done.is_set() and (left := until - time.monotonic()) > 0:
            each.done.wait(min(_TICK, left))
    return [finding for each in going for finding in each.close()]


def on_loop(work: Coroutine[Any, Any, T], *, seconds: float) -> T:
    """Run ``work`` on the background loop and return what it brings.

    Raises:
        TimeoutError: it took longer than that, and was cancelled.
    """
    future = submit(work)
    try:
        return future.result(seconds)
    except FutureTimeoutError:
        # In Python 3.11 this is also what the work itself may raise.
        if not future.cancel():
            raise
        raise TimeoutError(f"no answer within {seconds:g} s") from None

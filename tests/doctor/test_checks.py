"""Checks stand alone: what fails or hangs is a finding, and stops no other."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator

import pytest

from agentnb.doctor.checks import DoctorCheck, run_checks, run_on_loop
from agentnb.doctor.report import Finding, note, ok
from agentnb.errors import ConfigError


def fine() -> Iterator[Finding]:
    yield ok("fine", "works")


def test_a_check_that_raises_is_a_finding() -> None:
    def broken() -> Iterator[Finding]:
        yield note("broken", "so far so good")
        raise ZeroDivisionError("one by zero")

    first, second, third = run_checks([DoctorCheck("broken", broken), DoctorCheck("fine", fine)])
    assert first.says == "so far so good", "what it found before is kept"
    assert second.level == "problem"
    assert second.check == "broken"
    assert "ZeroDivisionError: one by zero" in second.says
    assert "doctor --json" in second.hint
    assert third.says == "works"


def test_the_hint_of_an_error_is_kept() -> None:
    def refused() -> Iterator[Finding]:
        raise ConfigError("It is wrong.", hint="Mend it.")
        yield ok("settings", "not reached")

    (found,) = run_checks([DoctorCheck("settings", refused)])
    assert (found.level, found.says, found.hint) == ("problem", "It is wrong.", "Mend it.")


def test_a_check_that_ends_the_process_does_not() -> None:
    found = run_checks([DoctorCheck("leaving", lambda: sys.exit(3)), DoctorCheck("fine", fine)])
    assert [f.level for f in found] == ["problem", "ok"]


def test_a_check_that_hangs_is_left_behind() -> None:
    freed = threading.Event()
    late = threading.Event()

    def hanging() -> Iterator[Finding]:
        yield ok("hanging", "began")
        freed.wait(60)
        yield ok("hanging", "too late")
        late.set()

    checks = [
        DoctorCheck("hanging", hanging, timeout=0.3, if_late="Pull the plug."),
        DoctorCheck("fine", fine),
    ]
    found = run_checks(checks)
    freed.set()
    assert [f.says for f in found] == [
        "began",
        "This check did not end within 0.3 s.",
        "works",
    ]
    assert found[1].level == "problem"
    assert found[1].hint == "Pull the plug."
    assert late.wait(10)
    assert len(found) == 3


def test_a_late_local_check_is_a_note() -> None:
    freed = threading.Event()

    def waiting() -> Iterator[Finding]:
        freed.wait(60)
        yield ok("own", "too late")

    (found,) = run_checks([DoctorCheck("own", waiting, timeout=0.1, is_local=True)])
    freed.set()
    assert found.level == "note"
    assert "--timeout 60" in found.hint


def test_checks_go_on_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=20)

    def meet() -> Iterator[Finding]:
        both.wait()
        yield ok("met", "the other one")

    found = run_checks(
        [DoctorCheck("one", meet, timeout=30), DoctorCheck("other", meet, timeout=30)]
    )
    assert [f.level for f in found] == ["ok", "ok"]


def test_work_on_the_loop_is_cancelled_when_its_time_is_up() -> None:
    cancelled = threading.Event()

    async def endless() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    with pytest.raises(TimeoutError, match=r"0\.1 s"):
        run_on_loop(endless(), timeout=0.1)
    assert cancelled.wait(10)


def test_a_time_out_of_the_work_itself_stays_its_own() -> None:
    async def out_of_time() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        run_on_loop(out_of_time(), timeout=30)

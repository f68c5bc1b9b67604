"""Who this process is, and whether others live."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest

from agentnb.store import host
from agentnb.store.processes import is_gone, process_row, user_name
from agentnb.store.values import now

SECOND = 1_000_000


class TestWhoLives:
    def test_this_one(self) -> None:
        row = process_row()
        assert not is_gone(row["host"], row["pid"], row["started_at"], row["seen_at"])
        assert abs(row["started_at"] - now()) < 3600 * SECOND

    def test_one_that_was_ended(self) -> None:
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait(30)
        assert is_gone(process_row()["host"], ended.pid, now(), now())

    def test_a_machine_of_the_same_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its numbers say nothing here; only what it last said does."""
        name = socket.gethostname()
        assert not is_gone(name, 2**22 + 1, now(), now() - 119 * SECOND)
        other = f"{name} 00000000-0000-0000-0000-000000000000 @1"
        assert not is_gone(other, 2**22 + 1, now(), now() - 119 * SECOND)
        assert is_gone(other, 2**22 + 1, now(), now() - 121 * SECOND)
        # Where nothing tells machines apart, the number counts after a while.
        monkeypatch.setattr(host, "_boot_id", lambda: None)
        unsure = process_row()["host"].partition(" @")[0]
        assert not is_gone(unsure, 2**22 + 1, now(), now() - 29 * SECOND)
        assert is_gone(unsure, 2**22 + 1, now(), now() - 31 * SECOND)

    @pytest.mark.skipif(sys.platform != "linux", reason="only where starts are told in ticks")
    def test_a_clock_that_was_set(self) -> None:
        row = process_row()
        started = row["started_at"] - 3600 * SECOND
        assert not is_gone(row["host"], row["pid"], started, row["seen_at"])

    def test_the_start_is_the_same_whenever_it_is_asked(self) -> None:
        first = process_row()["started_at"]
        time.sleep(0.01)
        assert process_row()["started_at"] == first

    def test_without_a_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AGENTNB_USER", " Ada ")
        assert user_name() == "Ada"

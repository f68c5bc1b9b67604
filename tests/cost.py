"""Measure what work costs in a way that neither a slow machine nor a busy one changes."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Cost", "steps"]

_PATTERN = re.compile(r"(\w+)=(\d+)")
_TEXT = "some text, name=12 " * 1_000


def steps(work: Callable[[], object]) -> int:
    """Return how many calls of functions some work takes."""
    count = 0

    def note(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


class Cost(AbstractContextManager["Cost"]):
    """Measure the processor time of a block in this thread, on the scale of an idle machine.

    A fixed piece of work is timed before and after the block; ``seconds`` is the block's time
    divided by the slower of both, times what the piece takes on an idle server.
    """

    _REFERENCE = 0.025

    seconds: float

    def __enter__(self) -> Cost:
        self._unit = _time_reference()
        self._start = time.thread_time()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        taken = time.thread_time() - self._start
        self.seconds = taken * self._REFERENCE / max(self._unit, _time_reference())


def _time_reference() -> float:
    start = time.thread_time()
    for _ in range(10):
        found = {name + value: len(value) for name, value in _PATTERN.findall(_TEXT)}
        sorted([*found, *_TEXT.split()])
    return time.thread_time() - start

"""What is left of a script: each fault counts the connections that it happened to."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from agentnb.sandbox.faulty.script import Fault, Kind, Script
from agentnb.sandbox.faulty.wire import Wire

__all__ = ["Book", "Faults", "Plan"]

# How long a request that was refused may take to come again, in seconds; a client may wait as long
# as it was told to.
_PATIENCE: Final = 180.0
_MOST: Final = 1000


class Plan:
    """One script for one run, from its first connection to its last."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self._left: list[int | None] = [fault.times for fault in script.faults]

    def next(self, kind: Kind) -> list[Fault]:
        """Return what happens to the next connection, and count it.

        What refuses it happens alone; the rest has its turn on the connections after it.
        """
        due = [
            place
            for place, fault in enumerate(self.script.faults)
            if fault.concerns(kind) and self._left[place] != 0
        ]
        faults = self.script.faults
        refusing = next((place for place in due if faults[place].refuses), None)
        if refusing is not None:
            due = [refusing]
        for place in due:
            left = self._left[place]
            self._left[place] = None if left is None else left - 1
        return [faults[place] for place in due]


class Book:
    """The plans of requests that belong to no run yet, because they were refused.

    A request that is made again is known by its key.
    """

    def __init__(self) -> None:
        self._plans: OrderedDict[str, tuple[Plan, float]] = OrderedDict()

    def plan(self, key: str, script: Script) -> Plan:
        """Return what is left of ``script`` for a request, all of it where it is new."""
        now = time.monotonic()
        plan, at = self._plans.pop(key, (None, now))
        if plan is None or plan.script.text != script.text or now - at > _PATIENCE:
            plan = Plan(script)
        self._plans[key] = (plan, now)
        if len(self._plans) > _MOST:
            self._plans.popitem(last=False)
        return plan

    def forget(self, key: str) -> None:
        """Forget the plan of a request that became a run."""
        self._plans.pop(key, None)


@dataclass(slots=True)
class Faults:
    """What a sandbox is told: the script for all that bring none, and how long runs are kept.

    ``keep`` is how many seconds a run goes on after its last client left.  ``stuck`` are the
    connections that a fault holds up.
    """

    script: Script | None = None
    keep: float = 0.0
    stuck: set[Wire] = field(default_factory=set[Wire])

    @contextmanager
    def holding(self, wire: Wire) -> Generator[None, None, None]:
        """Count a connection among those that are held up."""
        self.stuck.add(wire)
        try:
            yield
        finally:
            self.stuck.discard(wire)

    def let_go(self) -> None:
        """End every connection that is held up, so that nobody waits for it."""
        for wire in list(self.stuck):
            wire.transport.abort()

"""Plans: how many connections each fault of a script has left."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from agentnb.sandbox.fault_connection import Connection
from agentnb.sandbox.fault_script import Fault, FaultScript, Kind, refuses

# Seconds within which a refused request may be retried; a client may honour a long Retry-After.
_RETRY_WITHIN: Final = 180.0
_MAX_PLANS: Final = 1000


class FaultPlan:
    """One script for the connections of one run."""

    def __init__(self, script: FaultScript) -> None:
        self.script = script
        self._left: list[int | None] = [fault.times for fault in script.faults]

    def next(self, kind: Kind) -> list[Fault]:
        """Return the faults of the next connection, and count them.

        A refusal happens alone; the others wait for later connections.
        """
        faults = self.script.faults
        due = [i for i, f in enumerate(faults) if f.concerns(kind) and self._left[i] != 0]
        due = [i for i in due if refuses(faults[i])][:1] or due
        for i in due:
            left = self._left[i]
            self._left[i] = None if left is None else left - 1
        return [faults[i] for i in due]


class PendingPlans:
    """Plans of refused requests, which have no run yet, by the key of the request."""

    def __init__(self) -> None:
        self._plans: OrderedDict[str, tuple[FaultPlan, float]] = OrderedDict()

    def plan(self, key: str, script: FaultScript) -> FaultPlan:
        """Return the plan of a request, a new one where it is not a retry."""
        now = time.monotonic()
        plan, at = self._plans.pop(key, (None, now))
        if plan is None or plan.script.text != script.text or now - at > _RETRY_WITHIN:
            plan = FaultPlan(script)
        self._plans[key] = (plan, now)
        if len(self._plans) > _MAX_PLANS:
            self._plans.popitem(last=False)
        return plan

    def forget(self, key: str) -> None:
        self._plans.pop(key, None)


@dataclass(slots=True)
class FaultSettings:
    """A sandbox's default script, and for how long its runs continue without a client.

    ``keep`` is in seconds.  ``stuck`` are the connections that a fault holds up.
    """

    script: FaultScript | None = None
    keep: float = 0.0
    stuck: set[Connection] = field(default_factory=set[Connection])

    @contextmanager
    def holding(self, connection: Connection) -> Generator[None, None, None]:
        self.stuck.add(connection)
        try:
            yield
        finally:
            self.stuck.discard(connection)

    def abort_held(self) -> None:
        """Abort every connection that a fault holds up."""
        for connection in list(self.stuck):
            connection.transport.abort()

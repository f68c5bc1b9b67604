"""What goes wrong in a soak, and how a script reaches the sandbox on each platform."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

__all__ = ["FAULTS", "PARAMS", "Fault"]

Fault = Callable[[random.Random], str]

#: Name -> a script.  ``times`` is such that a patient client gets through, but for the last ones.
FAULTS: Final[dict[str, Fault]] = {
    "none": lambda r: "",
    "reset": lambda r: f"drop after={r.randint(0, 4000)} times={r.randint(1, 3)}",
    "close": lambda r: f"drop after={r.randint(0, 4000)} how=close times={r.randint(1, 3)}",
    "short": lambda r: f"drop after={r.randint(0, 4000)} how=short times={r.randint(1, 3)}",
    "reset at an event": lambda r: f"drop events={r.randint(0, 20)} times={r.randint(1, 3)}",
    "clean end": lambda r: f"end events={r.randint(1, 20)} times={r.randint(1, 3)}",
    "no connection": lambda r: f"drop times={r.randint(1, 2)} on=start",
    "503": lambda r: f"status 503 times={r.randint(1, 2)} on=start",
    "429": lambda r: f"status 429 retry_after=1 times={r.randint(1, 2)} on=start",
    "429, then reset": lambda r: (
        f"status 429 retry_after=1 times=1 on=start; drop after={r.randint(0, 3000)} times=2"
    ),
    "stall": lambda r: f"stall after={r.randint(0, 2000)} seconds=0.5 times=1",
    "slow head": lambda r: "slow-head seconds=0.5 times=1",
    "compressed": lambda r: r.choice(("compress gzip", "compress deflate")),
    "compressed, reset": lambda r: f"compress gzip; drop after={r.randint(0, 1500)} times=1",
    "malformed event": lambda r: f"malformed events={r.randint(1, 20)} times=1",
    "duplicate event": lambda r: f"duplicate events={r.randint(1, 20)} times=1",
    "wrong type": lambda r: "type text/html times=1",
    "error event": lambda r: f"error events={r.randint(1, 20)} times=1",
    "always reset": lambda r: f"drop after={r.randint(1, 300)}",
    "always 500": lambda r: "status 500 on=start",
}

#: Platform -> a run's parameters that carry a script.
PARAMS: Final[dict[str, Callable[[str], dict[str, Any]]]] = {
    "seekr": lambda script: {"metadata": {"fault": script}},
    "runagent": lambda script: {"parameters": {"fault": script}},
    "operativus": lambda script: {"model": f"fault: {script}"},
    "runtools": lambda script: {"metadata": {"fault": script}},
}

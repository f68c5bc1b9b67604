"""Whether an answer arrives as it is written, or is held back and arrives at once.

A proxy that collects an answer before it passes it on is not seen by any single request: only the
times at which the pieces of an answer arrive tell.  To have an answer costs a run, but for the
sandbox, whose echo is told how long to wait between its pieces.
"""

from __future__ import annotations

import asyncio
import json
import statistics
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from agentnb.config import EMBEDDED, Config
from agentnb.doctor.checking import Tell, on_loop
from agentnb.doctor.findings import Finding, note, ok, problem
from agentnb.doctor.platforms import client_of, listed_agents, patience
from agentnb.errors import AgentnbError
from agentnb.event import Event, ReasoningDelta, RunFailed, TextDelta
from agentnb.platforms import registry
from agentnb.platforms.base import Platform, RunRequest
from agentnb.platforms.tape import now_playing

__all__ = ["Arrivals", "judge", "look_at_sandbox", "look_at_stream", "measure"]

# What the sandbox's echo is asked: so many pieces, so far apart.
_PIECES: Final = 12
_APART_MS: Final = 40
_PACED: Final = _PIECES * _APART_MS / 1000
_QUESTION: Final = "Count from one to forty in words, separated by commas."
# Pieces that arrive closer to each other than this came together, in seconds.
_TOGETHER: Final = 0.01
# Fewer pieces than this tell nothing, and an answer that took no time could not be held back.
_FEW: Final = 5
_SOON: Final = 0.3
_BURST: Final = 0.05
_HELD: Final = (
    "Something on the way collects the answer: turn its buffering off for event streams (nginx: "
    "proxy_buffering off), or go around the proxy with NO_PROXY."
)


@dataclass(slots=True)
class Arrivals:
    """When the pieces of an answer arrived, in seconds since it was asked for.

    ``pieces`` are as many as the server wrote; those that arrived in one read have the same time.
    """

    times: list[float] = field(default_factory=list[float])
    failure: str = ""

    @property
    def pieces(self) -> int:
        return len(self.times)

    @property
    def spread(self) -> float:
        """How long the pieces took to arrive, from the first to the last."""
        return self.times[-1] - self.times[0] if self.times else 0.0

    @property
    def gaps(self) -> list[float]:
        """The times between pieces that did not arrive together."""
        apart = zip(self.times[1:], self.times, strict=False)
        return [gap for after, before in apart if (gap := after - before) > _TOGETHER]


async def measure(client: Platform, request: RunRequest, *, seconds: float) -> Arrivals:
    """Ask ``request`` and return when the pieces of its answer arrived; close the client.

    Raises:
        AgentnbError: there was no answer, or not within ``seconds``.
    """
    loop = asyncio.get_running_loop()
    arrivals = Arrivals()
    try:
        with patience(seconds).applied():
            began = loop.time()
            async with aclosing(client.stream(request)) as batches:
                async for batch in batches:
                    now = loop.time() - began
                    arrivals.times += [now] * _count(batch)
                    for event in batch:
                        if isinstance(event, RunFailed):
                            arrivals.failure = event.message or "it failed"
    finally:
        await client.aclose()
    return arrivals


def judge(check: str, arrivals: Arrivals, *, paced: float | None = None) -> Finding:
    """Return what the times say; ``paced`` is how many seconds the pieces were spread over."""
    if arrivals.pieces < _FEW:
        if arrivals.failure:
            return problem(check, f"The run failed: {arrivals.failure}")
        count = f"{arrivals.pieces or 'no'} {'piece' if arrivals.pieces == 1 else 'pieces'}"
        says = f"The answer came in {count}, which tells nothing."
        return note(check, says, "Name an agent that streams: '--stream PLATFORM:AGENT'.")
    last, pieces = arrivals.times[-1], arrivals.pieces
    at_once = arrivals.spread < (_BURST if paced is None else paced / 3)
    if at_once and (paced is not None or last > _SOON):
        within = f"within {arrivals.spread * 1000:.0f} ms, after {last:.1f} s"
        return problem(check, f"{pieces} pieces of an answer arrived at once: {within}.", _HELD)
    gaps = arrivals.gaps
    if not gaps:
        return ok(check, f"{pieces} pieces within {arrivals.spread:.1f} s")
    together = pieces / (len(gaps) + 1)
    longest = max(gaps)
    if together > 10 and longest > _SOON:
        says = f"{pieces} pieces arrived in {len(gaps) + 1} bursts, up to {longest:.1f} s apart."
        return note(check, says, _HELD)
    usual = statistics.median(gaps) * 1000
    says = f"{pieces} pieces over {arrivals.spread:.1f} s, {usual:.0f} ms apart: nothing holds them"
    return ok(check, f"{says} back")


def look_at_sandbox(tell: Tell, *, current: Config, seconds: float = 9.0) -> None:
    """Tell whether the sandbox answers, and whether its pieces arrive apart."""
    if now_playing() is not None:
        tell(ok(EMBEDDED, "a recording is played back: nothing is asked"))
        return
    agents = listed_agents(client_of(EMBEDDED, current), seconds=seconds)
    tell(ok(EMBEDDED, f"answers, {len(on_loop(agents, seconds=seconds))} agents"))
    told = {"deltas": _PIECES, "size": 8, "delay_ms": _APART_MS, "usage": False}
    request = RunRequest(agent="echo", prompt=json.dumps(told))
    asked = measure(client_of(EMBEDDED, current), request, seconds=seconds)
    tell(judge(f"{EMBEDDED}: stream", on_loop(asked, seconds=seconds), paced=_PACED))


def look_at_stream(
    tell: Tell, *, name: str, agent: str | None, current: Config, seconds: float = 45.0
) -> None:
    """Ask an agent of the platform a short question; tell whether the answer arrives in pieces."""
    check = f"{name}: stream"
    if now_playing() is not None:
        return
    try:
        agent = agent or _default_agent(name, current) or _first_agent(name, current, seconds)
        if agent is None:
            says = "not measured: no agent to ask is known"
            tell(note(check, says, f"Name one: '--stream {name}:AGENT'."))
            return
        request = RunRequest(agent=agent, prompt=_QUESTION)
        asked = measure(client_of(name, current), request, seconds=seconds)
        arrivals = on_loop(asked, seconds=seconds)
    except AgentnbError as error:
        tell(problem(check, f"not measured: {error.message}", error.hint or ""))
        return
    except TimeoutError:
        tell(problem(check, f"The answer did not end within {seconds:g} s."))
        return
    tell(judge(check, arrivals))


def _count(batch: Sequence[Event]) -> int:
    return sum(isinstance(event, TextDelta | ReasoningDelta) for event in batch)


def _default_agent(name: str, current: Config) -> str | None:
    try:
        chosen = current.resolve(None, registry.names())
    except AgentnbError:
        return None
    return chosen.agent if chosen.platform == name else None


def _first_agent(name: str, current: Config, seconds: float) -> str | None:
    client = client_of(name, current)
    if not client.capabilities.list_agents:
        return None
    found = on_loop(listed_agents(client, seconds=seconds), seconds=seconds)
    return found[0].id if found else None

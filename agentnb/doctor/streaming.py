"""Whether an answer arrives as it is written, or is held back and arrives at once.

A proxy that collects an answer before it passes it on is not seen by any single request: only the
times at which the pieces of an answer arrive tell.  To have an answer costs a run, but for the
sandbox, whose echo is told how long to wait between its pieces.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from agentnb.cassettes import now_playing
from agentnb.config import EMBEDDED, Config
from agentnb.doctor.checking import Tell, on_loop
from agentnb.doctor.findings import Finding, note, ok, problem
from agentnb.doctor.platforms import client_of, listed_agents, patience
from agentnb.errors import AgentnbError, DeadlineError
from agentnb.event.types import Event, ReasoningDelta, RunFailed, TextDelta
from agentnb.platforms import registry
from agentnb.platforms.base import Platform, RunRequest

__all__ = ["Arrivals", "judge", "look_at_sandbox", "look_at_stream", "measure"]

# What the sandbox's echo is asked: so many pieces, so far apart.
_PIECES: Final = 12
_APART_MS: Final = 40
_QUESTION: Final = "Count from one to forty in words, separated by commas."
# Pieces that arrive within so many seconds of one another came together.
_TOGETHER: Final = 0.01
# Fewer pieces than this tell nothing.
_FEW: Final = 5
# From how many seconds on a silence counts: any that is seen, and any that the sandbox, whose pace
# is known, does not make.
_SILENCE: Final = 0.3
_SHORT_SILENCE: Final = 0.1
# The share of pieces that came together from which on they are held back: at all, and all at once.
_MOST: Final = 0.5
_ALL: Final = 0.8
# How often is looked whether the loop goes on, in seconds.
_TICK: Final = 0.02
_HELD: Final = (
    "The agent itself writes so, or something on the way collects the answer: turn its buffering "
    "off for event streams (nginx: proxy_buffering off), or go around the proxy with NO_PROXY."
)
_BUSY: Final = "Look again when this machine is idle, and no agent's function blocks the loop."
_SLOW_SANDBOX: Final = (
    "This machine is busy, or an agent's function blocks the loop: look again when it is idle, or "
    "restart the kernel."
)


@dataclass(frozen=True, slots=True)
class Burst:
    """Several pieces that arrived together, after so many seconds of silence."""

    pieces: int
    silence: float


@dataclass(slots=True)
class Arrivals:
    """When the pieces of an answer arrived, in seconds since it was asked for.

    Those that arrived in one read have the same time.  ``stalled`` is the longest time for which
    the loop that noted the times did not go on.
    """

    times: list[float] = field(default_factory=list[float])
    failure: str = ""
    stalled: float = 0.0

    @property
    def pieces(self) -> int:
        """How many pieces the server wrote, in however many reads they arrived."""
        return len(self.times)

    @property
    def spread(self) -> float:
        """How long the pieces took to arrive, from the first to the last."""
        return self.times[-1] - self.times[0] if self.times else 0.0

    @property
    def widest(self) -> float:
        """The longest time from one piece to the next."""
        apart = zip(self.times[1:], self.times, strict=False)
        return max((after - before for after, before in apart), default=0.0)

    def bursts(self, silence: float) -> list[Burst]:
        """Return the pieces that came together after that many seconds of silence or more."""
        found: list[Burst] = []
        groups: list[list[float]] = []
        for moment in self.times:
            if groups and moment - groups[-1][0] <= _TOGETHER:
                groups[-1].append(moment)
            else:
                groups.append([moment])
        last = 0.0
        for group in groups:
            if len(group) > 1 and group[0] - last >= silence:
                found.append(Burst(len(group), group[0] - last))
            last = group[-1]
        return found


async def measure(client: Platform, request: RunRequest, *, seconds: float) -> Arrivals:
    """Ask ``request`` and return when the pieces of its answer arrived; close the client.

    Raises:
        AgentnbError: there was no answer, or not within ``seconds``.
    """
    loop = asyncio.get_running_loop()
    arrivals = Arrivals()
    watching = asyncio.create_task(_watch(arrivals))
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
        watching.cancel()
        await client.aclose()
    return arrivals


async def _watch(arrivals: Arrivals) -> None:
    """Note for how long the loop does not go on, since then nothing arrives by its time."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _TICK
        await asyncio.sleep(_TICK)
        arrivals.stalled = max(arrivals.stalled, loop.time() - due)


def judge(check: str, arrivals: Arrivals, *, here: bool = False) -> Finding:
    """Return what the times say; ``here`` is for the sandbox, which nothing on a way holds back."""
    pieces = arrivals.pieces
    if pieces < _FEW:
        if arrivals.failure:
            return problem(check, f"The run failed: {arrivals.failure}")
        count = f"{pieces or 'no'} {'piece' if pieces == 1 else 'pieces'}"
        says = f"The answer came in {count}, which tells nothing."
        return note(check, says, "Name an agent that streams: '--stream PLATFORM:AGENT'.")
    bursts = arrivals.bursts(_SHORT_SILENCE if here else _SILENCE)
    together = sum(burst.pieces for burst in bursts)
    if together < _MOST * pieces:
        return ok(check, _flow(arrivals, together))
    largest = max(bursts, key=lambda burst: burst.pieces)
    count = f"{len(bursts)} burst{'' if len(bursts) == 1 else 's'}"
    longest = max(burst.silence for burst in bursts)
    says = f"{together} of {pieces} pieces arrived in {count}, after up to {longest:.1f} s"
    if here:
        paced = f"{says}, though sent {_APART_MS} ms apart; nothing is in between."
        return note(check, paced, _BUSY)
    if arrivals.stalled > largest.silence / 2:
        stalled = f"{says}. The loop that reads them stood still for {arrivals.stalled:.1f} s."
        return note(check, f"{stalled} So nothing is known of the way.", _BUSY)
    if largest.pieces >= _ALL * pieces:
        at_once = f"arrived at once, after {largest.silence:.1f} s of silence."
        return problem(check, f"{largest.pieces} of {pieces} pieces of an answer {at_once}", _HELD)
    return note(check, f"{says} of silence each.", _HELD)


def _flow(arrivals: Arrivals, together: int) -> str:
    pieces, widest = arrivals.pieces, arrivals.widest
    if arrivals.times[-1] < _SILENCE:
        within = f"within {arrivals.times[-1] * 1000:.0f} ms of the question"
        return f"{pieces} pieces {within}: too soon to be held back"
    apart = f"{widest:.1f} s" if widest >= 1 else f"{widest * 1000:.0f} ms"
    says = f"{pieces} pieces over {arrivals.spread:.1f} s, at most {apart} apart"
    if together:
        return f"{says}, {together} of them in bursts: most are not held back"
    return f"{says}: nothing holds them back"


def look_at_sandbox(tell: Tell, *, current: Config, seconds: float = 9.0) -> None:
    """Tell whether the sandbox answers, and whether its pieces arrive apart."""
    if now_playing() is not None:
        tell(ok(EMBEDDED, "a recording is played back: nothing is asked"))
        return
    until = time.monotonic() + seconds
    told = {"deltas": _PIECES, "size": 8, "delay_ms": _APART_MS, "usage": False}
    request = RunRequest(agent="echo", prompt=json.dumps(told))

    def left() -> float:
        return max(_TICK, until - time.monotonic())

    def ask() -> Arrivals:
        asked = measure(client_of(EMBEDDED, current), request, seconds=left())
        return on_loop(asked, seconds=left())

    check = EMBEDDED
    try:
        client = client_of(EMBEDDED, current)
        agents = on_loop(listed_agents(client, seconds=left()), seconds=left())
        tell(ok(check, f"answers, {len(agents or [])} agents"))
        check = f"{EMBEDDED}: stream"
        finding = judge(check, ask(), here=True)
        # Whatever else this machine does at the moment may be over at the next.
        tell(finding if finding.level == "ok" else judge(check, ask(), here=True))
    except (TimeoutError, DeadlineError):
        tell(note(check, f"no answer within {seconds:g} s", _SLOW_SANDBOX))


def look_at_stream(
    tell: Tell, *, name: str, agent: str | None, current: Config, seconds: float = 45.0
) -> None:
    """Ask an agent of the platform a short question; tell whether the answer arrives in pieces.

    Where it arrives at once, the question is asked once more.
    """
    check = f"{name}: stream"
    if now_playing() is not None:
        return
    until = time.monotonic() + seconds
    try:
        agent = agent or _default_agent(name, current) or _first_agent(name, current, seconds)
        if agent is None:
            says = "not measured: no agent to ask is known"
            tell(note(check, says, f"Name one: '--stream {name}:AGENT'."))
            return
        request = RunRequest(agent=agent, prompt=_QUESTION)
        arrivals = _asked(name, current, request, until - time.monotonic())
    except AgentnbError as error:
        tell(problem(check, f"not measured: {error.message}", error.hint or ""))
        return
    except TimeoutError:
        hint = "Ask another agent: '--stream PLATFORM:AGENT'."
        tell(problem(check, f"The answer did not end within {seconds:g} s.", hint))
        return
    finding = judge(check, arrivals)
    if finding.level == "problem" and not arrivals.failure:
        finding = _confirmed(finding, name, current, request, until - time.monotonic())
    tell(finding)


def _asked(name: str, current: Config, request: RunRequest, seconds: float) -> Arrivals:
    seconds = max(_TICK, seconds)
    return on_loop(measure(client_of(name, current), request, seconds=seconds), seconds=seconds)


def _confirmed(
    first: Finding, name: str, current: Config, request: RunRequest, seconds: float
) -> Finding:
    """Return what a second answer says, since what held one back need not hold back all."""
    try:
        again = _asked(name, current, request, seconds)
    except (AgentnbError, TimeoutError):
        again = Arrivals()
    if again.pieces >= _FEW:
        return judge(first.check, again)
    return note(first.check, f"{first.says} A second answer did not come.", first.hint)


def _count(batch: Sequence[Event]) -> int:
    return sum(isinstance(event, TextDelta | ReasoningDelta) for event in batch)


def _default_agent(name: str, current: Config) -> str | None:
    try:
        chosen = current.resolve(None, registry.names())
    except AgentnbError:
        return None
    return chosen.agent if chosen.platform == name else None


def _first_agent(name: str, current: Config, seconds: float) -> str | None:
    listing = listed_agents(client_of(name, current), seconds=seconds)
    found = on_loop(listing, seconds=seconds)
    return found[0].id if found else None

"""Check whether a response arrives as it is written, or buffered by a proxy.

Only the arrival times of a response's chunks show whether a proxy buffers it.  Measuring them costs
a run, except in the sandbox, whose echo agent pauses between chunks on request.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from agentnb.cassettes import active_playback
from agentnb.config import EMBEDDED, Config
from agentnb.doctor.checks import run_on_loop
from agentnb.doctor.platforms import list_agents, new_client, single_attempt
from agentnb.doctor.report import Finding, note, ok, problem
from agentnb.errors import AgentnbError, DeadlineError
from agentnb.event.types import ReasoningDelta, RefusalDelta, RunFailed, TextDelta
from agentnb.platforms import registry
from agentnb.platforms.base import Platform, RunRequest

# Chunks that the sandbox's echo agent sends, and milliseconds between them.
_CHUNKS: Final = 12
_INTERVAL_MS: Final = 40
_QUESTION: Final = "Count from one to forty in words, separated by commas."
# Chunks within so many seconds of one another arrived together, if the loop was never blocked: two
# reads of one burst are as far apart as the first takes to process.
_TOGETHER: Final = 0.03
_MIN_CHUNKS: Final = 5
# Seconds of silence before a burst: visible to a reader, or longer than the sandbox's interval.
_SILENCE: Final = 0.3
_SANDBOX_SILENCE: Final = 0.1
# Share of chunks in bursts from which a response counts as buffered, and as buffered completely.
_BUFFERED: Final = 0.5
_ALL_BUFFERED: Final = 0.8
# Seconds between two measurements of the loop's latency.
_TICK: Final = 0.02
_BUFFERING_HINT: Final = (
    "The agent itself writes so, or something on the way collects the answer: turn its buffering "
    "off for event streams (nginx: proxy_buffering off), or go around the proxy with NO_PROXY."
)
_BUSY: Final = "Check again when this machine is idle, and no agent's function blocks the loop."
_SLOW_SANDBOX: Final = (
    "This machine is busy, or an agent's function blocks the loop: check again when it is idle, or "
    "restart the kernel."
)


@dataclass(slots=True)
class Arrivals:
    """Arrival times of a response's chunks, in seconds since the request.

    Chunks of one read have the same time.  ``stalled`` is the longest time for which the measuring
    loop itself was blocked.
    """

    times: list[float] = field(default_factory=list[float])
    failure: str = ""
    stalled: float = 0.0

    def bursts(self, silence: float) -> list[tuple[int, float]]:
        """Return size and preceding silence of chunks that arrived together.

        Only those after at least ``silence`` seconds.
        """
        bursts: list[tuple[int, float]] = []
        together = _TOGETHER + self.stalled
        first = before = 0.0
        for moment in self.times:
            if bursts and moment - first <= together:
                bursts[-1] = (bursts[-1][0] + 1, bursts[-1][1])
            else:
                first = moment
                bursts.append((1, moment - before))
            before = moment
        return [(size, pause) for size, pause in bursts if size > 1 and pause >= silence]


async def measure(client: Platform, request: RunRequest, *, timeout: float) -> Arrivals:
    """Send a request, return the arrival times of its response, and close the client.

    Raises:
        AgentnbError: there was no response, or not within ``timeout`` seconds.
    """
    loop = asyncio.get_running_loop()
    arrivals = Arrivals()
    latency = asyncio.create_task(_measure_latency(arrivals))
    try:
        with single_attempt(timeout).applied():
            started = loop.time()
            async with aclosing(client.stream(request)) as batches:
                async for batch in batches:
                    now = loop.time() - started
                    for event in batch:
                        if isinstance(event, TextDelta | ReasoningDelta | RefusalDelta):
                            arrivals.times.append(now)
                        elif isinstance(event, RunFailed):
                            arrivals.failure = event.message or "it failed"
    finally:
        latency.cancel()
        await client.aclose()
    return arrivals


async def _measure_latency(arrivals: Arrivals) -> None:
    """Record how long the loop is blocked, since chunks then arrive late."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _TICK
        await asyncio.sleep(_TICK)
        arrivals.stalled = max(arrivals.stalled, loop.time() - due)


def assess(check: str, arrivals: Arrivals, *, is_sandbox: bool = False) -> Finding:
    """Return whether a response was buffered; nothing lies between here and the sandbox."""
    chunks = len(arrivals.times)
    if chunks < _MIN_CHUNKS:
        if arrivals.failure:
            return problem(check, f"The run failed: {arrivals.failure}")
        count = f"{chunks or 'no'} {'piece' if chunks == 1 else 'pieces'}"
        message = f"The answer came in {count}, too few to measure."
        return note(check, message, "Name an agent that streams: '--stream PLATFORM:AGENT'.")
    bursts = arrivals.bursts(_SANDBOX_SILENCE if is_sandbox else _SILENCE)
    together = sum(size for size, _ in bursts)
    if together < _BUFFERED * chunks:
        return ok(check, _flow(arrivals, together))
    largest, silence = max(bursts, key=lambda burst: burst[0])
    count = f"{len(bursts)} burst{'' if len(bursts) == 1 else 's'}"
    longest = max(pause for _, pause in bursts)
    message = f"{together} of {chunks} pieces arrived in {count}, after up to {longest:.1f} s"
    if is_sandbox:
        message += f", though sent {_INTERVAL_MS} ms apart; nothing is in between."
        return note(check, message, _BUSY)
    if arrivals.stalled > silence / 2:
        message += f". The loop that reads them stood still for {arrivals.stalled:.1f} s."
        return note(check, f"{message} So nothing is known of the way.", _BUSY)
    if largest >= _ALL_BUFFERED * chunks:
        message = f"arrived at once, after {silence:.1f} s of silence."
        message = f"{largest} of {chunks} pieces of an answer {message}"
        return problem(check, message, _BUFFERING_HINT)
    return note(check, f"{message} of silence each.", _BUFFERING_HINT)


def _flow(arrivals: Arrivals, together: int) -> str:
    """Describe a response that was not buffered."""
    times = arrivals.times
    if times[-1] < _SILENCE:
        within = f"within {times[-1] * 1000:.0f} ms of the question"
        return f"{len(times)} pieces {within}: too soon to be held back"
    widest = max(after - before for after, before in zip(times[1:], times, strict=False))
    apart = f"{widest:.1f} s" if widest >= 1 else f"{widest * 1000:.0f} ms"
    message = f"{len(times)} pieces over {times[-1] - times[0]:.1f} s, at most {apart} apart"
    if together:
        return f"{message}, {together} of them in bursts: most are not held back"
    return f"{message}: nothing holds them back"


def check_sandbox(*, current: Config, timeout: float = 9.0) -> Iterator[Finding]:
    """Report whether the sandbox answers, and whether its chunks arrive apart."""
    check = EMBEDDED
    if active_playback() is not None:
        yield ok(check, "a recording is played back: no request is sent")
        return
    deadline = time.monotonic() + timeout
    options = {"deltas": _CHUNKS, "size": 8, "delay_ms": _INTERVAL_MS, "usage": False}
    request = RunRequest(agent="echo", prompt=json.dumps(options))
    try:
        left = max(_TICK, deadline - time.monotonic())
        listing = list_agents(new_client(EMBEDDED, current), timeout=left)
        yield ok(check, f"answers, {len(run_on_loop(listing, timeout=left) or [])} agents")
        check = f"{EMBEDDED}: stream"
        finding = assess(check, _run(EMBEDDED, current, request, deadline), is_sandbox=True)
        if finding.level != "ok":
            # Once more, since other work on this machine may have delayed it.
            finding = assess(check, _run(EMBEDDED, current, request, deadline), is_sandbox=True)
        yield finding
    except (TimeoutError, DeadlineError):
        yield note(check, f"no answer within {timeout:g} s", _SLOW_SANDBOX)


def check_stream(
    *, name: str, agent: str | None, current: Config, timeout: float = 45.0
) -> Iterator[Finding]:
    """Send an agent a short question and report whether the response is streamed.

    If it arrives at once, the question is sent a second time.
    """
    check = f"{name}: stream"
    if active_playback() is not None:
        return
    deadline = time.monotonic() + timeout
    try:
        agent = agent or _any_agent(name, current, timeout)
        if agent is None:
            hint = f"Name one: '--stream {name}:AGENT'."
            yield note(check, "not measured: no agent is known", hint)
            return
        request = RunRequest(agent=agent, prompt=_QUESTION)
        arrivals = _run(name, current, request, deadline)
    except AgentnbError as error:
        yield problem(check, f"not measured: {error.message}", error.hint or "")
        return
    except TimeoutError:
        hint = "Ask another agent: '--stream PLATFORM:AGENT'."
        yield problem(check, f"The answer did not end within {timeout:g} s.", hint)
        return
    finding = assess(check, arrivals)
    if finding.level == "problem" and not arrivals.failure:
        # Once more, since a single delay does not mean buffering.
        try:
            arrivals = _run(name, current, request, deadline)
        except (AgentnbError, TimeoutError):
            arrivals = Arrivals()
        if len(arrivals.times) >= _MIN_CHUNKS:
            finding = assess(check, arrivals)
        else:
            finding = note(check, f"{finding.says} A second answer did not come.", finding.hint)
    yield finding


def _run(name: str, current: Config, request: RunRequest, deadline: float) -> Arrivals:
    left = max(_TICK, deadline - time.monotonic())
    return run_on_loop(measure(new_client(name, current), request, timeout=left), timeout=left)


def _any_agent(name: str, current: Config, timeout: float) -> str | None:
    """Return the default agent if it is of this platform, else the first that this lists."""
    try:
        default = current.resolve(None, registry.names())
        if default.platform == name:
            return default.agent
    except AgentnbError:
        pass
    agents = run_on_loop(list_agents(new_client(name, current), timeout=timeout), timeout=timeout)
    return agents[0].id if agents else None

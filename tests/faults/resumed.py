"""Runs whose streams are taken up again until they end, and what of them must be the same."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from pydantic import SecretStr

from agentnb._http.options import TransportName
from agentnb._http.retry import Retries
from agentnb.config import PlatformSettings
from agentnb.errors import TransportError
from agentnb.event.transcript import fold
from agentnb.event.types import (
    TERMINAL_EVENTS,
    Event,
    RawEvent,
    ReasoningDelta,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from agentnb.platforms import registry
from agentnb.platforms.base import Platform, Resumes, RunRequest

# Beyond the cuts that a test makes, how often a run may be asked for until it has ended.
_MOST = 200


def platform_at(
    name: str, url: str, key: SecretStr, *, transport: TransportName = "httpx", **options: Any
) -> Platform:
    """A client of its own, which asks once: whoever reads a stream decides what follows."""
    settings = PlatformSettings(
        platform=name,
        base_url=url,
        api_key=key,
        retries=Retries(requests=0),
        trust_env=False,
        transport=transport,
        options=options,
    )
    return registry.load(name)(settings)


async def to_its_end(
    platform: Platform, request: RunRequest, source: AsyncGenerator[list[Event], None]
) -> list[Event]:
    """Every event of a run, its stream taken up again wherever it breaks off."""
    assert isinstance(platform, Resumes)
    found: list[Event] = []
    for _ in range(_MOST):
        try:
            async with aclosing(source) as batches:
                async for batch in batches:
                    found += batch
        except TransportError:
            pass
        if any(isinstance(event, TERMINAL_EVENTS) for event in found):
            return found
        so_far = fold(found)
        source = platform.resume(
            request,
            run_id=so_far.run_id,
            session_id=so_far.session_id,
            delivered=tuple(found),
        )
    raise AssertionError(f"never ended: {fold(found).to_dict()}")


def canonical(events: Sequence[Event], *, raw: bool = True) -> list[Event]:
    """What happened, however it was cut into events and parts, without ids and times of its own.

    ``raw`` False leaves out events that no record of a run knows.
    """
    found: list[Event] = []
    for event in events:
        last = found[-1] if found else None
        match last, event:
            case _, RunStarted():
                continue
            case _, RawEvent() if not raw:
                continue
            case TextDelta(), TextDelta():
                found[-1] = TextDelta(last.text + event.text)
            case ReasoningDelta(), ReasoningDelta():
                found[-1] = ReasoningDelta(last.text + event.text)
            case ToolCallStarted(call_id=began), ToolCallDelta(call_id=went_on, output="") if (
                began == went_on
            ):
                found[-1] = replace(last, arguments=last.arguments + event.arguments)
            case _, TextDelta():
                found.append(TextDelta(event.text))
            case _, ReasoningDelta():
                found.append(ReasoningDelta(event.text))
            case _, RunFinished():
                found.append(replace(event, duration=None, output=None, details={}))
            case _, RunFailed():
                # A record may know that a run failed, and not why.
                found.append(RunFailed(message=""))
            case _, RawEvent():
                found.append(replace(event, data=""))
            case _:
                found.append(event)
    return found


def starts(events: Sequence[Event]) -> list[RunStarted]:
    """The beginnings, each of which must tell something new."""
    return [event for event in events if isinstance(event, RunStarted)]

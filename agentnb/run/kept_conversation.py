"""Conversations of platforms that keep none: from the runs of this process and the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import replace
from uuid import uuid4

from agentnb.errors import RequestError
from agentnb.event.types import Event, RunStarted, StateSnapshot
from agentnb.platforms.base import Message, Platform, RunRequest
from agentnb.recording.base_run import BaseRun
from agentnb.run.request import invoked
from agentnb.store.recent import recent_runs


def send(
    platform: Platform, request: RunRequest, *, stream: bool = True
) -> AsyncGenerator[list[Event], None]:
    """Start a run and yield its events, in one batch without ``stream``.

    Where the platform does not remember conversations, a new session gets an id here, and a
    continued one its messages and its state.
    """
    if platform.capabilities.sessions and not platform.capabilities.remembers:
        return _continued(platform, request, stream=stream)
    return platform.stream(request) if stream else invoked(platform, request)


async def _continued(
    platform: Platform, request: RunRequest, *, stream: bool
) -> AsyncGenerator[list[Event], None]:
    request = await _with_conversation(platform, request)
    yield [RunStarted(session_id=request.session_id)]
    if request.state is not None:
        # What the agent changes is this state.
        yield [StateSnapshot(state=request.state)]
    batches = platform.stream(request) if stream else invoked(platform, request)
    async with aclosing(batches):
        async for batch in batches:
            yield batch


async def _with_conversation(platform: Platform, request: RunRequest) -> RunRequest:
    """Return the request with a session, and the session's messages as its history.

    Raises:
        RequestError: no run of the session is known.
    """
    if request.session_id is None:
        return replace(request, session_id=str(uuid4()))
    runs = await asyncio.to_thread(_session_runs, platform.name, request)
    if not runs:
        raise RequestError(
            f"agentnb knows no conversation '{request.session_id}' with {request.agent}.",
            hint=f"{platform.name} keeps none itself; leave session out to begin a new one.",
        )
    return replace(request, history=tuple(_messages(runs)), state=runs[-1].state)


def _session_runs(platform: str, request: RunRequest) -> list[BaseRun]:
    """Return the session's runs that have ended, of this process and earlier ones, oldest first."""
    from agentnb.store.stored_sessions import load_session

    runs: list[BaseRun] = [
        run
        for run in recent_runs()
        if (run.platform, run.agent, run.session_id)
        == (platform, request.agent, request.session_id)
        and run.done
    ]
    known = {run.local_id for run in runs}
    stored = load_session(platform, request.agent, request.session_id or "")
    runs += [run for run in stored if run.local_id not in known]
    return sorted(runs, key=lambda run: run.created_at)


def _messages(runs: Iterable[BaseRun]) -> Iterable[Message]:
    is_first = True
    for run in runs:
        if is_first:
            yield from run.request.history
            is_first = False
        yield {"role": "user", "content": run.request.prompt}
        if answer := run.transcript.text or run.transcript.refusal:
            yield {"role": "assistant", "content": answer}

"""Asking a function, as these tests do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from agentnb.event.types import Event
from agentnb.platforms.local import FunctionContext, iterate_function


def new_context(**fields: Any) -> FunctionContext:
    return FunctionContext(agent="a", session_id="s", run_id="r", **fields)


async def events_of(function: Callable[..., Any], prompt: str = "hello") -> list[Event]:
    return [event async for event in iterate_function(function, prompt, new_context())]


async def wait_until(happened: threading.Event) -> None:
    assert await asyncio.to_thread(happened.wait, 10), "it never happened"


def sync_function(prompt: str) -> str:
    return f"({prompt})"


def sync_generator(prompt: str) -> Iterator[str]:
    yield "("
    yield prompt
    yield ")"


async def async_generator(prompt: str) -> AsyncIterator[str]:
    yield "("
    await asyncio.sleep(0)
    yield prompt
    yield ")"

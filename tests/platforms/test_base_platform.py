"""The base class of platforms: what a subclass does not override is refused."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from agentnb.errors import UnsupportedError
from agentnb.event.types import Event, RunFinished, TextDelta
from agentnb.platforms.base import Capabilities, RunRequest
from agentnb.platforms.base_platform import BasePlatform

pytestmark = pytest.mark.anyio


class Smallest(BasePlatform):
    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        yield [TextDelta("Hello, ")]
        yield [TextDelta(request.prompt), RunFinished()]


class Cancelling(Smallest):
    async def cancel(
        self, run_id: str | None, *, agent: str | None = None, session_id: str | None = None
    ) -> None:
        pass


REFUSED: dict[str, Callable[[BasePlatform], Awaitable[Any]]] = {
    "attach to the run r1": lambda platform: anext(platform.attach("r1")),
    "take a decision on an approval": lambda platform: platform.decide("r1", None, approved=True),
    "cancel a run": lambda platform: platform.cancel("r1"),
    "list its agents": lambda platform: platform.agents(),
    "list its runs": lambda platform: anext(aiter(platform.runs())),
    "return the status of a run": lambda platform: platform.status(["r1"]),
}


async def test_invoke_collects_the_stream() -> None:
    events = await Smallest("mine").invoke(RunRequest(agent="a", prompt="you"))
    assert events == [TextDelta("Hello, "), TextDelta("you"), RunFinished()]


@pytest.mark.parametrize("call", REFUSED)
async def test_what_is_not_overridden_is_refused(call: str) -> None:
    with pytest.raises(UnsupportedError, match=f"^mine cannot {call}"):
        await REFUSED[call](Smallest("mine"))


def test_capabilities_are_those_of_the_overridden_methods() -> None:
    assert Smallest("mine").capabilities == Capabilities()
    assert Cancelling("mine").capabilities == Capabilities(cancel=True)

"""A platform in this process whose stream breaks off, and can be taken up again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from agentnb.errors import StreamCutError
from agentnb.event.types import Event, RunFinished, TextDelta
from agentnb.platforms.base import RunRequest
from tests.played import STARTED, Batches, PlayedPlatform


class Flaky(PlayedPlatform):
    """Breaks off after its first words, and after each of ``pauses``, which are its own wishes."""

    def __init__(self, *pauses: float) -> None:
        super().__init__(self._begin)
        self.pauses = list(pauses)

    async def _begin(self, request: RunRequest) -> Batches:
        yield [STARTED, TextDelta("Half ")]
        raise self._cut()

    async def resume(
        self,
        request: RunRequest,
        *,
        run_id: str | None,
        session_id: str | None,
        delivered: Sequence[Event],
    ) -> AsyncGenerator[list[Event], None]:
        if self.pauses:
            raise self._cut()
        yield [TextDelta("an answer."), RunFinished()]

    def _cut(self) -> StreamCutError:
        return StreamCutError("The connection broke off.", reconnect_after=self.pauses.pop(0))

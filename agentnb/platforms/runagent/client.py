"""run-agent.ai: agents that answer a query, in one piece or as a stream.

The base address is `DEFAULT_BASE_URL`.  Environment: ``RUNAGENT_API_KEY``, ``RUNAGENT_BASE_URL``.
There are no options.  Parameters of a run (see `Params` in ``wire.py``): ``stream_delay_ms`` and
``chunk_size`` pace the stream, ``resume_from_index`` takes up an earlier one, and ``parameters``
holds them too, together with whatever the agent itself takes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Final

from agentnb._http import EventStream, quote_segment
from agentnb.errors import PlatformError, RequestError, UnsupportedError
from agentnb.event import TERMINAL_EVENTS, Event, RunStarted
from agentnb.platforms._asked import check_history, no_approvals
from agentnb.platforms._client import http_client, key_header
from agentnb.platforms._params import check_count, check_options, check_params
from agentnb.platforms._wire import Outbound, to_wire
from agentnb.platforms.base import (
    AgentInfo,
    Capabilities,
    PlatformSettings,
    RemoteRun,
    RunRequest,
)
from agentnb.platforms.runagent.decode import Decoder, invoked_events
from agentnb.platforms.runagent.wire import Body, Parameters, Params

__all__ = ["DEFAULT_BASE_URL", "RunAgentPlatform"]

DEFAULT_BASE_URL: Final = "https://api.run-agent.ai"

# How many ids of unfinished streams to remember the position of.  One that is forgotten cannot be
# taken up again, and each is small.
_REMEMBERED: Final = 200


class Options(Outbound):
    """The platform has no settings of its own."""


@dataclass(slots=True, eq=False)
class _Position:
    """How far the stream of a request was read: its decoder knows, and goes on with what follows.

    ``first`` is where the request itself began to read.
    """

    request: RunRequest
    first: int = 0
    decoder: Decoder = field(default_factory=Decoder)

    @property
    def next_index(self) -> int:
        return max(self.first, self.decoder.next_index)


class RunAgentPlatform:
    """The platform behind agentnb's protocol.

    Runs have no ids here, only sessions: `attach` takes the session's id as ``session_id``, or in
    the place of the run's.
    """

    def __init__(self, settings: PlatformSettings) -> None:
        self._name = settings.platform
        check_options(Options, settings.options, platform=self._name)
        self._http = http_client(settings, base_url=DEFAULT_BASE_URL, headers=key_header(settings))
        self._positions: OrderedDict[str, _Position] = OrderedDict()

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(attach=True)

    # --- runs ---------------------------------------------------------------------------------

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        """Start a run and stream it; with ``resume_from_index``, take up an earlier one."""
        body = self._body(request)
        path = f"/v1/agents/{quote_segment(request.agent)}/stream"
        async with self._http.stream("POST", path, json=body) as answer:
            if not answer.is_event_stream and answer.status != 204 and _is_json(answer):
                yield invoked_events(await answer.json(), session_id=request.session_id)
                return
            first = body.get("parameters", {}).get("resume_from_index", 0)
            position = _Position(request, first)
            async with aclosing(self._follow(answer, position)) as batches:
                async for batch in batches:
                    yield batch

    async def _follow(
        self, answer: EventStream, position: _Position
    ) -> AsyncGenerator[list[Event], None]:
        is_again = position.next_index > position.first
        decoder, keys, ended = position.decoder, {position.request.session_id}, False
        async for frames in answer.batches():
            events = [event for frame in frames for event in decoder.decode(frame)]
            for event in events:
                if isinstance(event, RunStarted):
                    keys |= {event.run_id, event.session_id}
                ended = ended or isinstance(event, TERMINAL_EVENTS)
            self._remember(keys, position, ended=ended)
            if events or is_again:
                yield events
        may_go_on = not ended and position.next_index > 0 and bool(keys - {None})
        if rest := decoder.pause() if may_go_on else decoder.finish():
            yield rest

    async def invoke(self, request: RunRequest) -> list[Event]:
        """Run and return the whole answer at once."""
        path = f"/v1/agents/{quote_segment(request.agent)}/invoke"
        answer = await self._http.request("POST", path, json=self._body(request))
        return invoked_events(answer.data, session_id=request.session_id)

    async def attach(
        self, run_id: str, *, agent: str | None = None, session_id: str | None = None
    ) -> AsyncGenerator[list[Event], None]:
        """Take up a session's stream where this client stopped reading it.

        Raises:
            RequestError: this client was not reading it: where to begin, and what was asked, is
                for `resume` to be told.
        """
        position = self._positions.get(run_id) or self._positions.get(session_id or run_id)
        if position is None:
            # To ask from the beginning could mean to ask anew, and to pay for a second run.
            raise RequestError(
                f"{self._name}: no unfinished stream of session {session_id or run_id!r} is known "
                "here.",
                hint="Take it up with resume_from_index, its session and its question.",
            )
        request = position.request
        if agent is not None and agent != request.agent:
            position.request = replace(request, agent=agent)
        async with aclosing(self._go_on(position, session_id or run_id)) as batches:
            async for batch in batches:
                yield batch

    async def resume(
        self,
        request: RunRequest,
        *,
        run_id: str | None,
        session_id: str | None,
        delivered: Sequence[Event],
    ) -> AsyncGenerator[list[Event], None]:
        """Go on with the chunk after the last one that came, as this client remembers it.

        Chunks that came before are dropped, and what comes in another order is put in order.
        ``delivered`` is not looked at: events do not tell the place of a chunk.

        Raises:
            RequestError: no chunk has come yet, or none that this client knows of: the platform
                would be asked anew, and a second run be paid for.
            PlatformError: the platform answers anew instead of going on.
        """
        session_id = session_id or request.session_id
        position = self._positions.get(run_id or "") or self._positions.get(session_id or "")
        known = position is not None and (position.request is request or not request.prompt)
        if position is None or session_id is None or not known or not position.next_index:
            raise RequestError(
                f"{self._name}: how far this stream was read is not known, so that it cannot be "
                "taken up again.",
            )
        async with aclosing(self._go_on(position, session_id)) as batches:
            async for batch in batches:
                yield batch

    async def _go_on(
        self, position: _Position, session_id: str
    ) -> AsyncGenerator[list[Event], None]:
        # The question is sent again, since the platform wants one.  What else it was asked with
        # has to be the same, too: other chunks would have other numbers.
        body = self._body(replace(position.request, session_id=session_id))
        body["parameters"] = {
            **body.get("parameters", {}),
            "resume_from_index": position.next_index,
        }
        path = f"/v1/agents/{quote_segment(position.request.agent)}/stream"
        position.decoder.conflicts = 0
        async with (
            self._http.stream("POST", path, json=body) as answer,
            aclosing(self._follow(answer, position)) as batches,
        ):
            async for batch in batches:
                yield batch
                if position.decoder.conflicts:
                    raise PlatformError(
                        f"{self._name} answered anew instead of going on with its answer."
                    )

    async def stream_from(
        self, session_id: str, *, agent: str, query: str, index: int
    ) -> AsyncGenerator[list[Event], None]:
        """Stream a session's answer again, from the chunk ``index`` (0 or more) on.

        ``query`` is the question that is being answered; the platform asks for it again.

        Raises:
            RequestError: ``index`` is below 0.
        """
        check_count(index, name="index", platform=self._name)
        request = RunRequest(
            agent=agent, prompt=query, session_id=session_id, params={"resume_from_index": index}
        )
        async with aclosing(self.stream(request)) as batches:
            async for batch in batches:
                yield batch

    async def cancel(
        self, run_id: str | None, *, agent: str | None = None, session_id: str | None = None
    ) -> None:
        """Refuse: there is no such call, and closing the stream is what stops a run."""
        raise self._unsupported("no call that stops a run; closing its stream stops it")

    async def decide(
        self,
        run_id: str,
        approval_id: str | None,
        *,
        approved: bool,
        agent: str | None = None,
        session_id: str | None = None,
    ) -> None:
        """Refuse: no run of this platform waits for an approval."""
        raise no_approvals(self._name)

    async def aclose(self) -> None:
        """Close every connection.  Safe to call twice."""
        await self._http.aclose()

    # --- what the platform does not have ------------------------------------------------------

    async def agents(self) -> list[AgentInfo]:
        """Refuse: the platform does not list its agents."""
        raise self._unsupported("no list of agents")

    async def runs(
        self,
        *,
        agent: str | None = None,
        session_id: str | None = None,
        status: str | None = None,
        limit: int | None = None,
        order: str = "desc",
        offset: int = 0,
    ) -> AsyncIterator[RemoteRun]:
        """Refuse: the platform does not list its runs."""
        raise self._unsupported("no list of runs")
        yield  # makes this an iterator, which refuses when it is used

    async def status(
        self, run_ids: Sequence[str], *, agent: str | None = None, session_id: str | None = None
    ) -> dict[str, RemoteRun]:
        """Refuse: the platform does not tell the state of a run."""
        raise self._unsupported("no way to ask for the state of a run")

    # --- how ----------------------------------------------------------------------------------

    def _body(self, request: RunRequest) -> dict[str, Any]:
        check_history(request, platform=self._name, supported=False)
        if request.media:
            raise self._unsupported("no attachments")
        if request.output_schema is not None:
            raise self._unsupported("no structured output")
        params = check_params(Params, request.params, platform=self._name)
        flat = params.model_dump(exclude={"parameters"}, exclude_none=True)
        # A free-form null is the agent's own and stays; a null of the platform's says nothing.
        nested = params.parameters or Parameters()
        own = {**to_wire(nested), **(nested.model_extra or {})}
        if twice := sorted(flat.keys() & own.keys()):
            raise RequestError(
                f"{self._name}: {', '.join(twice)} stands both in parameters and beside it; "
                "give it once."
            )
        body = Body(
            query=request.prompt,
            parameters={**own, **flat} or None,
            session_id=request.session_id or None,
        )
        return to_wire(body)

    def _remember(self, keys: set[str | None], position: _Position, *, ended: bool) -> None:
        """Keep a position under every id of its run while it goes on, the newest of each."""
        for key in keys:
            if key is None:
                continue
            if not ended:
                self._positions[key] = position
                self._positions.move_to_end(key)
            elif self._positions.get(key) is position:
                del self._positions[key]
        while len(self._positions) > _REMEMBERED:
            self._positions.popitem(last=False)

    def _unsupported(self, what: str) -> UnsupportedError:
        return UnsupportedError(f"{self._name} has {what}.")


def _is_json(answer: EventStream) -> bool:
    return "json" in answer.headers.get("content-type", "").lower()

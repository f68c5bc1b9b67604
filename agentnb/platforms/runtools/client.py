"""RunTools: agents run by ``POST /v1/run``, answering over server-sent events.

The address is ``https://api.runtools.ai`` unless ``base_url`` or the environment variable
``RUNTOOLS_API_URL`` says otherwise; the key (``RUNTOOLS_API_KEY``) is sent as ``X-API-Key``.

Options: ``auth`` is ``"x-api-key"`` or ``"bearer"``; ``poll_seconds`` is how often a joined run's
thread is asked for what is new (1); ``max_event_bytes`` bounds one event (16 MiB).

Parameters of a run: ``thread_id``, ``messages`` (what was said before; the prompt is added as the
last), ``metadata``, and ``max_tokens``, ``max_turns``, ``temperature``, at the top or in
``config``; in snake_case or as the API spells them.

There is no call that cancels a run: closing the connection stops it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from annotated_types import Ge, Gt

from agentnb._http import quote_segment
from agentnb.errors import ContentTypeError, InvalidRequestError, RequestError, UnsupportedError
from agentnb.event.types import Event, RunStarted
from agentnb.platforms._client import http_client, key_header
from agentnb.platforms._params import check_options, check_params
from agentnb.platforms._statuses import read_status
from agentnb.platforms._validation import check_history, no_approvals
from agentnb.platforms._wire import Number, Outbound, as_text, mend, one_line, to_wire
from agentnb.platforms.base import (
    AgentInfo,
    Capabilities,
    PlatformSettings,
    RemoteRun,
    RunRequest,
)
from agentnb.platforms.run_lists import check_window, window
from agentnb.platforms.runtools.request_models import Message, RunBody, RunConfig, RunParams
from agentnb.platforms.runtools.responses import agent_info, read_rows, remote_run

# What reads answers is imported with the first one: nobody's question waits for it.
if TYPE_CHECKING:
    from agentnb.platforms.runtools.attach import Joining

__all__ = ["DEFAULT_BASE_URL", "RunToolsPlatform"]

DEFAULT_BASE_URL: Final = "https://api.runtools.ai"

_BARE_KEY: Final = {"name": "X-API-Key", "scheme": ""}
_FLAT: Final = ("max_tokens", "max_turns", "temperature")
_FIRST_LIMIT: Final = 100
_LAST_LIMIT: Final = 100 * 2**10


class _Options(Outbound):
    auth: Literal["x-api-key", "bearer"] = "x-api-key"
    poll_seconds: Annotated[float, Number, Gt(0)] = 1.0
    max_event_bytes: Annotated[int, Number, Ge(1)] = 16 * 2**20


class RunToolsPlatform:
    """One RunTools account.

    Raises:
        ConfigError: an option is unknown or wrong.
    """

    def __init__(self, settings: PlatformSettings) -> None:
        self._name = settings.platform
        self._options = check_options(_Options, settings.options, platform=self._name)
        # How many of the newest runs a look for some of them begins with.
        self._reach = _FIRST_LIMIT
        bare = self._options.auth == "x-api-key"
        self._http = http_client(
            settings,
            base_url=DEFAULT_BASE_URL,
            headers=key_header(settings, **(_BARE_KEY if bare else {})),
            max_event_bytes=self._options.max_event_bytes,
        )
        self._idle = settings.deadlines.idle

    @cached_property
    def _joining(self) -> Joining:
        from agentnb.platforms.runtools.attach import Joining

        return Joining(
            self._http,
            name=self._name,
            status=self.status,
            poll_seconds=self._options.poll_seconds,
            idle=self._idle,
        )

    @property
    def name(self) -> str:
        """The name it was configured under."""
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        """What the contract names."""
        return Capabilities(
            attach=True,
            list_agents=True,
            list_runs=True,
            run_status=True,
            status_batch="all",
            history=True,
        )

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        """Start a run and yield its events; `RunStarted` comes first, from the headers.

        A JSON answer, which some agents give though a stream was asked for, is taken as the run.
        """
        body = self._body(request, stream=True)
        session_id: str | None = body.get("threadId")
        async with self._http.stream("POST", "/v1/run", json=body) as answer:
            from agentnb.platforms.runtools.decoder import Decoder

            run_id, thread_id = _header_ids(answer.headers)
            decoder = Decoder(run_id=run_id, session_id=thread_id or session_id)
            yield [RunStarted(run_id=decoder.run_id, session_id=decoder.session_id)]
            if not answer.is_event_stream and _is_json(answer.headers):
                yield self._result(await answer.json(), answer.headers, session_id)
                return
            # Half a character that is held back at a broken end is not shown: the other half may
            # come where the stream is taken up again.
            async with aclosing(answer.batches()) as batches:
                async for frames in batches:
                    if events := decoder.decode_all(frames):
                        yield events
            if events := decoder.close():
                yield events

    async def invoke(self, request: RunRequest) -> list[Event]:
        """Do a run without streaming."""
        body = self._body(request, stream=False)
        answer = await self._http.request("POST", "/v1/run", json=body)
        return self._result(answer.data, answer.headers, body.get("threadId"))

    async def attach(
        self, run_id: str, *, agent: str | None = None, session_id: str | None = None
    ) -> AsyncGenerator[list[Event], None]:
        """Join a run by its thread's recorded events, from the first on.

        The record is asked for again and again until the run has ended.

        Raises:
            NotFoundError: no thread was given, and none is known to hold this run.
        """
        started = RunStarted(run_id=run_id, session_id=session_id, agent=agent)
        batches = self._joining.follow(run_id, agent=agent, session_id=session_id, begin=started)
        async with aclosing(batches) as joined:
            async for batch in joined:
                yield batch

    async def resume(
        self,
        request: RunRequest,
        *,
        run_id: str | None,
        session_id: str | None,
        delivered: Sequence[Event],
    ) -> AsyncGenerator[list[Event], None]:
        """Go on by the recorded events of the run's thread; a live stream's are not numbered.

        Raises:
            RequestError: the run's id is not known.
            NotFoundError: its thread is not known, or the platform does not know that.
        """
        if run_id is None:
            raise RequestError(f"{self._name} did not tell the id of this run.")
        batches = self._joining.follow(
            run_id,
            agent=request.agent or None,
            session_id=session_id or request.session_id,
            delivered=delivered,
        )
        async with aclosing(batches) as joined:
            async for batch in joined:
                yield batch

    def forget(self, run_id: str) -> None:
        """Let go of how far the record of a run was read."""
        # None was, where nothing was joined.
        if "_joining" in vars(self):
            self._joining.forget(run_id)

    async def recorded_events(
        self, session_id: str
    ) -> dict[str, list[tuple[datetime | None, Event]]]:
        """Return what a thread's record holds of each of its runs, by the run's id, with times.

        Raises:
            NotFoundError: there is no such thread.
        """
        from agentnb.platforms.runtools.thread_record import events_by_run

        path = f"/v1/threads/{quote_segment(session_id)}/events"
        rows = read_rows((await self._http.request("GET", path)).data, "events", "items")
        return events_by_run(rows, session_id=session_id)

    async def cancel(
        self, run_id: str | None, *, agent: str | None = None, session_id: str | None = None
    ) -> None:
        """There is no such call.

        Raises:
            UnsupportedError: always; closing the stream is what stops a run.
        """
        raise UnsupportedError(
            f"{self._name} has no call that cancels a run.",
            hint="Closing its stream stops it.",
        )

    async def decide(
        self,
        run_id: str,
        approval_id: str | None,
        *,
        approved: bool,
        agent: str | None = None,
        session_id: str | None = None,
    ) -> None:
        """Refuse: the platform tells of approvals, and has no call to decide one."""
        raise no_approvals(self._name)

    async def agents(self) -> list[AgentInfo]:
        """Return the agents that this key may run."""
        answer = await self._http.request("GET", "/v1/agents")
        found = (agent_info(row) for row in read_rows(answer.data, "agents", "items"))
        return [agent for agent in found if agent is not None]

    async def runs(
        self,
        *,
        agent: str | None = None,
        session_id: str | None = None,
        status: str | None = None,
        limit: int | None = None,
        order: str = "desc",
        offset: int = 0,
    ) -> AsyncGenerator[RemoteRun, None]:
        """Iterate over runs, newest first.

        The platform takes an agent, a status and a limit; the rest is done here.  It has no pages:
        for all runs, the limit grows until no more come.
        """
        end = check_window(order=order, offset=offset, limit=limit, platform=self._name)
        if end == offset:
            return
        here = session_id is not None or order == "asc"
        listed = self._newest_first(agent, session_id, status, None if here else end)
        async with aclosing(window(listed, order=order, offset=offset, end=end)) as found:
            async for run in found:
                yield run

    async def status(
        self, run_ids: Sequence[str], *, agent: str | None = None, session_id: str | None = None
    ) -> dict[str, RemoteRun]:
        """Return the state of each run by id, as the list of runs has it.

        That has no pages: it is asked for ever longer until all are found, the next time as far as
        they were found.
        """
        wanted = set(run_ids)
        found: dict[str, RemoteRun] = {}
        if not wanted:
            return found
        reach = self._reach
        async with aclosing(self._listed(agent, None, None, first=reach)) as batches:
            async for batch in batches:
                found = {run.id: run for run in batch if run.id in wanted}
                if len(found) == len(wanted):
                    self._reach = reach
                    break
                reach = min(reach * 2, _LAST_LIMIT)
        return found

    async def aclose(self) -> None:
        """Close every connection; safe to call twice."""
        await self._http.aclose()

    # --------------------------------------------------------------------------------------------

    def _body(self, request: RunRequest, *, stream: bool) -> dict[str, Any]:
        if request.output_schema is not None:
            raise UnsupportedError(f"{self._name} takes no JSON schema for the answer.")
        if request.media:
            raise UnsupportedError(f"{self._name} takes no attachments.")
        params = check_params(RunParams, request.params, platform=self._name)
        if None not in (request.session_id, params.thread_id) and (
            request.session_id != params.thread_id
        ):
            raise RequestError(f"{self._name}: the thread is given twice, and differently.")
        check_history(request, platform=self._name, supported=True)
        if request.history and (params.thread_id is not None or params.messages):
            twice = "a thread" if params.thread_id is not None else "messages"
            raise RequestError(f"{self._name}: history and {twice} cannot both be given.")
        messages = params.messages or tuple(Message(**message) for message in request.history)
        if messages and request.prompt:
            messages = (*messages, Message(role="user", content=request.prompt))
        body = RunBody(
            agent=request.agent,
            prompt=None if messages else request.prompt,
            messages=messages or None,
            threadId=request.session_id or params.thread_id,
            stream=stream,
            config=self._config(params),
            metadata=params.metadata,
        )
        return to_wire(body)

    def _config(self, params: RunParams) -> RunConfig | None:
        flat = {name: value for name in _FLAT if (value := getattr(params, name)) is not None}
        if not flat and params.config is None:
            return None
        nested = params.config or RunConfig()
        twice = [name for name in flat if getattr(nested, name) is not None]
        if twice:
            raise RequestError(f"{self._name}: {twice[0]} is given twice, beside and in config.")
        merged = nested.model_copy(update=flat)
        return merged if merged.model_fields_set else None

    def _result(self, data: Any, headers: Mapping[str, str], session_id: str | None) -> list[Event]:
        from agentnb.platforms.runtools.decoder import result_events

        events = result_events(data)
        if events is None:
            raise ContentTypeError(
                f"{self._name} answered something that is no run.",
                content_type=headers.get("content-type", ""),
                excerpt=one_line(as_text(data)),
            )
        run_id, thread_id = _header_ids(headers)
        first = events[0]
        if isinstance(first, RunStarted):
            events[0] = RunStarted(
                run_id=first.run_id or run_id,
                session_id=first.session_id or thread_id or session_id,
                model=first.model,
            )
        return events

    async def _newest_first(
        self, agent: str | None, session_id: str | None, status: str | None, end: int | None
    ) -> AsyncGenerator[RemoteRun, None]:
        """Yield each run once; ``end`` is how many are wanted at the most, where that is known."""
        seen: set[str] = set()
        async with aclosing(self._listed(agent, status, end)) as batches:
            async for batch in batches:
                for run in batch:
                    if run.id not in seen and session_id in (None, run.session_id):
                        seen.add(run.id)
                        yield run

    async def _listed(
        self, agent: str | None, status: str | None, end: int | None, *, first: int = _FIRST_LIMIT
    ) -> AsyncGenerator[list[RemoteRun], None]:
        """Yield ever longer lists of runs, newest first, until the platform has no more."""
        limit = end or first
        had = -1
        while True:
            params = {"agent": agent, "status": status, "limit": str(limit)}
            query = {name: value for name, value in params.items() if value is not None}
            try:
                answer = await self._http.request("GET", "/v1/run", params=query)
            except InvalidRequestError:
                # A limit above the platform's own is refused; what came before is all there is.
                if had < 0:
                    raise
                return
            rows = read_rows(answer.data, "runs", "items")
            runs = [run for row in rows if (run := remote_run(row)) is not None]
            if status is not None and read_status(status) == status:
                # A word of agentnb's own can be checked; another one is the platform's to know.
                runs = [run for run in runs if run.status == status]
            yield runs
            if end is not None or len(rows) < limit or len(rows) <= had or limit >= _LAST_LIMIT:
                return
            had, limit = len(rows), limit * 2


def _header_ids(headers: Mapping[str, str]) -> tuple[str | None, str | None]:
    return (
        mend(headers.get("x-run-id", "")) or None,
        mend(headers.get("x-thread-id", "")) or None,
    )


def _is_json(headers: Mapping[str, str]) -> bool:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")

"""SeekrFlow: agents that answer on threads.

The base address is `DEFAULT_BASE_URL`.  Environment: ``SEEKR_API_KEY``, ``SEEKR_BASE_URL``,
``SEEKR_TEAM_ID``.  Options: see `Options` in ``wire.py``; parameters of a run: `Params` there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Final

from pydantic import SecretStr

from agentnb._http import EventStream, aside
from agentnb.errors import AgentnbError, RequestError
from agentnb.event.types import Event, RunStarted
from agentnb.platforms._client import http_client, key_header
from agentnb.platforms._params import check_choice, check_count, check_options
from agentnb.platforms._run_starts import not_begun
from agentnb.platforms._validation import no_approvals
from agentnb.platforms.base import (
    AgentInfo,
    Capabilities,
    Exchange,
    MediaSupport,
    PlatformSettings,
    RemoteRun,
    RunRequest,
)
from agentnb.platforms.seekr.api import SeekrApi
from agentnb.platforms.seekr.attach import Resuming
from agentnb.platforms.seekr.exchanges import read_exchanges
from agentnb.platforms.seekr.messages import answer_messages, message_events
from agentnb.platforms.seekr.places import Place, Places
from agentnb.platforms.seekr.polling import ended
from agentnb.platforms.seekr.request import MAX_IMAGE_BYTES, Plan, make_plan, message_content
from agentnb.platforms.seekr.responses import (
    agent_info,
    final_event,
    remote_run,
    started_run,
    usage_event,
)
from agentnb.platforms.seekr.states import states_of
from agentnb.platforms.seekr.stream_reader import StreamReader
from agentnb.platforms.seekr.stream_state import Heard
from agentnb.platforms.seekr.wire import Options, RunAnswer

__all__ = ["DEFAULT_BASE_URL", "SeekrPlatform"]

DEFAULT_BASE_URL: Final = "https://flow.seekr.com"

_log = logging.getLogger(__name__)

# How long telling the platform of a cancellation may take (seconds).
_CANCEL_CALL: Final = 5.0
# How many runs to ask about at the same time.
_PARALLEL: Final = 4


class SeekrPlatform:
    """The platform behind agentnb's protocol.  A session is a thread.

    ``api`` holds the endpoints themselves, one typed method each.
    """

    def __init__(self, settings: PlatformSettings) -> None:
        self._name = settings.platform
        self._options = check_options(Options, settings.options, platform=self._name)
        self._deadlines = settings.deadlines
        headers: dict[str, str | SecretStr] = {
            **key_header(settings, scheme=self._options.auth_scheme)
        }
        if self._options.team_id is not None:
            headers["x-team-id"] = self._options.team_id
        http = http_client(settings, base_url=DEFAULT_BASE_URL, headers=headers)
        self.api = SeekrApi(http, name=self._name)
        self._places = Places(self.api)
        # Tasks that nobody awaits; the loop itself keeps only weak references.
        self._pending: set[asyncio.Future[None]] = set()

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            cancel=True,
            attach=True,
            list_agents=True,
            list_runs=True,
            lists_sessions=True,
            run_status=True,
            status_batch="session",
            output_schema=True,
            media=MediaSupport(
                accept=("image/*",), max_bytes=MAX_IMAGE_BYTES, max_count=10, alone=True
            ),
        )

    # --- runs ---------------------------------------------------------------------------------

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        """Post the message, in a new thread where no session is given, and stream the run."""
        plan = make_plan(request, self._options, platform=self._name)
        content = await message_content(
            request.prompt, request.media, plan.file_ids, platform=self._name
        )
        api = self.api.for_team(plan.team_id)
        thread_id = request.session_id
        with not_begun(self._name):
            if not thread_id:
                thread_id = (await api.create_thread(plan.thread_meta_data)).id
                # Known from here on, so that a run can be cancelled before its first word.
                yield [RunStarted(session_id=thread_id, agent=request.agent)]
            asked = self._places.ask(thread_id, fresh=not request.session_id)
            await api.post_message(thread_id, content)
        reader = StreamReader(api, thread_id, asked=asked)
        async with api.stream_run(thread_id, plan.body, dialect=plan.dialect) as answer:
            asked.answered(answer.headers)
            async with aclosing(self._follow(reader, answer, request.agent)) as batches:
                async for batch in batches:
                    yield batch

    async def attach(
        self, run_id: str, *, agent: str | None = None, session_id: str | None = None
    ) -> AsyncGenerator[list[Event], None]:
        """Join a run; whether it begins anew or where it stands is the platform's to decide."""
        place = self._places.of(run_id, session_id)
        thread_id, agent = place.thread_id, agent or place.agent
        reader = StreamReader(place.api, thread_id, run_id=run_id)
        async with place.api.attach_run(thread_id, run_id) as answer:
            yield [RunStarted(run_id=run_id, session_id=thread_id, agent=agent)]
            async with aclosing(self._follow(reader, answer, agent)) as batches:
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
        """Join the run again, and tell only what is new, see `Resuming`.

        Raises:
            RequestError: neither the run nor its thread is known.
        """
        agent = request.agent or None
        team = request.params.get("team_id", request.params.get("x-team-id"))
        session_id = session_id or request.session_id
        place = self._places.of(run_id, session_id)
        api = self.api.for_team(team) if place.api is self.api else place.api
        asked = self._places.asked(place.thread_id, fresh=not request.session_id)
        reader = StreamReader(api, place.thread_id, run_id=run_id, asked=asked)
        if run_id is None:
            run_id = reader.run_id = await reader.find()
            if run_id is None:
                raise RequestError(f"{self._name}: the run's id is not known, and it is not found.")
            started = RunStarted(run_id=run_id, session_id=place.thread_id)
            delivered = (*delivered, started)
            yield [started]
        self._places.remember(run_id, Place(place.thread_id, agent or place.agent, api))
        resuming = Resuming(reader, self._places.heard(run_id), delivered)
        try:
            async with aclosing(resuming.batches()) as batches:
                async for batch in batches:
                    yield batch
        finally:
            if not resuming.ended:
                self._places.keep(run_id, resuming.kept)

    def forget(self, run_id: str) -> None:
        """Let go of what was heard of a run's stream."""
        self._places.heard(run_id)

    async def _follow(
        self, reader: StreamReader, answer: EventStream, agent: str | None
    ) -> AsyncGenerator[list[Event], None]:
        self.api.notice(answer.headers, "the stream of a run")
        heard = reader.heard = Heard()
        remembered: str | None = None
        try:
            async with aclosing(reader.follow(answer)) as batches:
                async for batch in batches:
                    if reader.run_id != remembered and reader.run_id is not None:
                        remembered = reader.run_id
                        place = Place(reader.thread_id, agent, reader.api)
                        self._places.remember(remembered, place)
                    yield batch
        finally:
            if not reader.ended and reader.run_id is not None:
                self._places.keep(reader.run_id, heard)

    async def invoke(self, request: RunRequest) -> list[Event]:
        """Run in the background, wait for its end, and read the answer from the thread."""
        plan = make_plan(request, self._options, platform=self._name)
        started, place, question = await self._start(request, plan)
        try:
            run = await ended(
                place.api, place.thread_id, started.run_id, total=self._deadlines.total
            )
        except BaseException:
            # Nobody else knows the run's id yet.
            self._cancel_later(started.run_id)
            raise
        answer = await answer_messages(
            place.api, place.thread_id, run_id=run.id, question_id=question
        )
        usage = usage_event(run)
        return [
            RunStarted(
                run_id=run.id, session_id=place.thread_id, agent=request.agent, model=run.model
            ),
            *message_events(answer),
            *([usage] if usage else []),
            final_event(run),
        ]

    async def start_background(self, request: RunRequest) -> RemoteRun:
        """Start a run and return at once; `status`, `attach` and `cancel` take its id."""
        plan = make_plan(request, self._options, platform=self._name)
        started, place, _ = await self._start(request, plan)
        return started_run(started, thread_id=place.thread_id, agent=request.agent)

    async def _start(self, request: RunRequest, plan: Plan) -> tuple[RunAnswer, Place, str | None]:
        content = await message_content(
            request.prompt, request.media, plan.file_ids, platform=self._name
        )
        api = self.api.for_team(plan.team_id)
        thread_id = request.session_id
        with not_begun(self._name):
            if not thread_id:
                thread_id = (await api.create_thread(plan.thread_meta_data)).id
            self._places.ask(thread_id, fresh=not request.session_id)
            message = await api.post_message(thread_id, content)
        started = await api.start_run(thread_id, plan.body)
        place = Place(thread_id, request.agent, api)
        self._places.remember(started.run_id, place)
        return started, place, message.id

    async def cancel(
        self, run_id: str | None, *, agent: str | None = None, session_id: str | None = None
    ) -> None:
        """Cancel a run, or, without its id, the one that this client has asked for in the thread.

        Nothing is cancelled where that is not found: others may have runs there, too.
        """
        place = self._places.of(run_id, session_id)
        if run_id is None:
            asked = self._places.asked(place.thread_id)
            run_id = await StreamReader(place.api, place.thread_id, asked=asked).find()
            if run_id is None:
                return
        agent = agent or place.agent
        if agent is None:
            agent = (await place.api.run(place.thread_id, run_id)).agent_id
        await place.api.cancel_run(place.thread_id, run_id, agent_id=agent)

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

    def _cancel_later(self, run_id: str) -> None:
        async def cancel() -> None:
            try:
                async with asyncio.timeout(_CANCEL_CALL):
                    await self.cancel(run_id)
            except (AgentnbError, TimeoutError) as error:
                _log.info("The platform could not be told of a cancelled run: %s", error)

        # Not awaited: nobody is to wait for a platform that is slow to listen.
        # Its time is its own: that of the run may be up.
        with aside():
            task = asyncio.create_task(cancel())
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    # --- lists --------------------------------------------------------------------------------

    async def agents(self) -> list[AgentInfo]:
        """Return the agents of the team."""
        return [agent_info(entry) for entry in await self.api.list_agents()]

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
        """Iterate over a thread's runs, over as many pages as it takes.

        ``session_id`` is needed, since the platform lists runs by thread.  ``agent`` and
        ``status`` (in agentnb's words or the platform's) are looked at here.  A run that moves to
        a later page while the list grows is yielded once.
        """
        if session_id is None:
            raise RequestError(
                f"{self._name} lists runs by thread; session_id is needed.",
                hint="It is run.session_id of any run of the conversation.",
            )
        check_choice(order, ("asc", "desc"), name="order", platform=self._name)
        check_count(offset, name="offset", platform=self._name)
        left = None if limit is None else check_count(limit, name="limit", platform=self._name)
        pages = self.api.walk_runs(
            session_id,
            size=self._options.page_size,
            order=order,
            offset=offset,
            # A filter may drop any number of a page.
            limit=None if agent or status else left,
        )
        async with aclosing(pages):
            async for page in pages:
                for run in page:
                    self._places.remember(run.id, Place(session_id, run.agent_id, self.api))
                    found = remote_run(run)
                    if agent not in (None, found.agent):
                        continue
                    if status not in (None, found.status, run.status):
                        continue
                    if left == 0:
                        return
                    yield found
                    if left is not None:
                        left -= 1
                if left == 0:
                    return

    async def status(
        self, run_ids: Sequence[str], *, agent: str | None = None, session_id: str | None = None
    ) -> dict[str, RemoteRun]:
        """Return the state of each run, by id; ids that the platform does not know are absent.

        Several runs of one thread are looked for in its list of runs, in one request where they
        are among its newest 100; the others are asked for one by one.
        """
        gate = asyncio.Semaphore(_PARALLEL)
        threads: dict[tuple[SeekrApi, str], list[str]] = {}
        for run_id in dict.fromkeys(run_ids):
            place = self._places.of(run_id, session_id)
            threads.setdefault((place.api, place.thread_id), []).append(run_id)
        parts = await asyncio.gather(
            *(
                states_of(gate, api, thread_id, run_ids)
                for (api, thread_id), run_ids in threads.items()
            )
        )
        found = {run.id: remote_run(run) for runs in parts for run in runs}
        return {run_id: found[run_id] for run_id in run_ids if run_id in found}

    async def exchanges(
        self, session_id: str, began: Mapping[str, datetime]
    ) -> dict[str, Exchange]:
        """Return what was asked and answered in runs of a thread, see `KeepsMessages`."""
        return await read_exchanges(self.api, session_id, began)

    async def aclose(self) -> None:
        """Close every connection.  Safe to call twice."""
        await self.api.aclose()

"""SeekrFlow: agents that answer in threads.

The base URL is `DEFAULT_BASE_URL`.  Environment: ``SEEKR_API_KEY``, ``SEEKR_BASE_URL``,
``SEEKR_TEAM_ID``.  Options and parameters of a run: `Options` and `Params` in ``request.py``.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from agentnb._http import side_request
from agentnb.errors import AgentnbError, RequestError
from agentnb.event.types import Event, RunStarted
from agentnb.platforms._params import check_options
from agentnb.platforms._run_starts import RunStart, connection_errors
from agentnb.platforms.base import (
    AgentInfo,
    Capabilities,
    Exchange,
    MediaSupport,
    PlatformSettings,
    RemoteRun,
    RunRequest,
)
from agentnb.platforms.http_platform import HttpPlatform, key_header
from agentnb.platforms.listing_platform import check_window
from agentnb.platforms.seekr.api import SeekrApi
from agentnb.platforms.seekr.attach import ResumeAttempt
from agentnb.platforms.seekr.messages import answer_messages, message_events, read_exchanges
from agentnb.platforms.seekr.request import (
    MAX_IMAGE_BYTES,
    Options,
    PreparedRun,
    message_content,
    prepare_run,
)
from agentnb.platforms.seekr.responses import (
    agent_info,
    fetch_runs,
    final_event,
    record_events,
    remote_run,
    started_run,
    wait_for_end,
)
from agentnb.platforms.seekr.run_state import RunLocation, RunRegistry, StreamState
from agentnb.platforms.seekr.stream_reader import StreamReader
from agentnb.platforms.seekr.wire import Message, StartedRun

if TYPE_CHECKING:
    from agentnb._http.response import Response

DEFAULT_BASE_URL: Final = "https://flow.seekr.com"

_log = logging.getLogger(__name__)

# Timeout of a cancellation sent in the background, in seconds.
_CANCEL_TIMEOUT: Final = 5.0
# Concurrent requests for the status of runs.
_MAX_STATUS_REQUESTS: Final = 4


class SeekrPlatform(HttpPlatform):
    """SeekrFlow behind the `Platform` protocol.  A session is a thread.

    ``api`` has the endpoints, one typed method each.
    """

    def __init__(self, settings: PlatformSettings) -> None:
        options = check_options(Options, settings.options, platform=settings.platform)
        headers: dict[str, str | SecretStr] = {**key_header(settings, scheme=options.auth_scheme)}
        if options.team_id is not None:
            headers["x-team-id"] = options.team_id
        super().__init__(settings, base_url=DEFAULT_BASE_URL, headers=headers)
        self._options = options
        self._deadlines = settings.deadlines
        self.api = SeekrApi(self._http, name=self._name)
        self._registry = RunRegistry(self.api)
        # References to background tasks; the event loop keeps only weak ones.
        self._background: set[asyncio.Future[None]] = set()

    @property
    def capabilities(self) -> Capabilities:
        return replace(
            super().capabilities,
            lists_sessions=True,
            status_batch="session",
            output_schema=True,
            media=MediaSupport(
                accept=("image/*",), max_bytes=MAX_IMAGE_BYTES, max_count=10, alone=True
            ),
        )

    # --- runs ---------------------------------------------------------------------------------

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        """Post the message, in a new thread if no session is given, and stream the run."""
        prepared, content, api, thread_id = await self._open(request)
        if not request.session_id:
            # From here on the run can be cancelled by its thread.
            yield [RunStarted(session_id=thread_id, agent=request.agent)]
        run_request, _ = await self._post(request, content, api, thread_id)
        reader = StreamReader(
            api, thread_id, request=run_request, registry=self._registry, agent=request.agent
        )
        async with api.stream_run(thread_id, prepared.body, dialect=prepared.dialect) as response:
            run_request.answered(response.headers)
            async with self._reading(reader, response) as batches:
                async for batch in batches:
                    yield batch

    async def attach(
        self, run_id: str, *, agent: str | None = None, session_id: str | None = None
    ) -> AsyncGenerator[list[Event], None]:
        """Attach to a run; the platform decides whether its stream restarts or continues."""
        location = self._registry.locate(run_id, session_id)
        api, thread_id, agent = location.api, location.thread_id, agent or location.agent
        reader = StreamReader(api, thread_id, run_id=run_id)
        async with api.attach_run(thread_id, run_id) as response:
            self._registry.add(run_id, RunLocation(thread_id, agent, api))
            yield [RunStarted(run_id=run_id, session_id=thread_id, agent=agent)]
            async with self._reading(reader, response) as batches:
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
        """Reattach to the run and yield new events only, see `ResumeAttempt`.

        Raises:
            RequestError: neither the run nor its thread is known.
        """
        agent = request.agent or None
        team = request.params.get("team_id", request.params.get("x-team-id"))
        location = self._registry.locate(run_id, session_id or request.session_id)
        thread_id = location.thread_id
        api = self.api.for_team(team) if location.api is self.api else location.api
        run_request = self._registry.latest_request(thread_id, is_new_thread=not request.session_id)
        reader = StreamReader(api, thread_id, run_id=run_id, request=run_request)
        if run_id is None:
            run_id = reader.run_id = await reader.find_id()
            if run_id is None:
                raise RequestError(f"{self._name}: the run's id is not known, and it is not found.")
            started = RunStarted(run_id=run_id, session_id=thread_id)
            delivered = (*delivered, started)
            yield [started]
        self._registry.add(run_id, RunLocation(thread_id, agent or location.agent, api))
        attempt = ResumeAttempt(reader, self._registry.pop_stream(run_id), delivered)
        try:
            async with aclosing(attempt.batches()) as batches:
                async for batch in batches:
                    yield batch
        finally:
            if not attempt.ended:
                self._registry.save_stream(run_id, attempt.next_state)

    def forget(self, run_id: str) -> None:
        """Drop the state of a run's broken stream."""
        self._registry.pop_stream(run_id)

    @asynccontextmanager
    async def _reading(
        self, reader: StreamReader, response: Response
    ) -> AsyncGenerator[AsyncGenerator[list[Event], None], None]:
        """Read a stream from its start; keep its state if it breaks."""
        self.api.check_deprecation(response.headers, "the stream of a run")
        state = reader.decoder = StreamState()
        try:
            async with aclosing(reader.read(response)) as batches:
                yield batches
        finally:
            if not reader.ended and reader.run_id is not None:
                self._registry.save_stream(reader.run_id, state)

    async def invoke(self, request: RunRequest) -> list[Event]:
        """Run in the background, wait for the end, and read the answer from the thread."""
        started, location, question_id = await self._start(request)
        api, thread_id = location.api, location.thread_id
        try:
            run = await wait_for_end(api, thread_id, started.run_id, total=self._deadlines.total)
        except BaseException:
            # The caller does not have the run's id.
            self._cancel_in_background(started.run_id)
            raise
        answer = await answer_messages(api, thread_id, run_id=run.id, question_id=question_id)
        first, *usage = record_events(run, thread_id, agent=request.agent)
        return [first, *message_events(answer), *usage, final_event(run)]

    async def start_background(self, request: RunRequest) -> RemoteRun:
        """Start a run and return at once; `status`, `attach` and `cancel` take its id."""
        started, location, _ = await self._start(request)
        return started_run(started, thread_id=location.thread_id, agent=request.agent)

    async def _start(self, request: RunRequest) -> tuple[StartedRun, RunLocation, str | None]:
        """Return the started run, its location and the id of the posted message."""
        prepared, content, api, thread_id = await self._open(request)
        _, message = await self._post(request, content, api, thread_id)
        started = await api.start_run(thread_id, prepared.body)
        location = RunLocation(thread_id, request.agent, api)
        self._registry.add(started.run_id, location)
        return started, location, message.id

    async def _open(self, request: RunRequest) -> tuple[PreparedRun, Any, SeekrApi, str]:
        """Return the validated run, the content of its message, its API and its thread."""
        prepared = prepare_run(request, self._options, platform=self._name)
        content = await message_content(
            request.prompt, request.media, prepared.file_ids, platform=self._name
        )
        api = self.api.for_team(prepared.team_id)
        with connection_errors(self._name):
            thread_id = (
                request.session_id or (await api.create_thread(prepared.thread_meta_data)).id
            )
        return prepared, content, api, thread_id

    async def _post(
        self, request: RunRequest, content: Any, api: SeekrApi, thread_id: str
    ) -> tuple[RunStart, Message]:
        run_request = self._registry.add_request(thread_id, is_new_thread=not request.session_id)
        with connection_errors(self._name):
            return run_request, await api.post_message(thread_id, content)

    async def cancel(
        self, run_id: str | None, *, agent: str | None = None, session_id: str | None = None
    ) -> None:
        """Cancel a run, or, without its id, the latest one that this client started in the thread.

        Do nothing if that cannot be identified: other clients may have runs there, too.
        """
        location = self._registry.locate(run_id, session_id)
        api, thread_id = location.api, location.thread_id
        if run_id is None:
            run_request = self._registry.latest_request(thread_id)
            run_id = await StreamReader(api, thread_id, request=run_request).find_id()
            if run_id is None:
                return
        agent = agent or location.agent
        if agent is None:
            agent = (await api.run(thread_id, run_id)).agent_id
        await api.cancel_run(thread_id, run_id, agent_id=agent)

    def _cancel_in_background(self, run_id: str) -> None:
        async def cancel() -> None:
            try:
                async with asyncio.timeout(_CANCEL_TIMEOUT):
                    await self.cancel(run_id)
            except (AgentnbError, TimeoutError) as error:
                _log.info("A run could not be cancelled on its platform: %s", error)

        # Not awaited, so that a slow platform does not delay the caller; the deadlines of the run,
        # which may be over, do not apply.
        with side_request():
            task = asyncio.create_task(cancel())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

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
        """Iterate over a thread's runs, over as many pages as needed.

        ``session_id`` is required: the platform lists runs by thread.  ``agent`` and ``status``
        (agentnb's or the platform's) are filtered here.  A run that moves to a later page while the
        list grows is yielded once.
        """
        if session_id is None:
            raise RequestError(
                f"{self._name} lists runs by thread; session_id is needed.",
                hint="It is run.session_id of any run of the conversation.",
            )
        end = check_window(order=order, offset=offset, limit=limit, platform=self._name)
        if end == offset:
            return
        remaining = math.inf if end is None else end - offset
        # A filter may drop any number of a page.
        most = None if agent or status or end is None else end - offset
        pages = self.api.walk_runs(
            session_id, size=self._options.page_size, order=order, offset=offset, limit=most
        )
        async with aclosing(pages):
            async for page in pages:
                for record in page:
                    location = RunLocation(session_id, record.agent_id, self.api)
                    self._registry.add(record.id, location)
                    run = remote_run(record)
                    if agent in (None, run.agent) and status in (None, run.status, record.status):
                        yield run
                        remaining -= 1
                        if remaining <= 0:
                            return

    async def status(
        self, run_ids: Sequence[str], *, agent: str | None = None, session_id: str | None = None
    ) -> dict[str, RemoteRun]:
        """Return the state of each run by id; ids that the platform does not know are absent.

        Several runs of one thread need one request if they are among its newest 100; the others
        are requested individually.
        """
        slots = asyncio.Semaphore(_MAX_STATUS_REQUESTS)
        threads: dict[tuple[SeekrApi, str], list[str]] = {}
        for run_id in dict.fromkeys(run_ids):
            location = self._registry.locate(run_id, session_id)
            threads.setdefault((location.api, location.thread_id), []).append(run_id)
        lists = await asyncio.gather(
            *(fetch_runs(slots, api, thread, ids) for (api, thread), ids in threads.items())
        )
        runs = {run.id: remote_run(run) for listed in lists for run in listed}
        return {run_id: runs[run_id] for run_id in run_ids if run_id in runs}

    async def exchanges(
        self, session_id: str, began: Mapping[str, datetime]
    ) -> dict[str, Exchange]:
        """Return questions and answers of runs of a thread, see `KeepsMessages`."""
        return await read_exchanges(self.api, session_id, began)

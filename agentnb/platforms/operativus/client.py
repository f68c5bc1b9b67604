"""Operativus: agents behind ``/api/agents`` that stream server-sent events.

The address is ``http://localhost:8080`` unless ``base_url`` or the environment variable
``OPERATIVUS_BASE_URL`` sets another; the key (``OPERATIVUS_API_KEY``) is sent as
``Authorization: Bearer``.

Options: ``user_id`` and ``org_id`` are the defaults of every run; ``max_media_bytes`` limits a
request's attachments (20 MiB); ``max_event_bytes`` one event (16 MiB); ``time_zone``
(``Europe/Berlin``, ``+05:30``) is the zone of times that the server writes without one.  If it is
not set, its offset from UTC is learned from runs that were started here; until then such times are
read as UTC.

Parameters of a run: ``session_id``, ``user_id``, ``org_id``, ``generate_followups``, ``media``
(``[{"type", "data"}]``, the data in base64 or an address), and ``model``, ``temperature``,
``max_tokens``, ``system_prompt``, at the top or in ``options``; in snake_case or as the API spells
them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

from agentnb._http import JsonResponse, quote_segment
from agentnb.errors import NotFoundError, PlatformError, RequestError, TransportError
from agentnb.event.types import Event, RunStarted
from agentnb.platforms._bodies import parse_zone
from agentnb.platforms._params import check_choice, check_count, check_options
from agentnb.platforms._payloads import as_object, read_status
from agentnb.platforms._run_starts import RunStart
from agentnb.platforms.base import (
    AgentInfo,
    Capabilities,
    MediaSupport,
    PlatformSettings,
    RemoteRun,
    RunRequest,
)
from agentnb.platforms.http_platform import key_header, row_text, unexpected_response
from agentnb.platforms.listing_platform import ListingPlatform
from agentnb.platforms.operativus.request import build_body, is_fresh
from agentnb.platforms.operativus.responses import (
    PendingApproval,
    agent_info,
    parse_error,
    pending_approval,
    read_page,
    run_events,
)
from agentnb.platforms.operativus.runs import RunIdSearch, Runs
from agentnb.platforms.operativus.server_times import ServerTimes
from agentnb.platforms.operativus.wire import OperativusOptions

# Decoders are imported with the first response, while the request is on its way.
if TYPE_CHECKING:
    from agentnb.platforms.operativus.decoder import Decoder
    from agentnb.platforms.operativus.record_reader import RunRecordReader

DEFAULT_BASE_URL: Final = "http://localhost:8080"


class OperativusPlatform(ListingPlatform):
    """One Operativus server.

    Raises:
        ConfigError: an option is unknown or invalid.
    """

    def __init__(self, settings: PlatformSettings) -> None:
        options = check_options(OperativusOptions, settings.options, platform=settings.platform)
        super().__init__(
            settings,
            base_url=DEFAULT_BASE_URL,
            headers=key_header(settings),
            parse_error=parse_error,
            max_event_bytes=options.max_event_bytes,
        )
        zone = None if options.time_zone is None else parse_zone(options.time_zone)
        self._options = options
        self._lookup = self._runs = Runs(self._http, ServerTimes(zone))

    @cached_property
    def _records(self) -> RunRecordReader:
        from agentnb.platforms.operativus.record_reader import RunRecordReader

        return RunRecordReader(self._http, self._runs, name=self._name)

    @property
    def capabilities(self) -> Capabilities:
        return replace(
            super().capabilities,
            status_batch="agent",
            # The limit applies to all together; the API requires a message.
            media=MediaSupport(max_bytes=self._options.max_media_bytes, max_count=20, alone=False),
            followups=True,
        )

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        """Start a run and yield its events.

        If the server does not send the run's id, it is searched by the session while the run
        streams, and yielded in a second `RunStarted`.  If the stream ends or breaks off before any,
        one is yielded with the session, by which the run can be found.
        """
        body, session_id, started = await self._prepare(request)
        decoder: Decoder | None = None
        search: RunIdSearch | None = None
        has_start = False
        path = _agent_path(request.agent, "runs/stream")
        try:
            async with (
                self._http.stream("POST", path, json=body) as response,
                aclosing(response.batches()) as batches,
            ):
                from agentnb.platforms.operativus.decoder import Decoder

                decoder = Decoder(session_id=session_id)
                started.answered(response.headers)
                async for frames in batches:
                    # No flush if the stream breaks off: the resumed one may have the other half
                    # of a character.
                    events = decoder.decode_all(frames)
                    is_start = any(isinstance(event, RunStarted) for event in events)
                    if decoder.run_id is None and search is None and is_start:
                        search = RunIdSearch(self._runs, session_id, request.agent, started)
                    if decoder.run_id is None and search is not None:
                        if decoder.is_paused:
                            # After the pause, the id would look as if the run continued.
                            events = _named(decoder, await search.last_result()) + events
                        else:
                            events += _named(decoder, search.result)
                    if events:
                        has_start = has_start or is_start
                        yield events
            if not has_start:
                yield [RunStarted(session_id=session_id)]
            is_unnamed = decoder.run_id is None and not decoder.is_paused
            if search and is_unnamed and (events := _named(decoder, await search.last_result())):
                yield events
        except TransportError:
            if decoder is not None and not has_start:
                yield [RunStarted(session_id=session_id)]
            raise
        finally:
            if search is not None:
                search.cancel()
            if decoder is not None and decoder.run_id is not None:
                self._runs.note_run(session_id, decoder.run_id, started)
                if decoder.has_ended:
                    self._runs.note_end(decoder.run_id)

    async def invoke(self, request: RunRequest) -> list[Event]:
        """Run without streaming.

        A run that pauses for a decision ends with `ApprovalRequested` and no terminal event.
        """
        response, session_id, started = await self._post(request, "runs")
        events = run_events(response.data, session_id=session_id)
        if events is None:
            raise unexpected_response(self._name, response.data, response.headers)
        run_id = row_text(as_object(response.data), "runId id")
        if run_id is not None:
            self._runs.note_run(session_id, run_id, started)
        return events

    async def start_background(self, request: RunRequest) -> RemoteRun:
        """Start a run without streaming; follow it with `status` or `attach`."""
        response, session_id, started = await self._post(request, "runs/background")
        data = as_object(response.data)
        run_id = row_text(data, "runId id")
        if run_id is None:
            kind = "a run without an id"
            raise unexpected_response(self._name, data, response.headers, kind)
        self._runs.note_run(session_id, run_id, started)
        return RemoteRun(
            id=run_id,
            status=read_status(data.get("status", "QUEUED")),
            agent=request.agent,
            session_id=row_text(data, "sessionId") or session_id,
            raw=data,
        )

    def attach(
        self,
        run_id: str,
        *,
        agent: str | None = None,
        session_id: str | None = None,
        since_id: int = 0,
    ) -> AsyncGenerator[list[Event], None]:
        """Attach to a run; events recorded after the event ``since_id`` come first.

        The record may lack the text; then the whole answer comes when the run has ended.
        """
        check_count(since_id, name="since_id", platform=self._name)
        return self._records.follow(run_id, agent=agent, session_id=session_id, since_id=since_id)

    def resume(
        self,
        request: RunRequest,
        *,
        run_id: str | None,
        session_id: str | None,
        delivered: Sequence[Event],
    ) -> AsyncGenerator[list[Event], None]:
        """Continue by the run's record, which may lack the text.

        Then the rest of the answer comes when the run has ended.  An answer that does not continue
        the delivered text is kept as a `RawEvent`, and the run ends as truncated.

        Raises:
            RequestError: the run's id is unknown, and not found by its session.
        """
        return self._records.follow(
            run_id,
            agent=request.agent or None,
            session_id=session_id or request.session_id,
            delivered=delivered,
            fresh=is_fresh(request),
        )

    def forget(self, run_id: str) -> None:
        if "_records" in vars(self):
            self._records.forget(run_id)

    async def cancel(
        self, run_id: str | None, *, agent: str | None = None, session_id: str | None = None
    ) -> None:
        """Cancel a run; without its id, the latest that this client started in the session.

        Raises:
            NotFoundError: there is no such run; others may have runs in the session, too.
        """
        if run_id is None:
            if session_id is None:
                raise RequestError(f"{self._name}: cancelling a run needs its id or its session.")
            started = self._runs.latest_request(session_id)
            run_id = await self._runs.find(session_id, agent, started, running=True)
            if run_id is None:
                raise NotFoundError(f"{self._name} has no run of this client in this session.")
        segment = quote_segment(run_id)
        if agent is not None:
            try:
                await self._http.request("DELETE", _agent_path(agent, f"runs/{segment}"))
                return
            except PlatformError as error:
                if error.status not in (404, 405):
                    raise
        await self._http.request("POST", f"/api/v1/runs/{segment}/cancel")

    async def agents(self) -> list[AgentInfo]:
        response = await self._http.request("GET", "/api/agents")
        agents = map(agent_info, read_page(response.data).items)
        return [agent for agent in agents if agent is not None]

    def learn_starts(self, starts: Mapping[str, datetime]) -> None:
        """Learn the zone of the server's times from when runs started, by their ids."""
        self._runs.learn_starts(starts)

    async def pending_approvals(self) -> list[PendingApproval]:
        """Return the decisions that runs wait for."""
        rows = self._runs.pages("/api/v1/approvals/pending", {})
        approvals = [pending_approval(row, self._runs.times) async for row in rows]
        return [approval for approval in approvals if approval is not None]

    async def resolve_approval(
        self, approval_id: str, decision: Literal["APPROVED", "REJECTED"]
    ) -> None:
        """Decide one of `pending_approvals`; the run continues, or ends."""
        check_choice(decision, ("APPROVED", "REJECTED"), name="decision", platform=self._name)
        path = f"/api/v1/approvals/{quote_segment(approval_id)}/resolve"
        await self._http.request("POST", path, json={"decision": decision})

    async def decide(
        self,
        run_id: str,
        approval_id: str | None,
        *,
        approved: bool,
        payload: Any = None,
        agent: str | None = None,
        session_id: str | None = None,
    ) -> None:
        """Decide what a run waits for; without an approval's id, its only one.

        Raises:
            RequestError: there is no such approval, or several and no id.
        """
        if approval_id is None:
            pending = [item.id for item in await self.pending_approvals() if item.run_id == run_id]
            if len(pending) != 1:
                raise RequestError(
                    f"{self._name}: the run {run_id} waits for {len(pending) or 'no'} decisions.",
                    hint=f"Name one of {', '.join(pending)}." if pending else None,
                )
            (approval_id,) = pending
        try:
            await self.resolve_approval(approval_id, "APPROVED" if approved else "REJECTED")
        except PlatformError as error:
            if error.status not in (404, 409):
                raise
            raise RequestError(
                f"{self._name}: no approval {approval_id} is pending.",
                hint="It was decided already, or its run has ended.",
            ) from error

    async def _prepare(self, request: RunRequest) -> tuple[dict[str, Any], str, RunStart]:
        self.check_request(request)
        body = await build_body(request, platform=self._name, defaults=self._options)
        session_id: str = body["sessionId"]
        return body, session_id, self._runs.note_request(session_id, fresh=is_fresh(request))

    async def _post(self, request: RunRequest, path: str) -> tuple[JsonResponse, str, RunStart]:
        body, session_id, started = await self._prepare(request)
        response = await self._http.request("POST", _agent_path(request.agent, path), json=body)
        started.answered(response.headers)
        return response, session_id, started


def _named(decoder: Decoder, run_id: str | None) -> list[Event]:
    """Return the event that names the decoder's run; none without an id."""
    if run_id is None:
        return []
    decoder.run_id = run_id
    return [RunStarted(run_id=run_id, session_id=decoder.session_id)]


def _agent_path(agent: str, rest: str) -> str:
    return f"/api/agents/{quote_segment(agent)}/{rest}"

"""`LangGraphPlatform`: runs graphs in threads of a LangGraph server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

from pydantic import SecretStr

from agentnb.errors import NotFoundError, RequestError, UnsupportedError
from agentnb.event import ApprovalRequested, Event, RunCancelled, RunFailed, RunFinished
from agentnb.platforms.langgraph.interrupts import (
    BREAKPOINT,
    read_approval,
    resume_command,
    with_answer,
)
from agentnb.platforms.langgraph.reader import Chain, Reader
from agentnb.platforms.langgraph.records import (
    answer_text,
    read_assistant,
    read_failure,
    remote_run,
    run_path,
    thread_path,
)
from agentnb.platforms.langgraph.wire import (
    MAX_MEDIA_BYTES,
    LangGraphOptions,
    LangGraphParams,
    as_items,
    as_object,
    decision_body,
    inline_media,
    recorded_fields,
    repeated_fields,
    run_body,
)
from agentnb.plugin import (
    AgentInfo,
    Capabilities,
    Decision,
    HttpPlatform,
    MediaSupport,
    PlatformSettings,
    Recent,
    RemoteRun,
    RunRequest,
    as_text,
    check_params,
    key_header,
)

_PAGE: Final = 100
# How long a decision waits for a thread that is still busy, and how often it looks, in seconds.
_BUSY_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.1
# Frames of one millisecond have the same id: a stream is joined after it has passed, in seconds.
_JOIN_SECONDS: Final = 0.005


class LangGraphPlatform(HttpPlatform):
    """One LangGraph server.

    Raises:
        ConfigError: an option is unknown or invalid, or the platform has no address.
    """

    key = "optional"
    options_type = LangGraphOptions
    options: LangGraphOptions

    def __init__(self, settings: PlatformSettings) -> None:
        super().__init__(settings)
        # By the ids of their runs: what was started or decided here, and streams that broke off.
        self._chains: Recent[Chain] = Recent()
        self._broken: Recent[Reader] = Recent()

    @property
    def capabilities(self) -> Capabilities:
        media = MediaSupport(max_bytes=MAX_MEDIA_BYTES, max_count=20)
        takes_messages = self.options.prompt_field == "messages"
        return replace(
            super().capabilities,
            history=takes_messages,
            media=media if takes_messages else None,
            approval_payloads=True,
            status_batch="session",
        )

    def headers(self, settings: PlatformSettings) -> Mapping[str, str | SecretStr]:
        return key_header(settings, name="x-api-key", scheme="")

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        """Start a run, in a new thread where there is no session, and yield its events.

        Raises:
            RequestError: a parameter or an attachment cannot be sent.
        """
        self.check_request(request)
        params = check_params(LangGraphParams, request.params, platform=self.name)
        media = await asyncio.to_thread(inline_media, request.media, platform=self.name)
        body = run_body(request, params, self.options, media)
        chain = Chain(request.session_id or str(uuid4()), repeated=repeated_fields(body))
        async with aclosing(self._read(Reader(chain, request), body)) as batches:
            async for events in batches:
                if events:
                    yield events

    async def attach(
        self, run_id: str, *, agent: str | None = None, session_id: str | None = None
    ) -> AsyncGenerator[list[Event], None]:
        """Attach to a run; its events so far come first, as far as the server keeps them.

        Raises:
            RequestError: the thread is unknown.
            NotFoundError: the server does not have the run.
        """
        request = RunRequest(agent=agent or "", prompt="", session_id=session_id)
        chain = self._chain(run_id, session_id)
        # To join an unknown run is no error of the server.
        await self._get(run_path(chain.thread_id, run_id))
        reader = Reader(self._keep(chain), request)
        async with aclosing(self._read(reader)) as batches:
            async for events in batches:
                if events:
                    yield events

    def resume(
        self,
        request: RunRequest,
        *,
        run_id: str | None,
        session_id: str | None,
        delivered: Sequence[Event],
    ) -> AsyncGenerator[list[Event], None]:
        """Join the stream where it broke off; else read it again from its start.

        Raises:
            RequestError: the run is unknown, or the server no longer has its events.
            NotFoundError: the server no longer has the run.
        """
        if run_id is None:
            raise RequestError(f"{self.name}: the stream broke off before the run had an id.")
        chain = self._chain(run_id, session_id)
        reader = self._broken.pop(self._keep(chain).runs[0], None)
        if reader is None or reader.count != len(delivered) or not reader.position.is_known:
            reader = Reader(chain, request, delivered)
        return self._read(reader)

    def forget(self, run_id: str) -> None:
        """Drop the state of a run that has ended here."""
        if (chain := self._chains.get(run_id)) is not None:
            self._broken.pop(chain.runs[0], None)

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
        """Start a run that continues the thread with the answer to an interrupt.

        ``payload`` is the answer; for calls of tools, other arguments or the reason of a denial.

        Raises:
            RequestError: the interrupt is not pending, several are and none is named, or it is a
                breakpoint, which cannot be denied.
        """
        chain = self._chain(run_id, session_id)
        thread = await self._idle(chain.thread_id)
        given = Decision(approval_id, approved, payload)
        command = resume_command(thread, given, self.options, name=self.name)
        if chain.repeated is None or not agent:
            run = as_object(await self._get(run_path(chain.thread_id, chain.runs[-1])))
            chain.repeated = recorded_fields(run)
            agent = agent or as_text(run.get("assistant_id"))
        body = decision_body(agent, chain.repeated, command)
        path = f"{thread_path(chain.thread_id)}/runs"
        started = as_object((await self.http.request("POST", path, json=body)).data)
        self._add(chain, as_text(started.get("run_id")))

    async def cancel(
        self, run_id: str | None, *, agent: str | None = None, session_id: str | None = None
    ) -> None:
        """Stop a run.

        Raises:
            UnsupportedError: the run has no id yet.
            NotFoundError: it has ended.
        """
        if run_id is None:
            raise UnsupportedError(f"{self.name} cannot cancel a run without an id.")
        chain = self._chain(run_id, session_id)
        path = f"{run_path(chain.thread_id, chain.runs[-1])}/cancel"
        await self.http.request("POST", path, params={"wait": "false", "action": "interrupt"})

    async def status(
        self, run_ids: Sequence[str], *, agent: str | None = None, session_id: str | None = None
    ) -> dict[str, RemoteRun]:
        """Return the state of each run by id; those of an unknown thread are absent, too."""
        found: dict[str, RemoteRun] = {}
        for run_id in run_ids:
            if session_id is None and run_id not in self._chains:
                continue
            chain = self._chain(run_id, session_id)
            try:
                run, events = await self._end(chain.thread_id, chain.runs[-1])
            except NotFoundError:
                continue
            end = events[-1] if events else None
            found[run_id] = remote_run(run_id, chain.thread_id, run, end)
        return found

    async def agents(self) -> list[AgentInfo]:
        """Return the server's assistants; one that stands for a graph has the graph's name."""
        found: list[AgentInfo] = []
        while True:
            body = {"limit": _PAGE, "offset": len(found)}
            data = (await self.http.request("POST", "/assistants/search", json=body)).data
            rows = as_items(data)
            found += map(read_assistant, map(as_object, rows))
            if len(rows) < _PAGE:
                return [agent for agent in found if agent.id]

    # --- runs -------------------------------------------------------------------------------------

    async def _read(
        self, reader: Reader, body: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[list[Event], None]:
        """Yield the events of a chain; an empty list says that something arrived without news.

        ``body`` starts the first run.  Ends early where the stream does before the run.
        """
        is_done = False
        try:
            while True:
                async with aclosing(self._frames(reader, body)) as batches:
                    async for events in batches:
                        yield self._new(reader, events)
                body = None
                if reader.position.is_doubtful:
                    continue
                if (run_id := reader.run_id) is None:
                    return
                _, end = await self._end(reader.chain.thread_id, run_id, reader)
                if end is None:
                    return
                is_done = not reader.is_followed
                yield self._new(reader, end)
                # A decision may have been sent meanwhile.
                if not reader.is_followed:
                    return
                is_done = False
                reader.follow()
        finally:
            if not is_done and reader.chain.runs:
                self._broken.note(reader.chain.runs[0], reader)

    async def _frames(
        self, reader: Reader, body: Mapping[str, Any] | None
    ) -> AsyncGenerator[list[Event], None]:
        """Yield the events of one connection."""
        if body is not None:
            path = f"{thread_path(reader.chain.thread_id)}/runs/stream"
            opened = self.http.stream("POST", path, json=body)
        else:
            await asyncio.sleep(_JOIN_SECONDS)
            path = f"{run_path(reader.chain.thread_id, reader.run_id or '')}/stream"
            last = {"Last-Event-ID": reader.position.join()}
            opened = self.http.stream("GET", path, headers=last)
        async with opened as response:
            if body is not None:
                location = response.headers.get("content-location", "")
                self._add(reader.chain, location.rpartition("/")[2])
            if reader.run_id is not None:
                yield reader.decoder.start(reader.run_id)
            async with aclosing(response.batches()) as batches:
                async for frames in batches:
                    events = reader.decoder.decode_all(reader.position.unread(frames))
                    if not reader.chain.runs:
                        self._add(reader.chain, reader.decoder.run_id or "")
                    yield events
                    if reader.position.is_doubtful:
                        return

    def _new(self, reader: Reader, events: list[Event]) -> list[Event]:
        if (new := reader.new(events)) is None:
            raise RequestError(f"{self.name}: the server no longer has the start of the run.")
        return new

    async def _end(
        self, thread_id: str, run_id: str, reader: Reader | None = None
    ) -> tuple[dict[str, Any], list[Event] | None]:
        """Return the server's record of a run, and the events of its end; None before that."""
        if reader is not None and reader.decoder.has_ended:
            return {}, []
        run = as_object(await self._get(run_path(thread_id, run_id)))
        match as_text(run.get("status")):
            case "" | "pending" | "running":
                return run, None
            case "timeout":
                message = "The run took longer than the server allows."
                return run, [RunFailed(message=message, code="timeout")]
            case "error":
                return run, [await self._failure(thread_id, run_id)]
            case status:
                return run, await self._rest(thread_id, run_id, reader, status)

    async def _rest(
        self, thread_id: str, run_id: str, reader: Reader | None, status: str
    ) -> list[Event]:
        """Return the end of a run that did not fail: a pause is none."""
        if reader is not None:
            if reader.decoder.approvals or reader.is_followed:
                return self._approvals(reader.decoder.approvals.values())
            if status == "success" and reader.decoder.has_text:
                return [*reader.decoder.finish_steps(), RunFinished()]
        state, tasks = await self._state(thread_id, run_id)
        if interrupts := [each for task in tasks for each in as_items(task.get("interrupts"))]:
            return self._approvals(map(read_approval, map(as_object, interrupts)))
        if status == "interrupted":
            return [RunCancelled()]
        if tasks:
            return [read_approval({"value": BREAKPOINT})]
        steps = reader.decoder.finish_steps() if reader is not None else []
        output = answer_text(state.get("values"), self.options.answer_field)
        return [*steps, RunFinished(output=output)]

    def _approvals(self, approvals: Iterable[ApprovalRequested]) -> list[Event]:
        return [with_answer(each, self.options.answer_schema) for each in approvals]

    async def _failure(self, thread_id: str, run_id: str) -> RunFailed:
        """Return the failure of a run: a stream that is joined does not have it."""
        thread = as_object(await self._get(thread_path(thread_id)))
        latest = read_failure(thread.get("error"))
        _, tasks = await self._state(thread_id, run_id)
        errors = [text for task in tasks if (text := as_text(task.get("error")))]
        # The thread has the error of its latest run only.
        if errors and not any(latest.message in text for text in errors):
            return read_failure(errors[0])
        return latest

    async def _state(
        self, thread_id: str, run_id: str
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the state that a run left, and the tasks that it did not finish."""
        body = {"limit": 1, "metadata": {"run_id": run_id}}
        path = f"{thread_path(thread_id)}/history"
        found = as_items((await self.http.request("POST", path, json=body)).data)
        state = as_object(found[0]) if found else {}
        return state, [*map(as_object, as_items(state.get("tasks")))]

    def _chain(self, run_id: str, session_id: str | None) -> Chain:
        """Return the runs that are one with this one.

        Raises:
            RequestError: its thread is unknown.
        """
        if (chain := self._chains.get(run_id)) is not None:
            return chain
        if session_id is None:
            raise RequestError(
                f"{self.name}: the thread of the run {run_id} is unknown.",
                hint="Give its id as the session.",
            )
        return Chain(session_id, [run_id])

    def _keep(self, chain: Chain) -> Chain:
        """Remember which runs are one."""
        for run_id in chain.runs:
            self._chains.note(run_id, chain)
        return chain

    def _add(self, chain: Chain, run_id: str) -> None:
        if run_id:
            chain.runs.append(run_id)
            self._keep(chain)

    async def _idle(self, thread_id: str) -> dict[str, Any]:
        """Return a thread once it is no longer busy: a run that interrupts ends a moment later."""
        end = time.monotonic() + _BUSY_SECONDS
        while True:
            thread = as_object(await self._get(thread_path(thread_id)))
            if thread.get("status") != "busy" or time.monotonic() > end:
                return thread
            await asyncio.sleep(_LOOK_SECONDS)

    async def _get(self, path: str) -> Any:
        return (await self.http.request("GET", path)).data

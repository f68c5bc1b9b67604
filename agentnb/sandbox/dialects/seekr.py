"""SeekrFlow's API: threads, messages, runs on them, and agents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from agentnb.platforms.local import Message
from agentnb.sandbox.dialects.base import (
    ApiError,
    Dialect,
    bearer,
    encoded,
    json_answer,
    json_or_text,
    utc,
)
from agentnb.sandbox.dialects.seekr_chunks import PageEncoder, VercelEncoder
from agentnb.sandbox.state import RunRecord, Session, SessionMessage, new_id
from agentnb.sandbox.streams import EventStream
from agentnb.transcript import Passage, Status

__all__ = ["SeekrDialect"]

_DEFAULT_AGENT = "default_agent"
_STATUSES: dict[Status, str] = {
    "queued": "queued",
    "running": "running",
    "paused": "running",
    "completed": "completed",
    "cancelled": "canceled",
}


class ModelSettings(BaseModel):
    temperature: Annotated[float, Field(ge=0, le=2)] = 1
    top_p: Annotated[float, Field(ge=0, le=1)] = 1
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] = 0
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] = 0
    max_tokens: int | None = None


class ResponseFormat(BaseModel):
    json_schema: dict[str, Any]


class RunRequest(BaseModel):
    agent_id: str = _DEFAULT_AGENT
    model_settings: ModelSettings = ModelSettings()
    response_format: ResponseFormat | None = None
    group: str = "default_group"
    metadata: dict[str, str] | None = None


class ThreadRequest(BaseModel):
    meta_data: dict[str, Any] | None = None


class InputPart(BaseModel, extra="allow"):
    type: Literal["input_text", "input_image", "input_file"]
    text: str = ""


class MessageRequest(BaseModel):
    role: Literal["user", "assistant", "system"] = "user"
    content: str | list[InputPart]
    meta_data: dict[str, Any] | None = None


class CancelRequest(BaseModel):
    agent_id: str | None = None


class Page(BaseModel):
    limit: Annotated[int, Field(ge=0)] = 20
    order: Literal["asc", "desc"] = "desc"
    offset: Annotated[int, Field(ge=0)] = 0


class SeekrDialect(Dialect):
    """Threads are the store's sessions.  A script of faults stands in ``metadata["fault"]``."""

    run_calls = frozenset({"create_run", "stream_page", "stream_vercel", "attach"})

    def routes(self) -> list[BaseRoute]:
        thread = "/v1/threads/{thread_id}"
        run = thread + "/runs/{run_id}"
        return [
            Route("/v1/threads", self.create_thread, methods=["POST"]),
            Route("/v1/threads", self.list_threads, methods=["GET"]),
            Route(thread, self.get_thread, methods=["GET"]),
            Route(thread + "/messages", self.create_message, methods=["POST"]),
            Route(thread + "/messages", self.list_messages, methods=["GET"]),
            Route(thread + "/runs", self.create_run, methods=["POST"]),
            Route(thread + "/runs", self.list_runs, methods=["GET"]),
            Route(thread + "/runs/stream", self.stream_page, methods=["POST"]),
            Route(thread + "/runs/stream/vercel", self.stream_vercel, methods=["POST"]),
            Route(run, self.get_run, methods=["GET"]),
            Route(run + "/cancel", self.cancel_run, methods=["POST"]),
            Route(run + "/attach", self.attach, methods=["GET"]),
            Route("/v2/flow/agents/", self.list_agents, methods=["GET"]),
        ]

    def keys(self, headers: Mapping[str, str]) -> list[str]:
        """Take the raw key, as the vendor's client sends it, and with ``Bearer`` before it."""
        raw = headers.get("authorization", "").strip()
        return [raw, *bearer(headers)] if raw else []

    def problem(self, error: ApiError) -> Response:
        if error.problems:
            return json_answer({"detail": error.problems}, status=error.status)
        body = {"error": error.code, "message": error.message, "status": error.status}
        return json_answer(body, status=error.status, headers=error.headers)

    # --- threads and messages ---

    async def create_thread(self, request: Request) -> Response:
        body = await self.body(request, ThreadRequest)
        session = self.store.new_session(
            new_id("thread"), details={"meta_data": body.meta_data or {}}
        )
        return json_answer(_thread(session))

    async def list_threads(self, request: Request) -> Response:
        page = self.query(request, Page)
        threads = list(self.store.sessions())
        return json_answer([_thread(s) for s in _cut(threads, page)])

    async def get_thread(self, request: Request) -> Response:
        return json_answer(_thread(self._thread(request)))

    async def create_message(self, request: Request) -> Response:
        session = self._thread(request)
        body = await self.body(request, MessageRequest)
        content: Any
        if isinstance(body.content, str):
            content = text = body.content
        else:
            content = [part.model_dump(exclude_unset=True) for part in body.content]
            text = "\n".join(part.text for part in body.content if part.text)
        message = session.add(body.role, text, content=content)
        return json_answer(_message(message, session))

    async def list_messages(self, request: Request) -> Response:
        session = self._thread(request)
        page = self.query(request, Page)
        newest_first = session.messages[::-1]
        return json_answer([_message(m, session) for m in _cut(newest_first, page)])

    # --- runs ---

    async def create_run(self, request: Request) -> Response:
        run = await self._start(request, with_client=False)
        body = {
            "run_id": run.id,
            "thread_id": run.session.id,
            "status": _status(run),
            "group": run.details["group"],
        }
        return json_answer(body)

    async def stream_page(self, request: Request) -> EventStream:
        run = await self._start(request, with_client=True)
        encoder = PageEncoder(run)
        return EventStream(run, encoded(run, encoder), failure=encoder.encode)

    async def stream_vercel(self, request: Request) -> EventStream:
        run = await self._start(request, with_client=True)
        run.details["vercel"] = True
        headers = {"x-vercel-ai-ui-message-stream": "v1"}
        encoder = VercelEncoder(run)
        return EventStream(run, encoded(run, encoder), failure=encoder.encode, headers=headers)

    async def attach(self, request: Request) -> EventStream:
        """Send the run again from its beginning, in the form it was started in."""
        run = self._run(request)
        exchange = await self.begin(request, "join", run=run)
        encoder = VercelEncoder(run) if run.details.get("vercel") else PageEncoder(run)
        frames = encoded(run, encoder, late=exchange.is_live)
        return EventStream(run, frames, failure=encoder.encode)

    async def list_runs(self, request: Request) -> Response:
        session = self._thread(request)
        page = self.query(request, Page)
        runs = list(self.store.runs(session_id=session.id))
        return json_answer([_run(r) for r in _cut(runs, page)])

    async def get_run(self, request: Request) -> Response:
        return json_answer(_run(self._run(request)))

    async def cancel_run(self, request: Request) -> Response:
        run = self._run(request)
        body = await self.body(request, CancelRequest)
        if body.agent_id is not None and body.agent_id != run.details["agent_id"]:
            raise ApiError(404, "run_not_found", f"{body.agent_id!r} has no run {run.id!r}.")
        run.cancel("Cancelled by a request.")
        return json_answer({"status": "canceled", "run_id": run.id})

    async def list_agents(self, request: Request) -> Response:
        agents = [
            {
                "id": a.name,
                "name": a.name,
                "description": a.description,
                "model_id": a.model,
                "status": "Active",
            }
            for a in self.engine.registry.list()
        ]
        return json_answer({"data": agents})

    async def _start(self, request: Request, *, with_client: bool) -> RunRecord:
        session = self._thread(request)
        body = await self.body(request, RunRequest)
        exchange = await self.begin(request, "start", script=(body.metadata or {}).get("fault"))
        agent = self.engine.registry.find(body.agent_id)
        if agent is None:
            is_default = body.agent_id == _DEFAULT_AGENT
            agent = self.agent("finance_agent" if is_default else body.agent_id)
        asked = next(
            (
                i
                for i in reversed(range(len(session.messages)))
                if session.messages[i].role == "user"
            ),
            None,
        )
        if asked is None:
            raise ApiError(400, "no_message", "The thread has no message from a user to answer.")
        history: list[Message] = [
            {"role": m.role, "content": m.text} for m in session.messages[:asked]
        ]
        schema = body.response_format.json_schema if body.response_format else None
        run = self.engine.start(
            self.store,
            agent,
            session,
            session.messages[asked].text,
            history=history,
            params={
                **(body.metadata or {}),
                "model_settings": body.model_settings.model_dump(),
                "group": body.group,
                "team_id": request.headers.get("x-team-id"),
            },
            output_schema=schema,
            details={
                "agent_id": body.agent_id,
                "group": body.group,
                "metadata": body.metadata or {},
                "settings": body.model_settings,
                "response_format": "auto" if schema is None else {"json_schema": schema},
            },
            with_client=with_client,
        )
        exchange.carry(run)
        return run

    def _thread(self, request: Request) -> Session:
        thread_id = request.path_params["thread_id"]
        session = self.store.session(thread_id)
        if session is None:
            raise ApiError(404, "thread_not_found", f"There is no thread {thread_id!r}.")
        return session

    def _run(self, request: Request) -> RunRecord:
        session = self._thread(request)
        run = self.run(request.path_params["run_id"])
        if run.session is not session:
            raise ApiError(404, "run_not_found", f"The thread has no run {run.id!r}.")
        return run


def _cut(newest_first: list[Any], page: Page) -> list[Any]:
    items = newest_first if page.order == "desc" else newest_first[::-1]
    return items[page.offset : page.offset + page.limit]


def _status(run: RunRecord) -> str:
    return _STATUSES.get(run.status, "failed")


def _thread(session: Session) -> dict[str, Any]:
    active = session.active[-1].id if session.active else None
    return {
        "id": session.id,
        "object": "thread",
        "created_at": utc(session.created_at, milliseconds=True),
        "status": "available" if active is None else "locked",
        "active_run_id": active,
        "meta_data": session.details.get("meta_data", {}),
    }


def _message(message: SessionMessage, session: Session) -> dict[str, Any]:
    run = message.run
    return {
        "id": message.id,
        "object": "thread.message",
        "thread_id": session.id,
        "role": message.role,
        "content": message.content if run is None else _parts(run),
        "agent_id": None if run is None else run.details["agent_id"],
        "run_id": None if run is None else run.id,
        "meta_data": {},
        "created_at": utc(message.created_at, milliseconds=True),
    }


def _parts(run: RunRecord) -> list[dict[str, Any]]:
    """Return an answer as the parts of a message's content."""
    parts: list[dict[str, Any]] = []
    for part in run.transcript.parts:
        if isinstance(part, Passage):
            parts.append({"type": part.kind, "text": str(part.text)})
            continue
        call = {"toolCallId": part.call_id, "toolName": part.name}
        parts.append({"type": "tool-call", **call, "args": json_or_text(part.arguments)})
        if part.error is not None:
            parts.append({"type": "tool-error", **call, "error": part.error})
        elif part.status == "completed":
            parts.append({"type": "tool-result", **call, "result": json_or_text(part.result)})
    return parts


def _run(run: RunRecord) -> dict[str, Any]:
    settings = cast("ModelSettings", run.details["settings"])
    usage = run.transcript.usage
    ended = utc(run.finished_at, milliseconds=True)
    status = _status(run)
    return {
        "id": run.id,
        "created_at": utc(run.created_at, milliseconds=True),
        "agent_id": run.details["agent_id"],
        "thread_id": run.session.id,
        "status": status,
        "model": run.transcript.model or run.agent.model,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "parallel_tool_calls": False,
        "object": "thread.run",
        "is_active": not run.is_final,
        "started_at": utc(run.started_at, milliseconds=True),
        "expires_at": None,
        "cancelled_at": ended if status == "canceled" else None,
        "failed_at": ended if status == "failed" else None,
        "completed_at": ended if status == "completed" else None,
        "instructions": run.agent.description or None,
        "tools": [{"type": "function", "name": n} for n in _tool_names(run)],
        "meta_data": run.details["metadata"],
        "usage": {
            "prompt_tokens": (usage and usage.input_tokens) or 0,
            "completion_tokens": (usage and usage.output_tokens) or 0,
            "total_tokens": (usage and usage.total_tokens) or 0,
        },
        "max_completion_tokens": settings.max_tokens,
        "truncation_strategy": {},
        "response_format": run.details["response_format"],
        "tool_choice": "auto",
    }


def _tool_names(run: RunRecord) -> list[str]:
    return list(dict.fromkeys(call.name for call in run.transcript.tool_calls))

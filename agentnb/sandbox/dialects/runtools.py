"""RunTools' API: one call that runs an agent, streamed or not, and lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from agentnb.event.types import (
    ApprovalRequested,
    Event,
    RawEvent,
    ReasoningDelta,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
)
from agentnb.platforms.local import Message
from agentnb.sandbox.dialects.base import (
    ApiError,
    Dialect,
    bearer,
    json_or_text,
    json_response,
    to_json,
    tool_object,
    usage_fields,
    utc,
)
from agentnb.sandbox.responses import Encoder, Item, SSEResponse, sse_frame
from agentnb.sandbox.state import SandboxRun, new_id

__all__ = ["RunToolsDialect"]


class ChatMessage(BaseModel):
    role: Literal["user", "assistant", "system"]
    content: str


class RunToolsConfig(BaseModel, extra="allow"):
    maxTokens: Annotated[int, Field(ge=1)] | None = None
    maxTurns: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None


class RunToolsRunBody(BaseModel):
    agent: Annotated[str, Field(min_length=1)]
    prompt: str | None = None
    messages: list[ChatMessage] | None = None
    threadId: Annotated[str, Field(min_length=1)] | None = None
    stream: bool = True
    config: RunToolsConfig = RunToolsConfig()
    metadata: dict[str, Any] = {}

    @model_validator(mode="after")
    def _has_one_input(self) -> RunToolsRunBody:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give either prompt or messages")
        if self.messages is not None and (not self.messages or self.messages[-1].role != "user"):
            raise ValueError("messages must end with one from the user")
        return self


class RunToolsRunsQuery(BaseModel):
    agent: str | None = None
    status: str | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 50


class FrameEncoder(Encoder):
    """Frames named by category, the name in ``event:`` and in the JSON's ``type``."""

    def frame(self, name: str, data: Any) -> bytes:
        return sse_frame(to_json({"type": name, **data}), event=name)

    def items(self, event: Event) -> list[Item]:
        match event:
            case RunStarted():
                ids = {"runId": self._run.id, "threadId": self._run.session.id}
                return [("start", {**ids, "agent": self._run.agent.name})]
            case ReasoningDelta():
                return [("thinking", {"content": event.text})]
            case TextDelta():
                return [("text_delta", {"content": event.text})]
            case ToolCallStarted():
                arguments = json_or_text(event.arguments or "{}")
                return [("tool_call", {"tool": event.name, "input": arguments})]
            case ToolCallDelta() if event.output:
                return [("tool_output_delta", {"output": event.output})]
            case ToolCallFinished() if event.error is not None:
                return [("tool_result", {"tool": event.name, "error": event.error})]
            case ToolCallFinished():
                output = json_or_text(event.result or "")
                return [("tool_result", {"tool": event.name, "output": output})]
            case ApprovalRequested():
                return [("approval_requested", {"message": event.message, "tool": event.tool})]
            case RunFinished():
                output = self._run.transcript.text or event.output or ""
                return [("complete", {"output": output, **_outcome(self._run)})]
            case RunFailed():
                code = event.code or "agent_error"
                return [("error", {"message": event.message, "code": code})]
            case RunCancelled():
                return [("error", {"message": event.reason or "Cancelled", "code": "cancelled"})]
            case RawEvent():
                return [(event.name, tool_object(event.data, "data"))]
            case _:
                return []


class RunToolsDialect(Dialect):
    """Creates threads on first use.  A script of faults is ``metadata["fault"]``."""

    invalid = 400
    run_calls = frozenset({"create_run", "thread_events"})

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v1/run", self.create_run, methods=["POST"]),
            Route("/v1/run", self.list_runs, methods=["GET"]),
            Route("/v1/agents", self.list_agents, methods=["GET"]),
            Route("/v1/threads/{thread_id}/events", self.thread_events, methods=["GET"]),
        ]

    def keys(self, headers: Mapping[str, str]) -> list[str]:
        key = headers.get("x-api-key", "")
        return [key] if key else bearer(headers)

    def problem(self, error: ApiError) -> Response:
        request_id = new_id("req")
        body = {"code": error.code, "message": error.message, "requestId": request_id}
        headers = {**error.headers, "x-request-id": request_id}
        return json_response({"error": body}, status=error.status, headers=headers)

    async def create_run(self, request: Request) -> Any:
        body = await self.body(request, RunToolsRunBody)
        await self.begin(request, "start", script=body.metadata.get("fault"))
        agent = self.agent(body.agent)
        session = self.store.open_session(body.threadId or new_id("thr"))
        history: list[Message] | None = None
        prompt = body.prompt or ""
        if body.messages is not None:
            *earlier, last = body.messages
            history = [Message(role=m.role, content=m.content) for m in earlier]
            prompt = last.content
            for message in () if session.messages else earlier:
                session.add(message.role, message.content)
            session.add("user", prompt)
        run = self.start(
            request,
            agent,
            session,
            prompt,
            history=history,
            params={**body.metadata, "config": body.config.model_dump(exclude_none=True)},
            pace=None if body.stream else 0,
        )
        headers = {"X-Run-ID": run.id, "X-Thread-ID": _header(session.id)}
        if body.stream:
            return SSEResponse(run, FrameEncoder(run), headers=headers)
        if not await self.finish(request, run):
            return Response(status_code=499)
        failure = run.transcript.failure
        if failure is not None:
            raise ApiError(500, failure.code or "agent_error", failure.message, headers=headers)
        answer = {
            "runId": run.id,
            "threadId": session.id,
            "status": run.status,
            "result": run.transcript.text,
            **_outcome(run),
        }
        return json_response({"data": answer}, headers=headers)

    async def list_runs(self, request: Request) -> Response:
        query = self.query(request, RunToolsRunsQuery)
        runs = [
            _entry(r)
            for r in self.store.runs(agent=query.agent)
            if query.status is None or r.status == query.status
        ]
        return json_response({"data": runs[: query.limit]})

    async def list_agents(self, request: Request) -> Response:
        agents = [
            {
                "id": a.name,
                "slug": a.name,
                "name": a.name,
                "description": a.description,
                "model": a.model,
            }
            for a in self.engine.registry.list()
        ]
        return json_response({"data": agents})

    async def thread_events(self, request: Request) -> Response:
        thread_id = request.path_params["thread_id"]
        session = self.store.session(thread_id)
        if session is None:
            raise ApiError(404, "thread_not_found", f"There is no thread {thread_id!r}.")
        newest = next(self.store.runs(session_id=thread_id), None)
        await self.begin(request, "join", run=newest)
        events: list[dict[str, Any]] = []
        for run in self.store.runs(session_id=thread_id, oldest_first=True):
            encoder = FrameEncoder(run)
            # The log has no times of single events.
            at = utc(run.started_at or run.created_at, milliseconds=True)
            for event in run.log.since(0):
                for name, payload in encoder.complete(event):
                    number = {"sequence": len(events) + 1, "runId": run.id}
                    events.append({**number, "type": name, "payload": payload, "createdAt": at})
        return json_response({"data": events})


def _outcome(run: SandboxRun) -> dict[str, Any]:
    usage = usage_fields(run, "inputTokens", "outputTokens", "totalTokens")
    return {"usage": usage, "iterations": 1 + len(run.transcript.tool_calls)}


def _entry(run: SandboxRun) -> dict[str, Any]:
    failure = run.transcript.failure
    return {
        "id": run.id,
        "runId": run.id,
        "threadId": run.session.id,
        "agent": run.agent.name,
        "status": run.status,
        "prompt": run.prompt,
        "result": run.transcript.text if run.is_final else None,
        "error": None if failure is None else failure.message,
        **_outcome(run),
        "createdAt": utc(run.created_at, milliseconds=True),
        "startedAt": utc(run.started_at, milliseconds=True),
        "completedAt": utc(run.finished_at, milliseconds=True),
    }


def _header(text: str) -> str:
    """Return ``text`` as a header can carry it."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)

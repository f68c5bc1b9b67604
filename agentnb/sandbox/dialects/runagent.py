"""run-agent.ai's API: a stream of text chunks, or one response."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from agentnb.event.types import Event, RawEvent, RunCancelled, RunFailed, RunFinished, TextDelta
from agentnb.sandbox.dialects.base import (
    ApiError,
    Dialect,
    json_or_text,
    json_response,
    to_json,
    usage_fields,
)
from agentnb.sandbox.registry import RegisteredAgent
from agentnb.sandbox.responses import Encoder, Item, SSEResponse, sse_frame
from agentnb.sandbox.state import SandboxRun, new_id

__all__ = ["RunAgentDialect"]


class RunAgentParameters(BaseModel, extra="allow"):
    resume_from_index: Annotated[int, Field(ge=0)] | None = None
    stream_delay_ms: Annotated[int, Field(ge=0, le=60_000)] | None = None
    chunk_size: Annotated[int, Field(ge=1)] | None = None


class RunAgentBody(BaseModel):
    query: Annotated[str, Field(min_length=1)]
    parameters: RunAgentParameters | None = None
    session_id: Annotated[str, Field(min_length=1)] | None = None


class ChunkEncoder(Encoder):
    """Encodes ``start``, ``chunk``, ``error`` and ``done`` events: text and usage only."""

    def __init__(self, run: SandboxRun, *, chunk_size: int | None = None, first: int = 0) -> None:
        super().__init__(run)
        self._size = chunk_size
        self._first = first
        self._index = 0
        self._has_text = False
        self._buffer: list[str] = []
        self._buffer_length = 0

    def opening(self) -> list[Item]:
        return [("start", {"message": "Stream started", "session_id": self._run.session.id})]

    def frame(self, name: str, data: Any) -> bytes:
        if name == "chunk" and isinstance(data, str):
            data, self._index = {"content": data, "index": self._index}, self._index + 1
            if self._index <= self._first:
                return b""
        return sse_frame(to_json(data), event=name)

    def items(self, event: Event) -> list[Item]:
        match event:
            case TextDelta():
                return self._text(event.text)
            case RunFinished():
                # An agent may return its whole answer at the end instead of streaming it.
                late = self._text(event.output) if event.output and not self._has_text else []
                done = {
                    "message": "Stream complete",
                    "usage": _usage(self._run),
                    "execution_time": round(self._run.seconds, 3),
                }
                return [*late, *self._rest(), ("done", done)]
            case RunFailed():
                error = {"error": event.message, "code": event.code or "STREAM_ERROR"}
                wait = {} if event.retry_after is None else {"retry_after": event.retry_after}
                return [*self._rest(), ("error", error | wait)]
            case RunCancelled():
                error = {"error": event.reason or "Cancelled", "code": "CANCELLED"}
                return [*self._rest(), ("error", error)]
            case RawEvent():
                return [(event.name, json_or_text(event.data))]
            case _:
                return []

    def _text(self, text: str) -> list[Item]:
        self._has_text = True
        if self._size is None:
            return [("chunk", text)]
        self._buffer.append(text)
        self._buffer_length += len(text)
        if self._buffer_length < self._size:
            return []
        joined = "".join(self._buffer)
        whole = len(joined) - len(joined) % self._size
        self._buffer = [joined[whole:]]
        self._buffer_length = len(joined) - whole
        return [("chunk", joined[at : at + self._size]) for at in range(0, whole, self._size)]

    def _rest(self) -> list[Item]:
        rest, self._buffer, self._buffer_length = "".join(self._buffer), [], 0
        return [("chunk", rest)] if rest else []


class RunAgentDialect(Dialect):
    """Creates sessions on first use.  A script of faults is the parameter ``fault``."""

    run_calls = frozenset({"stream", "invoke"})

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v1/agents/{agent_id}/stream", self.stream, methods=["POST"]),
            Route("/v1/agents/{agent_id}/invoke", self.invoke, methods=["POST"]),
        ]

    def problem(self, error: ApiError) -> Response:
        details: dict[str, Any] = {}
        if error.problems:
            details["fields"] = error.invalid_fields
        body: dict[str, Any] = {
            "code": "VALIDATION_ERROR" if error.problems else error.code.upper(),
            "message": error.message,
            "details": details,
            "status": error.status,
        }
        if (retry_after := error.headers.get("retry-after")) is not None:
            body["retry_after"] = json_or_text(retry_after)
        return json_response({"error": body}, status=error.status, headers=error.headers)

    async def stream(self, request: Request) -> SSEResponse:
        agent, body = await self._parse(request)
        parameters = body.parameters or RunAgentParameters()
        first = parameters.resume_from_index
        run = None if first is None else self._resumed(body.session_id, agent)
        if run is None:
            run = await self._start(request, agent, body)
        else:
            await self.begin(request, "join", run=run, script=_script(body))
            self.check_kept(run, since=first or 0)
        encoder = ChunkEncoder(run, chunk_size=parameters.chunk_size, first=first or 0)
        delay = (parameters.stream_delay_ms or 0) / 1000
        return SSEResponse(run, encoder, delay=delay)

    async def invoke(self, request: Request) -> Response:
        agent, body = await self._parse(request)
        run = await self._start(request, agent, body, pace=0)
        if not await self.finish(request, run):
            return Response(status_code=499)
        failure = run.transcript.failure
        if failure is not None:
            error = ApiError(500, failure.code or "AGENT_ERROR", failure.message)
            return self.problem(error)
        if run.status == "cancelled":
            raise ApiError(409, "CANCELLED", "The run was cancelled.")
        answer = {
            "result": run.transcript.text,
            "usage": _usage(run),
            "metadata": {
                "agent_id": agent.name,
                "session_id": run.session.id,
                "execution_time": round(run.seconds, 3),
            },
        }
        return json_response(answer)

    async def _parse(self, request: Request) -> tuple[RegisteredAgent, RunAgentBody]:
        agent = self.agent(request.path_params["agent_id"])
        return agent, await self.body(request, RunAgentBody)

    def _resumed(self, session_id: str | None, agent: RegisteredAgent) -> SandboxRun | None:
        """Return the session's latest run, started again where it was cut off."""
        if session_id is None:
            return None
        run = next(self.store.runs(session_id=session_id, agent=agent.name), None)
        if run is None or run.status not in ("cancelled", "failed"):
            return run
        again = self.engine.start(
            self.store,
            agent,
            run.session,
            run.prompt,
            history=run.context.history,
            params=run.context.params,
        )
        again.plan = run.plan
        return again

    async def _start(
        self,
        request: Request,
        agent: RegisteredAgent,
        body: RunAgentBody,
        *,
        pace: float | None = None,
    ) -> SandboxRun:
        await self.begin(request, "start", script=_script(body))
        parameters = body.parameters or RunAgentParameters()
        return self.start(
            request,
            agent,
            self.store.open_session(body.session_id or new_id("sess")),
            body.query,
            params=parameters.model_dump(exclude_none=True),
            pace=pace if parameters.stream_delay_ms is None else 0,
        )


def _script(body: RunAgentBody) -> Any:
    extra = body.parameters.model_extra if body.parameters else None
    return (extra or {}).get("fault")


def _usage(run: SandboxRun) -> dict[str, int]:
    return usage_fields(run, "prompt_tokens", "completion_tokens", "total_tokens")

"""OperativusAI's API: agents, runs of three kinds, their state, events and approvals."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from agentnb.event.transcript import Passage, Status
from agentnb.sandbox.dialects.base import (
    ApiError,
    Dialect,
    json_or_text,
    json_response,
    utc,
)
from agentnb.sandbox.dialects.operativus_events import (
    RecordEncoder,
    StreamEventEncoder,
    metrics,
)
from agentnb.sandbox.dialects.operativus_requests import (
    EventsQuery,
    OperativusRunBody,
    OperativusRunsQuery,
    Resolution,
    script_of,
)
from agentnb.sandbox.responses import Encoder, SSEResponse
from agentnb.sandbox.state import SandboxRun

_MAX_IDS: Final = 100
_STATUSES: Final[dict[Status, str]] = {
    "queued": "QUEUED",
    "running": "RUNNING",
    "paused": "PAUSED",
    "completed": "COMPLETED",
    "cancelled": "CANCELLED",
}


class OperativusDialect(Dialect):
    """Creates sessions on first use, by whatever id.

    A script of faults comes in ``options``: as ``fault``, or as a ``model`` that begins with
    ``fault:``, for clients that send no other options than those of the API page.
    """

    invalid = 400
    accepted = 202
    """The status of a response that starts a background run."""
    run_calls = frozenset({"run_stream", "run_sync", "run_background", "events"})

    def routes(self) -> list[BaseRoute]:
        runs = "/api/agents/{agent_id}/runs"
        return [
            Route("/api/agents", self.list_agents, methods=["GET"]),
            Route(runs, self.run_sync, methods=["POST"]),
            Route(runs + "/stream", self.run_stream, methods=["POST"]),
            Route(runs + "/background", self.run_background, methods=["POST"]),
            Route(runs + "/status", self.batch_status, methods=["GET"]),
            Route(runs + "/{run_id}/status", self.run_status, methods=["GET"]),
            Route(runs + "/{run_id}", self.cancel, methods=["DELETE"]),
            Route("/api/v1/runs", self.list_runs, methods=["GET"]),
            Route("/api/v1/runs/{run_id}", self.run_status, methods=["GET"]),
            Route("/api/v1/runs/{run_id}/cancel", self.cancel, methods=["POST"]),
            Route("/api/v1/runs/{run_id}/events", self.events, methods=["GET"]),
            Route("/api/sessions/{session_id}/runs", self.session_runs, methods=["GET"]),
            Route("/api/v1/approvals/pending", self.approvals, methods=["GET"]),
            Route("/api/v1/approvals/{approval_id}/resolve", self.resolve, methods=["POST"]),
        ]

    def problem(self, error: ApiError) -> Response:
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": _title(error.status),
            "status": error.status,
            "detail": error.message,
        }
        if error.problems:
            body["errors"] = error.invalid_fields
        return json_response(
            body,
            status=error.status,
            headers=error.headers,
            media_type="application/problem+json",
        )

    # --- runs ---

    async def run_stream(self, request: Request) -> SSEResponse:
        run = await self._start(request)
        return SSEResponse(run, self.stream_encoder(run))

    async def run_sync(self, request: Request) -> Response:
        run = await self._start(request, pace=0)
        if not await self.finish(request, run):
            return Response(status_code=499)
        calls = run.transcript.tool_calls
        answer = {
            "runId": run.id,
            "sessionId": run.session.id,
            "content": run.transcript.text,
            "metadata": _run_metadata(run),
            "tools": [
                {
                    "name": call.name,
                    "arguments": json_or_text(call.arguments or "{}"),
                    "result": call.result,
                    **({"error": call.error} if call.error is not None else {}),
                }
                for call in calls
            ],
            "reasoningSteps": [
                str(p.text)
                for p in run.transcript.parts
                if isinstance(p, Passage) and p.kind == "reasoning"
            ],
            "status": status_of(run),
            "metrics": self.metrics(run),
        }
        return json_response(answer)

    async def run_background(self, request: Request) -> Response:
        run = await self._start(request, with_client=False)
        return json_response({"runId": run.id, "status": "QUEUED"}, status=self.accepted)

    async def run_status(self, request: Request) -> Response:
        return json_response(self.state(self._run(request)))

    async def batch_status(self, request: Request) -> Response:
        agent = self.agent(request.path_params["agent_id"])
        if "runIds" not in request.query_params:
            raise ApiError(400, "invalid_request", "The parameter 'runIds' is missing.")
        ids = [i for i in request.query_params["runIds"].split(",") if i]
        if len(ids) > _MAX_IDS:
            raise ApiError(400, "invalid_request", f"At most {_MAX_IDS} run ids, not {len(ids)}.")
        found = [self.store.run(i) for i in dict.fromkeys(ids)]
        return json_response(self.batch([r for r in found if r is not None], agent.name))

    async def cancel(self, request: Request) -> Response:
        self._run(request).cancel("Cancelled by a request.")
        return Response(status_code=204)

    async def events(self, request: Request) -> SSEResponse:
        run = self._run(request)
        since = self.query(request, EventsQuery).sinceId
        if since is None:
            last = request.headers.get("last-event-id", "")
            since = int(last) if last.isascii() and last.isdigit() else 0
        injector = await self.begin(request, "join", run=run)
        self.check_kept(run, since=since)
        encoder = self.events_encoder(run, since=since, as_record=injector.is_record)
        return SSEResponse(run, encoder)

    async def list_runs(self, request: Request) -> Response:
        query = self.query(request, OperativusRunsQuery)
        runs = [
            r
            for r in self.store.runs(session_id=query.sessionId, agent=query.agentId)
            if query.status is None or status_of(r) == query.status.upper()
        ]
        begin = query.page * query.size
        content = [self.listed(r) for r in runs[begin : begin + query.size]]
        where = {
            "size": query.size,
            "number": query.page,
            "totalElements": len(runs),
            "totalPages": -(-len(runs) // query.size),
        }
        return json_response(self.page(content, where))

    async def session_runs(self, request: Request) -> Response:
        session_id = request.path_params["session_id"]
        if self.store.session(session_id) is None:
            raise ApiError(404, "session_not_found", f"There is no session {session_id!r}.")
        return json_response([self.listed(r) for r in self.store.runs(session_id=session_id)])

    # --- overridden for the published server ---

    def stream_encoder(self, run: SandboxRun) -> Encoder:
        return StreamEventEncoder(run)

    def events_encoder(self, run: SandboxRun, *, since: int, as_record: bool) -> Encoder:
        if as_record:
            return RecordEncoder(run, numbered=True, since=since)
        return StreamEventEncoder(run, numbered=True, since=since)

    def metrics(self, run: SandboxRun) -> dict[str, Any]:
        return metrics(run)

    def state(self, run: SandboxRun) -> dict[str, Any]:
        return _entity(run)

    def listed(self, run: SandboxRun) -> dict[str, Any]:
        return _entity(run)

    def batch(self, runs: Sequence[SandboxRun], agent: str) -> list[dict[str, Any]]:
        return [_row(run) for run in runs if run.agent.name == agent]

    def page(self, content: list[dict[str, Any]], where: dict[str, Any]) -> dict[str, Any]:
        return {"content": content, "page": where}

    # --- agents and approvals ---

    async def list_agents(self, request: Request) -> Response:
        agents = [
            {
                "agentId": a.name,
                "name": a.name,
                "description": a.description,
                "model": a.model,
            }
            for a in self.engine.registry.list()
        ]
        return json_response(agents)

    async def approvals(self, request: Request) -> Response:
        pending = [
            {
                "id": approval_id,
                "runId": run.id,
                "agentId": run.agent.name,
                "sessionId": run.session.id,
                "message": approval.message,
                "toolName": approval.tool,
                "arguments": json_or_text(approval.arguments) if approval.arguments else None,
                "status": "PENDING",
            }
            for run in self.store.runs(oldest_first=True)
            for approval_id, approval in run.approvals.items()
            if not run.is_final
        ]
        return json_response(pending)

    async def resolve(self, request: Request) -> Response:
        approval_id = request.path_params["approval_id"]
        body = await self.body(request, Resolution)
        for run in self.store.runs():
            if approval_id in run.approvals and not run.is_final:
                self.engine.decide(run, approval_id, body.decision)
                return json_response({"id": approval_id, "status": body.decision})
        raise ApiError(404, "approval_not_found", f"No approval {approval_id!r} is pending.")

    async def _start(
        self, request: Request, *, with_client: bool = True, pace: float | None = None
    ) -> SandboxRun:
        agent = self.agent(request.path_params["agent_id"])
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise ApiError(415, "unsupported_media_type", f"Content-Type {kind!r} is not JSON.")
        body = await self.body(request, OperativusRunBody)
        await self.begin(request, "start", script=script_of(body))
        options = body.options.model_dump(exclude_none=True) if body.options else {}
        return self.start(
            request,
            agent,
            self.store.open_session(body.sessionId or str(uuid.uuid4())),
            body.message,
            params={**options, "user_id": body.userId, "org_id": body.orgId},
            media=[item.media() for item in body.media],
            details={"generate_followups": body.generateFollowups},
            with_client=with_client,
            waits_for_approval=True,
            pace=pace,
        )

    def _run(self, request: Request) -> SandboxRun:
        return self.run(request.path_params["run_id"], agent=request.path_params.get("agent_id"))


def status_of(run: SandboxRun) -> str:
    """Return the platform's name of a run's status."""
    return _STATUSES.get(run.status, "FAILED")


def _row(run: SandboxRun) -> dict[str, Any]:
    return {
        "id": run.id,
        "agentId": run.agent.name,
        "sessionId": run.session.id,
        "status": status_of(run),
        "createdAt": utc(run.created_at),
        "completedAt": utc(run.finished_at),
    }


def _entity(run: SandboxRun) -> dict[str, Any]:
    """Return the complete ``AgentRun``."""
    failure = run.transcript.failure
    return {
        **_row(run),
        "startedAt": utc(run.started_at),
        "input": run.prompt,
        "output": run.transcript.text if run.is_final else None,
        "errorMessage": None if failure is None else failure.message,
        "metrics": metrics(run) if run.is_final else None,
    }


def _run_metadata(run: SandboxRun) -> dict[str, Any]:
    metadata: dict[str, Any] = {"durationMs": round(run.seconds * 1000)}
    if run.transcript.followups and run.details.get("generate_followups"):
        metadata["followups"] = list(run.transcript.followups)
    for approval_id, approval in run.approvals.items() if run.waits else ():
        metadata["requiredAction"] = {
            "type": "TOOL_APPROVAL",
            "tool": approval.tool,
            "args": approval.arguments,
            "approvalId": approval_id,
            "message": approval.message,
        }
    if run.transcript.failure is not None:
        metadata["error"] = run.transcript.failure.message
    return metadata


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"

"""OperativusAI's API as its published server has it, which differs from its API page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

from starlette.routing import BaseRoute, Route

from agentnb.sandbox.dialects.operativus import OperativusDialect, status_of
from agentnb.sandbox.dialects.operativus_events import RecordEncoder, ServerEventEncoder, metrics
from agentnb.sandbox.engine import SandboxEngine
from agentnb.sandbox.responses import Encoder
from agentnb.sandbox.state import SandboxRun

# For how long after its end a streamed run is still listed as running.
_LAG: Final = timedelta(milliseconds=200)


class OperativusServerDialect(OperativusDialect):
    """Times are local to ``zone``, without an offset.

    A run's record has no text; only the status of several runs at once includes their output.
    """

    accepted = 200

    def __init__(self, engine: SandboxEngine, *, zone: tzinfo) -> None:
        super().__init__(engine)
        self._zone = zone

    def routes(self) -> list[BaseRoute]:
        return [
            route
            for route in super().routes()
            if not (isinstance(route, Route) and route.path.endswith("/{run_id}/status"))
        ]

    def stream_encoder(self, run: SandboxRun) -> Encoder:
        run.details["streamed"] = True
        return ServerEventEncoder(run, space="")

    def events_encoder(self, run: SandboxRun, *, since: int, as_record: bool) -> Encoder:
        return RecordEncoder(run, numbered=True, since=since, space="")

    def metrics(self, run: SandboxRun) -> dict[str, Any]:
        return {k: v for k, v in metrics(run).items() if k != "totalTokens"}

    def state(self, run: SandboxRun) -> dict[str, Any]:
        return self.listed(run)

    def listed(self, run: SandboxRun) -> dict[str, Any]:
        is_over = self._is_over(run)
        usage = run.transcript.usage if is_over else None
        failure = run.transcript.failure
        return {
            "id": run.id,
            "agentId": run.agent.name,
            "sessionId": run.session.id,
            "userId": None,
            "orgId": None,
            "parentRunId": None,
            "status": status_of(run) if is_over or not run.is_final else "RUNNING",
            "model": (run.transcript.model or run.agent.model) if is_over else None,
            "inputTokens": usage and usage.input_tokens,
            "outputTokens": usage and usage.output_tokens,
            "durationMs": round(run.seconds * 1000) if is_over else None,
            "totalCostUsd": usage and usage.cost_usd,
            "errorType": (failure.code or "AGENT_ERROR") if is_over and failure else None,
            "createdAt": self._local(run.created_at),
            "updatedAt": self._local((run.finished_at if is_over else None) or run.created_at),
        }

    def batch(self, runs: Sequence[SandboxRun], agent: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for run in runs:
            row = {**self.listed(run), "input": run.prompt, "output": None, "errorMessage": None}
            if self._is_over(run):
                failure = run.transcript.failure
                row["output"] = run.transcript.text
                row["errorMessage"] = None if failure is None else failure.message
            rows.append(row)
        return rows

    def page(self, content: list[dict[str, Any]], where: dict[str, Any]) -> dict[str, Any]:
        is_last = where["number"] + 1 >= where["totalPages"]
        return {"content": content, **where, "first": where["number"] == 0, "last": is_last}

    def _is_over(self, run: SandboxRun) -> bool:
        if not run.is_final or run.finished_at is None:
            return False
        lag = _LAG if run.details.get("streamed") else timedelta()
        return datetime.now(UTC) - run.finished_at >= lag

    def _local(self, moment: datetime) -> str:
        return moment.astimezone(self._zone).replace(tzinfo=None).isoformat()

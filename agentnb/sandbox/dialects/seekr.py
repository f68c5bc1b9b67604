"""SeekrFlow's API: threads, messages, runs on them, and agents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from agentnb.sandbox.dialects.base import ApiError, Dialect, bearer, json_response
from agentnb.sandbox.dialects.seekr_chunks import PageEncoder, VercelEncoder
from agentnb.sandbox.dialects.seekr_records import (
    SeekrModelSettings,
    agent_record,
    message_record,
    run_record,
    run_status,
    thread_record,
)
from agentnb.sandbox.responses import SSEResponse
from agentnb.sandbox.state import SandboxRun, SandboxSession, SessionMessage, new_id

__all__ = ["SeekrDialect"]

_DEFAULT_AGENT = "default_agent"


class SeekrResponseFormat(BaseModel):
    json_schema: dict[str, Any]


class SeekrRunBody(BaseModel):
    agent_id: str = _DEFAULT_AGENT
    model_settings: SeekrModelSettings = SeekrModelSettings()
    response_format: SeekrResponseFormat | None = None
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


class MessageUpdate(BaseModel):
    content: str | None = None
    meta_data: dict[str, Any] | None = None


class CancelRequest(BaseModel):
    agent_id: str | None = None


class PageQuery(BaseModel):
    limit: Annotated[int, Field(ge=0)] = 20
    order: Literal["asc", "desc"] = "desc"
    offset: Annotated[int, Field(ge=0)] = 0


class SeekrDialect(Dialect):
    """Threads are the store's sessions.  A script of faults is ``metadata["fault"]``."""

    run_calls = frozenset({"create_run", "stream_page", "stream_vercel", "attach"})

    def routes(self) -> list[BaseRoute]:
        thread = "/v1/threads/{thread_id}"
        run = thread + "/runs/{run_id}"
        message = thread + "/messages/{message_id}"
        return [
            # The vendor's client sends a trailing slash, and follows no redirect.
            *(
                Route(path, call, methods=[method])
                for path in ("/v1/threads", "/v1/threads/")
                for method, call in (("POST", self.create_thread), ("GET", self.list_threads))
            ),
            Route(thread, self.get_thread, methods=["GET"]),
            Route(thread, self.delete_thread, methods=["DELETE"]),
            Route(thread + "/messages", self.create_message, methods=["POST"]),
            Route(thread + "/messages", self.list_messages, methods=["GET"]),
            Route(message, self.get_message, methods=["GET"]),
            Route(message, self.update_message, methods=["PATCH"]),
            Route(message, self.delete_message, methods=["DELETE"]),
            Route(thread + "/runs", self.create_run, methods=["POST"]),
            Route(thread + "/runs", self.list_runs, methods=["GET"]),
            Route(thread + "/runs/stream", self.stream_page, methods=["POST"]),
            Route(thread + "/runs/stream/vercel", self.stream_vercel, methods=["POST"]),
            Route(run, self.get_run, methods=["GET"]),
            Route(run + "/cancel", self.cancel_run, methods=["POST"]),
            Route(run + "/attach", self.attach, methods=["GET"]),
            Route("/v2/flow/agents/", self.list_agents, methods=["GET"]),
            Route("/v2/flow/agents/{agent_id}", self.get_agent, methods=["GET"]),
        ]

    def keys(self, headers: Mapping[str, str]) -> list[str]:
        """Accept the bare key, as the vendor's client sends it, and a bearer token."""
        raw = headers.get("authorization", "").strip()
        return [raw, *bearer(headers)] if raw else []

    def problem(self, error: ApiError) -> Response:
        if error.problems:
            return json_response({"detail": error.problems}, status=error.status)
        body = {"error": error.code, "message": error.message, "status": error.status}
        return json_response(body, status=error.status, headers=error.headers)

    # --- threads and messages ---

    async def create_thread(self, request: Request) -> Response:
        body = await self.body(request, ThreadRequest)
        session = self.store.new_session(
            new_id("thread"), details={"meta_data": body.meta_data or {}}
        )
        return json_response(thread_record(session))

    async def list_threads(self, request: Request) -> Response:
        page = self.query(request, PageQuery)
        threads = list(self.store.sessions())
        return json_response([thread_record(s) for s in _paged(threads, page)])

    async def get_thread(self, request: Request) -> Response:
        return json_response(thread_record(self._thread(request)))

    async def delete_thread(self, request: Request) -> Response:
        self.store.remove_session(self._thread(request))
        return json_response({"deleted": True})

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
        message.details["meta_data"] = body.meta_data or {}
        return json_response(message_record(message, session))

    async def list_messages(self, request: Request) -> Response:
        session = self._thread(request)
        page = self.query(request, PageQuery)
        newest_first = session.messages[::-1]
        text_only = _is_vendors_client(request)
        found = _paged(newest_first, page)
        return json_response([message_record(m, session, text_only=text_only) for m in found])

    async def get_message(self, request: Request) -> Response:
        session = self._thread(request)
        message = self._message(request, session)
        text_only = _is_vendors_client(request)
        return json_response(message_record(message, session, text_only=text_only))

    async def update_message(self, request: Request) -> Response:
        session = self._thread(request)
        message = self._message(request, session)
        body = await self.body(request, MessageUpdate)
        if body.content is not None:
            message.content = message.text = body.content
        if body.meta_data:
            message.details["meta_data"] = {**message.details["meta_data"], **body.meta_data}
        return json_response(message_record(message, session))

    async def delete_message(self, request: Request) -> Response:
        session = self._thread(request)
        session.messages.remove(self._message(request, session))
        return json_response({"deleted": True})

    # --- runs ---

    async def create_run(self, request: Request) -> Response:
        run = await self._start(request, with_client=False)
        body = {
            "run_id": run.id,
            "thread_id": run.session.id,
            "status": run_status(run),
            "group": run.details["group"],
        }
        return json_response(body)

    async def stream_page(self, request: Request) -> SSEResponse:
        run = await self._start(request, with_client=True)
        return SSEResponse(run, PageEncoder(run))

    async def stream_vercel(self, request: Request) -> SSEResponse:
        run = await self._start(request, with_client=True)
        run.details["vercel"] = True
        headers = {"x-vercel-ai-ui-message-stream": "v1"}
        return SSEResponse(run, VercelEncoder(run), headers=headers)

    async def attach(self, request: Request) -> SSEResponse:
        """Send the run again from its beginning, in the form it was started in."""
        run = self._run(request)
        injector = await self.begin(request, "join", run=run)
        encoder = VercelEncoder(run) if run.details.get("vercel") else PageEncoder(run)
        return SSEResponse(run, encoder, late=injector.is_live)

    async def list_runs(self, request: Request) -> Response:
        session = self._thread(request)
        page = self.query(request, PageQuery)
        runs = list(self.store.runs(session_id=session.id))
        return json_response([run_record(r) for r in _paged(runs, page)])

    async def get_run(self, request: Request) -> Response:
        return json_response(run_record(self._run(request)))

    async def cancel_run(self, request: Request) -> Response:
        run = self._run(request)
        body = await self.body(request, CancelRequest)
        if body.agent_id is not None and body.agent_id != run.details["agent_id"]:
            raise ApiError(404, "run_not_found", f"{body.agent_id!r} has no run {run.id!r}.")
        run.cancel("Cancelled by a request.")
        return json_response({"status": "canceled", "run_id": run.id})

    async def list_agents(self, request: Request) -> Response:
        agents = [agent_record(agent) for agent in self.engine.registry.list()]
        return json_response({"data": agents})

    async def get_agent(self, request: Request) -> Response:
        return json_response(agent_record(self.agent(request.path_params["agent_id"])))

    async def _start(self, request: Request, *, with_client: bool) -> SandboxRun:
        session = self._thread(request)
        body = await self.body(request, SeekrRunBody)
        await self.begin(request, "start", script=(body.metadata or {}).get("fault"))
        agent = self.engine.registry.find(body.agent_id)
        if agent is None:
            is_default = body.agent_id == _DEFAULT_AGENT
            agent = self.agent("finance_agent" if is_default else body.agent_id)
        messages = session.messages
        last = max((i for i, m in enumerate(messages) if m.role == "user"), default=None)
        if last is None:
            raise ApiError(400, "no_message", "The thread has no message from a user to answer.")
        schema = body.response_format.json_schema if body.response_format else None
        return self.start(
            request,
            agent,
            session,
            messages[last].text,
            history=session.history()[:last],
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

    def _thread(self, request: Request) -> SandboxSession:
        thread_id = request.path_params["thread_id"]
        session = self.store.session(thread_id)
        if session is None:
            raise ApiError(404, "thread_not_found", f"There is no thread {thread_id!r}.")
        return session

    def _message(self, request: Request, session: SandboxSession) -> SessionMessage:
        message_id = request.path_params["message_id"]
        found = next((m for m in session.messages if m.id == message_id), None)
        if found is None:
            raise ApiError(404, "message_not_found", f"There is no message {message_id!r}.")
        return found

    def _run(self, request: Request) -> SandboxRun:
        session = self._thread(request)
        run = self.run(request.path_params["run_id"])
        if run.session is not session:
            raise ApiError(404, "run_not_found", f"The thread has no run {run.id!r}.")
        return run


def _is_vendors_client(request: Request) -> bool:
    """Return whether the request is the vendor's client's, which reads text parts only."""
    return "x-seekrflow-client-user-agent" in request.headers


def _paged(newest_first: list[Any], page: PageQuery) -> list[Any]:
    items = newest_first if page.order == "desc" else newest_first[::-1]
    return items[page.offset : page.offset + page.limit]

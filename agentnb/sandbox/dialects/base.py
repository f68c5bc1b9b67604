"""Base of the dialects: routes, keys, validated bodies, errors in the platform's form."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Final, TypeVar, Unpack, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from agentnb.platforms.local import Message
from agentnb.sandbox.engine import RunOptions, SandboxEngine
from agentnb.sandbox.fault_injector import (
    HEADER,
    FaultInjector,
    InjectedError,
    injector_of,
)
from agentnb.sandbox.fault_script import FaultScriptError, Kind
from agentnb.sandbox.registry import RegisteredAgent
from agentnb.sandbox.responses import run_until_gone
from agentnb.sandbox.state import SandboxRun, SandboxSession, SandboxStore

M = TypeVar("M", bound=BaseModel)

_MAX_BODY: Final = 64 * 2**20


@dataclass(eq=False)
class ApiError(Exception):
    """An error response, which each dialect renders in the form of its platform.

    ``problems`` are pydantic's, their ``loc`` beginning with ``body`` or ``query``.
    """

    status: int
    code: str
    message: str
    problems: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def __str__(self) -> str:
        return self.message

    @property
    def invalid_fields(self) -> list[dict[str, str]]:
        """The problems as dotted field names with messages."""
        return [
            {"field": ".".join(str(part) for part in p["loc"][1:]), "message": p["msg"]}
            for p in self.problems
        ]


class Dialect(ABC):
    """One platform's API: routes, authentication, errors and state."""

    invalid: ClassVar[int] = 422
    """The status of a request that fails validation."""
    run_calls: ClassVar[frozenset[str]]
    """The endpoints that call `begin` themselves, because they start or join runs."""

    def __init__(self, engine: SandboxEngine) -> None:
        self.engine = engine
        self.store = SandboxStore()

    @abstractmethod
    def routes(self) -> list[BaseRoute]:
        """Return the platform's endpoints."""

    @abstractmethod
    def problem(self, error: ApiError) -> Response:
        """Return an error in the platform's form."""

    def keys(self, headers: Mapping[str, str]) -> list[str]:
        """Return the keys in the request, in each form that the platform accepts."""
        return bearer(headers)

    def app(self) -> ASGIApp:
        """Return the ASGI application: authentication, then the routes."""

        def api_error(request: Request, error: Exception) -> Response:
            return self.problem(cast("ApiError", error))

        def http_error(request: Request, error: Exception) -> Response:
            e = cast("HTTPException", error)
            code = {404: "not_found", 405: "method_not_allowed"}.get(e.status_code, "error")
            headers = dict(e.headers or {})
            return self.problem(ApiError(e.status_code, code, str(e.detail), headers=headers))

        def disconnected(request: Request, error: Exception) -> Response:
            # Nothing reads it; without a response the server would log a crash.
            return Response(status_code=400)

        def crashed(request: Request, error: Exception) -> Response:
            return self.problem(ApiError(500, "internal_error", "The sandbox failed."))

        routes = Starlette(
            routes=[self._with_faults(route) for route in self.routes()],
            exception_handlers={
                ApiError: api_error,
                HTTPException: http_error,
                ClientDisconnect: disconnected,
                Exception: crashed,
            },
        )

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                offered = self.keys(Request(scope).headers)
                if not any(self.engine.accepts(key) for key in offered):
                    message = "The API key is wrong." if offered else "The API key is missing."
                    await self.problem(ApiError(401, "unauthorized", message))(scope, receive, send)
                    return
                engine = self.engine
                faults = FaultInjector(
                    scope, send, faults=engine.faults, pending=engine.pending_plans
                )
                scope = {**scope, "agentnb.faults": faults}
                send = faults.send
            await routes(scope, receive, send)

        return guarded

    def _with_faults(self, route: BaseRoute) -> BaseRoute:
        """Return a route that calls `begin` first, unless its endpoint does."""
        if not isinstance(route, Route) or route.endpoint.__name__ in self.run_calls:
            return route
        endpoint = cast("Callable[[Request], Awaitable[Response]]", route.endpoint)

        async def begun(request: Request) -> Response:
            run = self.store.run(request.path_params.get("run_id", ""))
            await self.begin(request, "other", run=run)
            return await endpoint(request)

        return Route(route.path, begun, methods=list(route.methods or ()))

    async def begin(
        self,
        request: Request,
        kind: Kind,
        *,
        run: SandboxRun | None = None,
        script: Any = None,
    ) -> FaultInjector:
        """Apply the faults of the request, and prepare those of its response.

        ``script`` is from the request's body, and not validated yet.
        """
        injector = injector_of(request.scope)
        if not (script is None or isinstance(script, str)):
            raise self._script_error("The script of faults is not a string.", in_body=True)
        try:
            await injector.begin(kind, script=script, run=run, key=self._key(request))
        except FaultScriptError as error:
            in_body = HEADER not in request.headers
            raise self._script_error(str(error), in_body=in_body) from None
        except InjectedError as error:
            code = "rate_limited" if error.status == 429 else "sandbox_fault"
            headers = {} if error.retry_after is None else {"retry-after": error.retry_after}
            raise ApiError(error.status, code, str(error), headers=headers) from None
        return injector

    def _key(self, request: Request) -> str:
        """Return a key that is the same when the request is retried."""
        given = request.headers.get("idempotency-key")
        body = getattr(request.state, "fingerprint", 0)
        return given or f"{type(self).__name__} {request.method} {request.url.path} {body}"

    def _script_error(self, message: str, *, in_body: bool) -> ApiError:
        where = ["body", "fault"] if in_body else ["header", HEADER]
        problem = {"type": "value_error", "loc": where, "msg": message}
        return ApiError(self.invalid, "invalid_request", message, [problem])

    def agent(self, name: str) -> RegisteredAgent:
        agent = self.engine.registry.find(name)
        if agent is None:
            raise ApiError(404, "agent_not_found", f"There is no agent {name!r}.")
        return agent

    def run(self, run_id: str, *, agent: str | None = None) -> SandboxRun:
        run = self.store.run(run_id)
        if run is None or (agent is not None and run.agent.name != agent):
            raise ApiError(404, "run_not_found", f"There is no run {run_id!r}.")
        return run

    def check_kept(self, run: SandboxRun, *, since: int) -> None:
        """Respond 410 where the numbers of events are lost with the beginning of a long run."""
        if since and not run.log.is_whole:
            raise ApiError(410, "events_gone", f"The run {run.id!r} is too long to be taken up.")

    async def body(self, request: Request, model: type[M]) -> M:
        """Return the validated body, or respond `invalid` with its problems."""
        parts: list[bytes] = []
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > _MAX_BODY:
                raise ApiError(413, "payload_too_large", "The request is too large.")
            parts.append(part)
        whole = b"".join(parts)
        request.state.fingerprint = hash(whole)
        problem = {"type": "missing", "loc": ["body"], "msg": "Field required", "input": None}
        message = "The request has no body."
        try:
            if (data := from_json(whole or b"null")) is not None:
                return self._checked(data, model, where="body")
        except ValueError:
            message = "The body is not JSON."
            problem = {"type": "json_invalid", "loc": ["body", 0], "msg": "JSON decode error"}
        raise ApiError(self.invalid, "invalid_request", message, [problem])

    def query(self, request: Request, model: type[M]) -> M:
        """Return the validated query parameters, or respond `invalid`."""
        return self._checked(dict(request.query_params), model, where="query")

    def _checked(self, data: Any, model: type[M], *, where: str) -> M:
        try:
            return model.model_validate(data)
        except ValidationError as error:
            # Through JSON, because an error's context may hold objects that are not JSON.
            found: list[dict[str, Any]] = json.loads(error.json(include_url=False))
            problems = [{**p, "loc": [where, *p["loc"]]} for p in found]
            message = "; ".join(
                f"{'.'.join(str(part) for part in p['loc'][1:]) or where}: {p['msg']}"
                for p in problems
            )
            raise ApiError(self.invalid, "invalid_request", message, problems) from None

    def start(
        self,
        request: Request,
        agent: RegisteredAgent,
        session: SandboxSession,
        prompt: str,
        *,
        history: Sequence[Message] | None = None,
        **options: Unpack[RunOptions],
    ) -> SandboxRun:
        """Start a run; without a ``history`` the prompt becomes the session's next message."""
        if history is None:
            history = session.history()
            session.add("user", prompt)
        run = self.engine.start(self.store, agent, session, prompt, history=history, **options)
        injector_of(request.scope).carry(run)
        return run

    async def finish(self, request: Request, run: SandboxRun) -> bool:
        """Wait until a run has ended or is paused; return False if the client disconnected."""
        injector = injector_of(request.scope)
        with run.attach_client(lambda: injector.keep):
            return await run_until_gone(request.receive, run.settled.wait)


def bearer(headers: Mapping[str, str]) -> list[str]:
    """Return the token of ``Authorization: Bearer ...`` as a list of at most one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return [token.strip()] if scheme.lower() == "bearer" and token.strip() else []


def to_json(value: Any) -> str:
    """Return ``value`` as JSON on one line, with non-ASCII text unescaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:  # lone surrogates: only the escaped form can be sent
        return json.dumps(value, separators=(",", ":"))
    return text


def json_response(
    value: Any,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = "application/json",
) -> Response:
    """Return a JSON answer."""
    return Response(
        to_json(value).encode(), status_code=status, headers=headers, media_type=media_type
    )


def utc(moment: datetime | None, *, milliseconds: bool = False) -> str | None:
    """Return ``2026-05-06T10:00:00Z``, None for None."""
    if moment is None:
        return None
    text = moment.isoformat(timespec="milliseconds" if milliseconds else "seconds")
    return text.replace("+00:00", "Z")


def _reject_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON.")


def json_or_text(text: str) -> Any:
    """Return ``text`` parsed as JSON, or itself where it is not JSON."""
    try:
        # Python accepts NaN and the infinities, which are not valid JSON.
        return json.loads(text, parse_constant=_reject_constant)
    except (ValueError, RecursionError):
        return text


def tool_object(text: str, key: str) -> dict[str, Any]:
    """Return a tool's arguments or output as a JSON object."""
    value: Any = json_or_text(text or "{}")
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {key: value}


def usage_fields(run: SandboxRun, *names: str) -> dict[str, int]:
    """Return the tokens of input and output and their total, those known, under ``names``."""
    usage = run.transcript.usage
    if usage is None:
        return {}
    values = (usage.input_tokens, usage.output_tokens, usage.total_tokens)
    return {name: v for name, v in zip(names, values, strict=True) if v is not None}

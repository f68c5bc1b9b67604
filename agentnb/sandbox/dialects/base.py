"""What the four dialects share: routes, keys, checked bodies and errors in the platform's form."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Final, TypeVar, cast

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from agentnb.event.types import Event
from agentnb.sandbox.engine import Engine
from agentnb.sandbox.faulty.exchange import HEADER, Exchange, Refused, exchange_of
from agentnb.sandbox.faulty.script import Kind, ScriptError
from agentnb.sandbox.registry import RegisteredAgent
from agentnb.sandbox.state import RunRecord, Store
from agentnb.sandbox.streams import KEEP_ALIVE, read_run, run_until_gone

__all__ = [
    "ApiError",
    "Dialect",
    "Encoder",
    "bearer",
    "compact",
    "encoded",
    "json_answer",
    "json_or_text",
    "utc",
]

M = TypeVar("M", bound=BaseModel)

_MAX_BODY: Final = 64 * 2**20


@dataclass(eq=False)
class ApiError(Exception):
    """A refusal; each dialect gives it the form of its platform.

    ``problems`` are pydantic's own, their ``loc`` beginning with ``body`` or ``query``.
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


class Encoder(ABC):
    """Turns events into the frames of one wire; has whatever state that takes.

    ``keep_alive`` is sent while nothing happens.
    """

    keep_alive: ClassVar[bytes] = KEEP_ALIVE

    def open(self) -> list[bytes]:
        """Return the frames that come before any event."""
        return []

    @abstractmethod
    def encode(self, event: Event) -> list[bytes]:
        """Return the frames of one event."""

    def pause(self) -> list[bytes]:
        """Return the frames that end the stream of a run that waits for a decision."""
        return []

    def encode_all(self, events: Sequence[Event]) -> bytes:
        """Return the frames of several events as one piece."""
        return b"".join(frame for event in events for frame in self.encode(event))


class Dialect(ABC):
    """One platform's API: its routes, its way to carry a key, its errors and its state."""

    invalid: ClassVar[int] = 422
    """The status that says that a request is wrong."""
    run_calls: ClassVar[frozenset[str]]
    """The methods that call `begin` themselves: those that start runs, and take them up."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.store = Store()

    @abstractmethod
    def routes(self) -> list[BaseRoute]:
        """Return the platform's endpoints."""

    @abstractmethod
    def problem(self, error: ApiError) -> Response:
        """Return an error in the platform's form."""

    def keys(self, headers: Mapping[str, str]) -> list[str]:
        """Return what the request offers as a key, in each of the ways the platform takes."""
        return bearer(headers)

    def app(self) -> ASGIApp:
        """Return the ASGI application: the key first, then the routes."""

        def refused(request: Request, error: Exception) -> Response:
            return self.problem(cast("ApiError", error))

        def http_error(request: Request, error: Exception) -> Response:
            e = cast("HTTPException", error)
            code = {404: "not_found", 405: "method_not_allowed"}.get(e.status_code, "error")
            headers = dict(e.headers or {})
            return self.problem(ApiError(e.status_code, code, str(e.detail), headers=headers))

        def gone(request: Request, error: Exception) -> Response:
            # No client reads it; without a response the server would log a crash.
            return Response(status_code=400)

        def crashed(request: Request, error: Exception) -> Response:
            return self.problem(ApiError(500, "internal_error", "The sandbox failed."))

        routes = Starlette(
            routes=[self._begun(route) for route in self.routes()],
            exception_handlers={
                ApiError: refused,
                HTTPException: http_error,
                ClientDisconnect: gone,
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
                faults, book = self.engine.faults, self.engine.book
                exchange = Exchange(scope, send, faults=faults, book=book)
                scope = {**scope, "agentnb.exchange": exchange}
                send = exchange.send
            await routes(scope, receive, send)

        return guarded

    def _begun(self, route: BaseRoute) -> BaseRoute:
        """Return a route that begins its exchange; those that start runs do it later."""
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
        run: RunRecord | None = None,
        script: Any = None,
    ) -> Exchange:
        """Begin the exchange: what a script has in store happens, or will.

        ``script`` is what the request's body says, which may be anything.
        """
        exchange = exchange_of(request.scope)
        if not (script is None or isinstance(script, str)):
            raise self._no_script("The script of faults is no text.", in_body=True)
        try:
            await exchange.begin(kind, script=script, run=run, key=self._key(request))
        except ScriptError as error:
            in_body = HEADER not in request.headers
            raise self._no_script(str(error), in_body=in_body) from None
        except Refused as refused:
            code = "rate_limited" if refused.status == 429 else "sandbox_fault"
            headers = {} if (wish := refused.retry_after) is None else {"retry-after": wish}
            raise ApiError(refused.status, code, str(refused), headers=headers) from None
        return exchange

    def _key(self, request: Request) -> str:
        """Return what is the same for the same request made again."""
        given = request.headers.get("idempotency-key")
        body = getattr(request.state, "fingerprint", 0)
        return given or f"{type(self).__name__} {request.method} {request.url.path} {body}"

    def _no_script(self, message: str, *, in_body: bool) -> ApiError:
        where = ["body", "fault"] if in_body else ["header", HEADER]
        problem = {"type": "value_error", "loc": where, "msg": message}
        return ApiError(self.invalid, "invalid_request", message, [problem])

    def agent(self, name: str) -> RegisteredAgent:
        """Return the agent of this name, or answer 404."""
        agent = self.engine.registry.find(name)
        if agent is None:
            raise ApiError(404, "agent_not_found", f"There is no agent {name!r}.")
        return agent

    def run(self, run_id: str, *, agent: str | None = None) -> RunRecord:
        """Return the run of this id, or answer 404."""
        run = self.store.run(run_id)
        if run is None or (agent is not None and run.agent.name != agent):
            raise ApiError(404, "run_not_found", f"There is no run {run_id!r}.")
        return run

    def check_kept(self, run: RunRecord, *, since: int) -> None:
        """Answer 410 where what came after ``since`` can no longer be counted from the beginning.

        A very long run's beginning is not kept, and then no number is where it was.
        """
        if since and not run.log.is_whole:
            raise ApiError(410, "events_gone", f"The run {run.id!r} is too long to be taken up.")

    async def body(self, request: Request, model: type[M]) -> M:
        """Return the checked body, or answer `invalid` with what is wrong with it."""
        parts: list[bytes] = []
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > _MAX_BODY:
                raise ApiError(413, "payload_too_large", "The request is too large.")
            parts.append(part)
        whole = b"".join(parts)
        request.state.fingerprint = hash(whole)
        try:
            data = json.loads(whole or b"null")
        except (ValueError, RecursionError) as error:
            at = getattr(error, "pos", 0)
            problem = {"type": "json_invalid", "loc": ["body", at], "msg": "JSON decode error"}
            raise ApiError(
                self.invalid, "invalid_request", "The body is not JSON.", [problem]
            ) from None
        return self.checked(data, model, where="body")

    def query(self, request: Request, model: type[M]) -> M:
        """Return the checked query parameters, or answer `invalid`."""
        return self.checked(dict(request.query_params), model, where="query")

    def checked(self, data: Any, model: type[M], *, where: str) -> M:
        if data is None and where == "body":
            problem = {"type": "missing", "loc": ["body"], "msg": "Field required", "input": None}
            raise ApiError(self.invalid, "invalid_request", "The request has no body.", [problem])
        try:
            return model.model_validate(data)
        except ValidationError as error:
            # By way of JSON, because an error's context may hold what has no such form.
            found: list[dict[str, Any]] = json.loads(error.json(include_url=False))
            problems = [{**p, "loc": [where, *p["loc"]]} for p in found]
            told = "; ".join(
                f"{'.'.join(str(part) for part in p['loc'][1:]) or where}: {p['msg']}"
                for p in problems
            )
            raise ApiError(self.invalid, "invalid_request", told, problems) from None

    async def finish(self, request: Request, run: RunRecord) -> bool:
        """Wait until a run has ended, or waits for a decision.

        False when the client went away before, which ends the run too.
        """
        exchange = exchange_of(request.scope)
        with run.attended(lambda: exchange.keep):
            return await run_until_gone(request.receive, run.settled.wait)


def bearer(headers: Mapping[str, str]) -> list[str]:
    """Return the token of ``Authorization: Bearer ...``, where there is one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return [token.strip()] if scheme.lower() == "bearer" and token.strip() else []


def compact(value: Any) -> str:
    """Return ``value`` as JSON on one line, text as it is."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:  # lone surrogates: only the escaped form can be sent
        return json.dumps(value, separators=(",", ":"))
    return text


def json_answer(
    value: Any,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = "application/json",
) -> Response:
    """Return a JSON answer."""
    return Response(
        compact(value).encode(), status_code=status, headers=headers, media_type=media_type
    )


def utc(moment: datetime | None, *, milliseconds: bool = False) -> str | None:
    """Return ``2026-05-06T10:00:00Z``, None for None."""
    if moment is None:
        return None
    text = moment.isoformat(timespec="milliseconds" if milliseconds else "seconds")
    return text.replace("+00:00", "Z")


async def encoded(
    run: RunRecord, encoder: Encoder, *, late: bool = False
) -> AsyncGenerator[bytes, None]:
    """Yield a run's wire from its beginning to its end, what is there together as one piece.

    It ends early where the run waits for a decision.  ``late`` leaves out what happened before.
    """
    opening = b"".join(encoder.open())
    if late:
        # The encoder has to know what its wire has open; who comes late is not told.
        encoder.encode_all(run.log.since(0))
    else:
        yield opening
    async with aclosing(read_run(run, late=late)) as batches:
        async for batch in batches:
            yield encoder.encode_all(batch) if batch else encoder.keep_alive
    if run.waits:
        yield b"".join(encoder.pause())


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON.")


def json_or_text(text: str) -> Any:
    """Return the JSON value that ``text`` is, or the text itself."""
    try:
        # Python reads NaN and the infinities, which are no JSON and could not be sent as such.
        return json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError):
        return text

"""What the four dialects share: routes, keys, checked bodies and errors in the platform's form."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from agentnb.event import Event
from agentnb.sandbox.engine import Engine
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


class Encoder(ABC):
    """Turns events into the frames of one wire; has whatever state that takes."""

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
            # Nobody reads it; without an answer the server would tell of a crash.
            return Response(status_code=400)

        def crashed(request: Request, error: Exception) -> Response:
            return self.problem(ApiError(500, "internal_error", "The sandbox failed."))

        routes = Starlette(
            routes=self.routes(),
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
            await routes(scope, receive, send)

        return guarded

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

    async def body(self, request: Request, model: type[M], *, invalid: int = 422) -> M:
        """Return the checked body, or answer ``invalid`` with what is wrong with it."""
        parts: list[bytes] = []
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > _MAX_BODY:
                raise ApiError(413, "payload_too_large", "The request is too large.")
            parts.append(part)
        try:
            data = json.loads(b"".join(parts) or b"null")
        except (ValueError, RecursionError) as error:
            at = getattr(error, "pos", 0)
            problem = {"type": "json_invalid", "loc": ["body", at], "msg": "JSON decode error"}
            raise ApiError(invalid, "invalid_request", "The body is not JSON.", [problem]) from None
        return self.checked(data, model, where="body", invalid=invalid)

    def query(self, request: Request, model: type[M], *, invalid: int = 422) -> M:
        """Return the checked query parameters, or answer ``invalid``."""
        return self.checked(dict(request.query_params), model, where="query", invalid=invalid)

    def checked(self, data: Any, model: type[M], *, where: str, invalid: int) -> M:
        if data is None and where == "body":
            problem = {"type": "missing", "loc": ["body"], "msg": "Field required", "input": None}
            raise ApiError(invalid, "invalid_request", "The request has no body.", [problem])
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
            raise ApiError(invalid, "invalid_request", told, problems) from None

    async def finish(self, request: Request, run: RunRecord) -> bool:
        """Wait until a run has ended, or waits for a decision.

        False when the client went away before, which ends the run too.
        """
        with run.attended():
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


async def encoded(run: RunRecord, encoder: Encoder) -> AsyncGenerator[bytes, None]:
    """Yield a run's wire from its beginning to its end, what is there together as one piece.

    It ends early where the run waits for a decision.
    """
    yield b"".join(encoder.open())
    async with aclosing(read_run(run)) as batches:
        async for batch in batches:
            yield encoder.encode_all(batch) if batch else KEEP_ALIVE
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

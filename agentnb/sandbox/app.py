"""The sandbox as one ASGI application.

Starlette rather than FastAPI: each dialect answers errors in its own platform's form, so FastAPI's
own validation and its second dependency would only be in the way.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from agentnb.config import EMBEDDED
from agentnb.sandbox.dialects.base import Dialect, json_answer
from agentnb.sandbox.dialects.operativus import OperativusDialect
from agentnb.sandbox.dialects.operativus_server import OperativusServerDialect
from agentnb.sandbox.dialects.runagent import RunAgentDialect
from agentnb.sandbox.dialects.runtools import RunToolsDialect
from agentnb.sandbox.dialects.seekr import SeekrDialect
from agentnb.sandbox.engine import Engine

__all__ = ["DIALECTS", "build_app"]

DIALECTS: Final[dict[str, type[Dialect]]] = {
    "seekr": SeekrDialect,
    "runagent": RunAgentDialect,
    "operativus": OperativusDialect,
    "runtools": RunToolsDialect,
}
_NAMES: Final = ("127.0.0.1", "localhost")


def build_app(engine: Engine, *, port: int, operativus_zone: tzinfo | None = None) -> ASGIApp:
    """Return the application: each dialect under its name, ``/`` telling which there are.

    With ``operativus_zone`` that platform is spoken as its own server does, which is in that zone.
    """
    dialects = {name: dialect(engine) for name, dialect in DIALECTS.items()}
    if operativus_zone is not None:
        dialects["operativus"] = OperativusServerDialect(engine, zone=operativus_zone)
    apps = {name: dialect.app() for name, dialect in dialects.items()}
    hosts = {f"{name}:{port}".encode() for name in _NAMES}
    if port == 80:
        hosts |= {name.encode() for name in _NAMES}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        # A page on the web can make its own name lead here; it cannot send another Host with it.
        given = [value for name, value in scope["headers"] if name == b"host"]
        if len(given) != 1 or given[0].lower() not in hosts:
            answer = Response("This sandbox serves this machine only.", 421)
            await answer(scope, receive, send)
            return
        # Only a browser says where a page is from, and only a page of another origin has a reason
        # to ask: it gets no answer that it could read, and starts nothing whatever it sends.
        origins = [value.lower() for name, value in scope["headers"] if name == b"origin"]
        if any(origin != b"http://" + given[0].lower() for origin in origins):
            answer = Response("This sandbox serves no page of another origin.", 403)
            await answer(scope, receive, send)
            return
        path: str = scope["path"]
        name, _, rest = path.removeprefix("/").partition("/")
        if name == EMBEDDED:
            # The sandbox under its own name, so that no error of it names a platform.
            name = "operativus"
        if name in apps:
            inner = {**scope, "path": f"/{rest}", "raw_path": b""}
            inner["root_path"] = ""
            await apps[name](inner, receive, send)
        elif path == "/":
            told = {"name": "agentnb sandbox", "platforms": list(apps)}
            await json_answer(told)(scope, receive, send)
        else:
            problem = {"error": "not_found", "platforms": list(apps)}
            await json_answer(problem, status=404)(scope, receive, send)

    return app

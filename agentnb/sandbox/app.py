"""The sandbox's ASGI application.

Starlette rather than FastAPI, because each dialect renders errors in its platform's form.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from agentnb.config import EMBEDDED
from agentnb.sandbox.dialects.base import Dialect, json_response
from agentnb.sandbox.dialects.operativus import OperativusDialect
from agentnb.sandbox.dialects.operativus_server import OperativusServerDialect
from agentnb.sandbox.dialects.runagent import RunAgentDialect
from agentnb.sandbox.dialects.runtools import RunToolsDialect
from agentnb.sandbox.dialects.seekr import SeekrDialect
from agentnb.sandbox.engine import SandboxEngine

DIALECTS: Final[dict[str, type[Dialect]]] = {
    "seekr": SeekrDialect,
    "runagent": RunAgentDialect,
    "operativus": OperativusDialect,
    "runtools": RunToolsDialect,
}
_NAMES: Final = ("127.0.0.1", "localhost")


def build_app(
    engine: SandboxEngine, *, port: int, operativus_zone: tzinfo | None = None
) -> ASGIApp:
    """Return the application: each dialect under its name, and ``/``, which lists them.

    With ``operativus_zone`` that platform speaks as its published server, with times in that zone.
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
        # Against DNS rebinding: such a request carries the Host of the attacking page.
        given = [value for name, value in scope["headers"] if name == b"host"]
        if len(given) != 1 or given[0].lower() not in hosts:
            refusal = Response("This sandbox serves this machine only.", 421)
            await refusal(scope, receive, send)
            return
        # Pages of other origins must neither read responses nor start runs.
        origins = [value.lower() for name, value in scope["headers"] if name == b"origin"]
        if any(origin != b"http://" + given[0].lower() for origin in origins):
            refusal = Response("This sandbox serves no page of another origin.", 403)
            await refusal(scope, receive, send)
            return
        path: str = scope["path"]
        name, _, rest = path.removeprefix("/").partition("/")
        if name == EMBEDDED:
            name = "operativus"  # under the sandbox's own name, so that errors name no platform
        if name in apps:
            inner = {**scope, "path": f"/{rest}", "raw_path": b"", "root_path": ""}
            await apps[name](inner, receive, send)
        elif path == "/":
            index = {"name": "agentnb sandbox", "platforms": list(apps)}
            await json_response(index)(scope, receive, send)
        else:
            problem = {"error": "not_found", "platforms": list(apps)}
            await json_response(problem, status=404)(scope, receive, send)

    return app

"""The sandbox's server: uvicorn on a thread of its own, on this machine only."""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import os
import secrets
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, NoReturn

import uvicorn
from pydantic import SecretStr
from starlette.types import ASGIApp

from agentnb._support.fork import keep_forever, pause_for_fork, renew_after_fork, undisturbed
from agentnb.config import EMBEDDED
from agentnb.errors import ConfigError
from agentnb.platforms._bodies import parse_zone
from agentnb.sandbox.app import DIALECTS, build_app
from agentnb.sandbox.echo import echo
from agentnb.sandbox.engine import SandboxEngine
from agentnb.sandbox.fault_connection import with_connection
from agentnb.sandbox.fault_plan import FaultSettings
from agentnb.sandbox.fault_script import FaultScript, FaultScriptError, parse
from agentnb.sandbox.finance import finance_agent
from agentnb.sandbox.registry import AgentRegistry, shared

OperativusMode = Literal["page", "real"]
DEFAULT_ZONE: Final = "+05:30"

_HOST: Final = "127.0.0.1"
# Longer than clients keep idle connections, so that none is closed under a request being sent.
_KEEP_ALIVE: Final = 75


class Sandbox:
    """A server that speaks every platform's API, in front of Python functions.

    It listens on 127.0.0.1 and ``port`` (0: a free one) once `start` has returned, on a daemon
    thread with its own event loop, until `stop`, the end of a ``with`` block or the interpreter's
    exit.  ``api_key`` is random by default.  ``pace`` multiplies the pauses of the built-in agents:
    1 is a language model's pace, 0 adds none.  ``keep`` is for how many seconds a run continues
    after its last client disconnects; a run whose stream a fault has broken continues for 30.

    ``operativus`` is "page" for OperativusAI's API as its API page has it, or "real" for its
    published server, with local times of ``time_zone``, an IANA name or an offset.

    Raises:
        ConfigError: the mode or the zone is unknown.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        api_key: SecretStr | None = None,
        pace: float = 1.0,
        keep: float = 0.0,
        agents: AgentRegistry | None = None,
        operativus: OperativusMode = "page",
        time_zone: str = DEFAULT_ZONE,
    ) -> None:
        self.api_key = api_key or SecretStr(f"sandbox-{secrets.token_urlsafe(24)}")
        self._wanted_port = port
        if operativus not in ("page", "real"):
            raise ConfigError(
                f"The sandbox has no mode {operativus!r} of OperativusAI.",
                hint='It has "page" and "real".',
            )
        #: "page" or "real"; see the class.
        self.operativus: OperativusMode = operativus
        try:
            self._zone = parse_zone(time_zone)
        except ValueError as error:
            raise ConfigError(f"time_zone {error}, not {time_zone!r}.") from None
        if agents is None:
            agents = shared
            _add_builtin(agents)
        registry = AgentRegistry(agents)
        #: The decorator that adds an agent to this sandbox only; see `AgentRegistry.agent`.
        self.agent = registry.agent
        self._registry = registry
        self._engine = SandboxEngine(registry, key=self.api_key, pace=pace)
        self._engine.faults.keep = keep
        self._lock = threading.Lock()
        self._server: _Server | None = None
        # The port of the parent process, in a forked child.
        self._parent_port: int | None = None
        renew_after_fork(self)

    def __repr__(self) -> str:
        where = f"at {self.url}" if self.is_running or self._parent_port else "stopped"
        return f"<Sandbox {where}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A Sandbox holds a key and a server and cannot be pickled.")

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def is_running(self) -> bool:
        return self._server is not None and self._server.thread.is_alive()

    @property
    def port(self) -> int:
        """The port it listens on; in a forked child, the one on which its parent serves it.

        Raises:
            ConfigError: the sandbox is not running.
        """
        if self._parent_port is not None:
            return self._parent_port
        if self._server is None or not self.is_running:
            raise ConfigError("The sandbox is not running.", hint="Call its start().")
        return self._server.port

    @property
    def url(self) -> str:
        """Its address, such as ``http://127.0.0.1:53211``."""
        return f"http://{_HOST}:{self.port}"

    def base_url(self, platform: str) -> str:
        """Return the address of ``platform``, or of ``sandbox``.

        Raises:
            ConfigError: it does not speak that platform, or is not running.
        """
        if platform not in (EMBEDDED, *DIALECTS):
            raise ConfigError(
                f"The sandbox does not speak {platform!r}.",
                hint=f"It speaks {', '.join(DIALECTS)}.",
            )
        return f"{self.url}/{platform}"

    @property
    def active_runs(self) -> int:
        """Number of active runs."""
        return self._engine.active_runs

    @property
    def pace(self) -> float:
        """Pace of the built-in agents; may be changed at any time."""
        return self._engine.pace

    @pace.setter
    def pace(self, pace: float) -> None:
        self._engine.pace = pace

    @property
    def keep(self) -> float:
        """Seconds for which runs continue without a client; may be changed at any time."""
        return self._engine.faults.keep

    @keep.setter
    def keep(self, keep: float) -> None:
        self._engine.faults.keep = keep

    def faults(self, script: str | None) -> FaultsContext:
        """Inject the faults of ``script``, see `agentnb.sandbox`, from now on; None ends that.

        It applies to each run that brings no script of its own, counted per run.  As a context
        manager it ends with the block, but not for runs that began in it.

        Raises:
            ConfigError: the script cannot be parsed.
        """
        try:
            parsed = None if script is None else parse(script)
        except FaultScriptError as error:
            raise ConfigError(str(error), hint="help(agentnb.sandbox) has them all.") from None
        settings = self._engine.faults
        before, settings.script = settings.script, parsed
        return FaultsContext(self, settings, before, parsed)

    @undisturbed()
    def start(self) -> Sandbox:
        """Start listening, unless it does already; in a forked child, a second server.

        Raises:
            ConfigError: the port is taken.
        """
        with self._lock:
            if self.is_running:
                return self
            self._parent_port = None
            listener = self._bind()
            port = listener.getsockname()[1]
            zone = self._zone if self.operativus == "real" else None
            app = build_app(self._engine, port=port, operativus_zone=zone)
            self._server = server = _Server(app, listener, port)
            server.thread.start()
            server.ready.wait()
            if not server.started or server.loop is None:
                raise ConfigError("The sandbox did not start.")
            pause_for_fork(server.loop, server.thread)
            atexit.register(self.stop)
            return self

    def stop(self) -> None:
        """Cancel every run and stop listening."""
        with self._lock:
            atexit.unregister(self.stop)
            server, self._server = self._server, None
            self._parent_port = None
            if server is None or server.loop is None:
                return
            server.should_exit = True
            if server.thread is threading.current_thread():
                return
            with suppress(RuntimeError, TimeoutError):  # its loop may be closed already
                stopping = asyncio.run_coroutine_threadsafe(self._engine.stop(), server.loop)
                stopping.result(timeout=3)
            server.thread.join(timeout=5)

    def after_fork(self) -> None:
        """Leave the server to the parent process; a forked child can only send it requests."""
        self._lock = threading.Lock()
        server, self._server = self._server, None
        if server is None or server.loop is None:
            return
        atexit.unregister(self.stop)
        server.listener.close()
        keep_forever(server.loop, server, *asyncio.all_tasks(server.loop), self._engine)
        faults = self._engine.faults
        self._engine = SandboxEngine(self._registry, key=self.api_key, pace=self._engine.pace)
        self._engine.faults = faults
        self._parent_port = server.port

    def _bind(self) -> socket.socket:
        # With an explicit protocol, because asyncio sets TCP_NODELAY only then; without it a
        # response waits 40 ms for the client's delayed acknowledgement.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            if os.name == "posix":
                # So that a fixed port can be reused at once; on Windows others could take it.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((_HOST, self._wanted_port))
            listener.listen(2048)
        except OSError as error:
            listener.close()
            raise ConfigError(
                f"The sandbox cannot listen on port {self._wanted_port}: {error.strerror}.",
                hint="Port 0 takes a free one.",
            ) from error
        return listener


@dataclass(frozen=True, repr=False)
class FaultsContext:
    """Restores the previous faults of a sandbox at the end of a ``with`` block."""

    _sandbox: Sandbox
    _settings: FaultSettings
    _before: FaultScript | None
    _now: FaultScript | None

    def __repr__(self) -> str:
        return f"<FaultsContext {self._now.text!r}>" if self._now else "<FaultsContext off>"

    def __enter__(self) -> Sandbox:
        return self._sandbox

    def __exit__(self, *exc: object) -> None:
        self._settings.script = self._before


class _Server(uvicorn.Server):
    """The server on its own thread; ``ready`` is set once it has started or failed."""

    def __init__(self, app: ASGIApp, listener: socket.socket, port: int) -> None:
        config = uvicorn.Config(
            app,
            # Logs would end up in the notebook; an agent's error is in its run.
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=2,
            proxy_headers=False,
        )
        config.load()
        config.http_protocol_class = with_connection(config.http_protocol_class)
        super().__init__(config)
        self.listener = listener
        self.port = port
        self.loop: asyncio.AbstractEventLoop | None = None
        self.ready = threading.Event()
        # An empty context, so that agents do not print into the cell that starts this.
        run = contextvars.Context().run
        self.thread = threading.Thread(
            target=run, args=(self._run_loop,), name="agentnb-sandbox", daemon=True
        )

    def _run_loop(self) -> None:
        try:
            with asyncio.Runner() as runner:
                self.loop = runner.get_loop()
                runner.run(self.serve(sockets=[self.listener]))
        finally:
            self.ready.set()
            self.listener.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.ready.set()


def _add_builtin(registry: AgentRegistry) -> None:
    """Add the built-in agents, unless a user registered one of the same name."""
    if registry.find("finance_agent") is None:
        registry.agent("finance_agent", model="sandbox-finance-1", pace=1.0)(finance_agent)
    if registry.find("echo") is None:
        registry.agent("echo", model="sandbox-echo-1")(echo)

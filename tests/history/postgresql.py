"""A PostgreSQL server of the tests' own: in a temporary folder, on a free port, ended by its id."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import bootstrap
import psycopg

from tests.ports import bound

USER = "agentnb"
# Of the set-up, and of each end of the server.
TIMEOUT = 60.0
# What is lost when the machine goes down does not matter here.
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
INITDB = ("--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8")


class Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Server:
    port: int
    # The folder of the Unix socket.
    folder: Path

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def database(self, *, template: str | None = None) -> Generator[str]:
        """The URL of an empty database, or of a copy of ``template``, which goes with the block."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template or 'template1'}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement.encode())


def programs() -> Path | None:
    """The folder of the server's programs: the one that the set-up named, or this machine's."""
    named = os.environ.get("AGENTNB_POSTGRESQL")
    return Path(named) if named else bootstrap.postgresql()


@contextmanager
def running(programs: Path) -> Generator[Server]:
    # The socket's path may be 107 bytes long.
    folder = Path(tempfile.mkdtemp(prefix="agentnb-pg-", dir="/tmp"))
    try:
        account = _account()
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
        _run(
            [programs / "initdb", "-D", folder / "data", "-U", USER, *INITDB],
            account,
        )
        port = _free_port()
        with _started(programs, folder, port, account):
            yield Server(port, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _started(
    programs: Path, folder: Path, port: int, account: pwd.struct_passwd | None
) -> Generator[None]:
    options = ["listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", *FAST]
    command = [programs / "postgres", "-D", folder / "data", "-p", str(port)]
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, *(part for option in options for part in ("-c", option))],
            stdout=log,
            stderr=log,
            cwd=folder,
            **_as(account),
        )
    log_file = Path(log.name)
    try:
        _wait(server, port, log_file)
        yield
    finally:
        # Without waiting for those who are still connected.
        with suppress(ProcessLookupError):
            server.send_signal(signal.SIGINT)
        try:
            server.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            server.send_signal(signal.SIGQUIT)
            server.wait(TIMEOUT)
        log_file.unlink(missing_ok=True)


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + TIMEOUT
    while True:
        try:
            psycopg.connect(host="127.0.0.1", port=port, user=USER, dbname="postgres").close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > until:
                raise AssertionError(log.read_text(errors="replace")) from None
            time.sleep(0.05)
        else:
            return


def _run(command: list[str | Path], account: pwd.struct_passwd | None) -> None:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        cwd="/",
        **_as(account),
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _account() -> pwd.struct_passwd | None:
    """Who the server runs as where the tests run as root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise AssertionError("neither a user postgres nor nobody to run PostgreSQL as")


def _as(account: pwd.struct_passwd | None) -> Identity:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with bound() as found:
        return found.getsockname()[1]

"""What holds for every test: private folders, no keys, and no way out to the network."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import surroundings
from hypothesis import HealthCheck, settings

from tests.scheduling import FewBrowsers

# Machines that run tests are busy; how long an example takes says nothing about the code. The same
# examples each time: what fails was changed. `make fuzz` is for finding more.
settings.register_profile(
    "agentnb",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# What `make check` takes: a first look.
settings.register_profile("quick", settings.get_profile("agentnb"), max_examples=20)
settings.load_profile("agentnb")

LOOPBACK = ("127.", "::1", "localhost")


def pytest_configure(config: pytest.Config) -> None:
    """Give the process, and the kernels it starts, surroundings of their own."""
    home = tempfile.TemporaryDirectory(prefix="agentnb-tests-", ignore_cleanup_errors=True)
    config.add_cleanup(home.cleanup)
    # Called before: at the exit of the process the store would be missed, and said to be moved.
    config.add_cleanup(leave_the_store)
    private = surroundings.clean(os.environ, home=Path(home.name))
    os.environ.clear()
    os.environ.update(private)
    sys.addaudithook(refuse_the_network)


def leave_the_store() -> None:
    """Write what is due to the store of runs, and close it, where a test opened it."""
    if (history := sys.modules.get("agentnb.history")) is not None:
        history.use("off")


@pytest.fixture(scope="module", autouse=True)
def _default_history() -> Iterator[None]:
    """Go back to the default store after a module that used another one, or none."""
    yield
    if (history := sys.modules.get("agentnb.history")) is None:
        return
    path = history.path
    if path is None or not Path(str(path)).is_relative_to(Path.home()):
        history.use(None)


@pytest.fixture(scope="module", autouse=True)
def _shared_agents() -> Iterator[None]:
    """Remove the agents that a module added to every sandbox of the process."""
    before = dict(shared_agents())
    yield
    agents = shared_agents()
    agents.clear()
    agents.update(before)
    if (server := sys.modules.get("agentnb.sandbox.server")) is not None:
        server.Sandbox()  # adds the built-in agents where the module was the first to need them


def shared_agents() -> dict[str, object]:
    """Return the registry of every sandbox of the process; empty before its import."""
    shared = getattr(sys.modules.get("agentnb.sandbox.registry"), "shared", None)
    return cast("dict[str, object]", {} if shared is None else vars(shared)["_agents"])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FewBrowsers:
    """Say how tests are shared out where there are several processes."""
    return FewBrowsers(config, log)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Send what pytest-rerunfailures counts without delay.

    Its processes exchange two small messages for each test; with Nagle's algorithm the second one
    waits for the acknowledgement of the first, 40 ms or more.
    """
    connection = getattr(getattr(session.config, "failures_db", None), "sock", None)
    if isinstance(connection, socket.socket):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run a test that failed once more.

    Six processes share two processors, and a test may miss a deadline of its own, or find that
    another process took the port that its kernel chose.  The summary names each test that ran
    twice; one that fails twice has failed.
    """
    for item in items:
        # A cell of a notebook goes on from the one before and is not run alone.
        if item.nodeid.startswith("tests/"):
            item.add_marker(pytest.mark.flaky(reruns=1))


def refuse_the_network(event: str, arguments: tuple[Any, ...]) -> None:
    """A test that reaches for a real service is a mistake, even where it would get through."""
    if event != "socket.connect":
        return
    address = arguments[1]
    # Sockets of the file system have a path for an address and stay on the machine, too.
    if isinstance(address, str | bytes):
        return
    host = str(address[0])
    if not host.startswith(LOOPBACK):
        raise PermissionError(f"tests may connect to this machine only, not to {host}")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """asyncio is what Jupyter runs on."""
    return "asyncio"

"""The vendor's own server, ``runagent serve``, with an agent written for the tests."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import bootstrap

from tests.patience import looks
from tests.ports import bound

AGENT: Final = "4fa85f64-5717-4562-b3fc-2c963f66afa6"
COMMAND: Final = bootstrap.VENDOR_ENVIRONMENTS / "runagent" / "bin" / "runagent"

# Tag -> function; the first that streams is the default.
ENTRYPOINTS: Final = (
    *("answer", "answer_stream", "generated_stream", "chunks_stream", "numbers_stream"),
    *("broken", "broken_stream", "slow_stream", "silent_stream", "named_stream", "record"),
    *("large_stream", "many_stream", "odd_stream"),
)

SOURCE: Final = """
import asyncio
import os
from pathlib import Path


def answer(query, **more):
    return f"You asked: {query} {more}" if more else f"You asked: {query}"


def record(query):
    return {"rows": [1, 2], "query": query}


async def answer_stream(query, *more):
    with open(Path(__file__).with_name("asked.txt"), "a") as asked:
        asked.write(f"{query}\\n")
    for word in ["You ", "asked: ", query, *map(str, more), " \U0001f324"]:
        yield word
        await asyncio.sleep(0)


def generated_stream(query):
    yield "from "
    yield "a generator"


async def chunks_stream(query):
    yield {"type": "thinking", "content": "Hm. "}
    yield {"content": "The "}
    yield {"choices": [{"delta": {"content": "weather "}}]}
    yield {"message": {"role": "assistant", "content": [{"type": "text", "text": "is "}]}}
    yield [{"content": "mild"}, {"langgraph_step": 1}]
    yield None
    yield {"role": "user", "content": "not an answer"}
    yield {"step": 3, "usage": {"total_tokens": 12}}


async def numbers_stream(query):
    for row in range(3):
        yield {"row": row}


def broken(query):
    raise ValueError(f"no such thing as {query}")


async def broken_stream(query):
    yield "Half of "
    raise ValueError("the agent broke")


async def slow_stream(query):
    ended = Path(__file__).with_name("ended.txt")
    try:
        for i in range(1000):
            yield f"{i} "
            await asyncio.sleep(0.05)
    finally:
        ended.write_text("ended")


async def silent_stream(query):
    yield "first"
    await asyncio.sleep(60)


async def named_stream(*, question, tone="calm"):
    yield f"{question} in a {tone} tone"


async def large_stream(query):
    yield "x" * 100_000


async def odd_stream(query):
    yield "first "
    for odd in (object(), bytes([255]), {1}, float("nan")):
        yield odd
    yield "last"


async def many_stream(query):
    for i in range(3000):
        yield f"{i} "
"""


@dataclass(frozen=True)
class Served:
    """A running server: its address, the folder of its agent, and its process."""

    url: str
    folder: Path
    pid: int

    @property
    def asked(self) -> list[str]:
        """The questions that the default entrypoint was asked so far."""
        path = self.folder / "asked.txt"
        return path.read_text().splitlines() if path.exists() else []


@contextmanager
def served_agent(folder: Path) -> Generator[Served, None, None]:
    """Serve the agent from ``folder`` on a free port, without an account, until it is left."""
    assert COMMAND.exists(), f"{COMMAND} is missing: run make test, which installs it"
    agent, home = folder / "agent", folder / "home"
    agent.mkdir()
    home.mkdir()
    (agent / "agent.py").write_text(SOURCE)
    (agent / "runagent.config.json").write_text(json.dumps(_configuration()))
    keep = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    surroundings = {**keep, "HOME": str(home), "RUNAGENT_CACHE_DIR": str(home / "cache")}
    subprocess.run(
        [COMMAND, "config", "--register-agent", str(agent)],
        env=surroundings,
        check=True,
        capture_output=True,
        timeout=120,
    )
    free = bound()
    port = free.getsockname()[1]
    free.close()
    command = [COMMAND, "serve", "--no-animation", "--port", str(port), str(agent)]
    with (folder / "log.txt").open("wb") as log:
        server = subprocess.Popen(command, env=surroundings, stdout=log, stderr=log)
    try:
        served = Served(f"http://127.0.0.1:{port}", agent, server.pid)
        _wait_until_up(served, server, folder / "log.txt")
        yield served
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_until_up(served: Served, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in looks(60):
        try:
            with urlopen(f"{served.url}/api/v1/health", timeout=5):
                return
        except OSError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)
    raise AssertionError(f"runagent serve did not start: {log.read_text()}")


def _configuration() -> dict[str, Any]:
    entrypoints = [{"file": "agent.py", "module": name, "tag": name} for name in ENTRYPOINTS]
    return {
        "agent_id": AGENT,
        "agent_name": "tests",
        "description": "Answers tests.",
        "framework": "default",
        "template": "none",
        "version": "1.0.0",
        "created_at": "2026-01-01T00:00:00",
        "template_source": {"repo_url": "none", "author": "none", "path": "none"},
        "agent_architecture": {"entrypoints": entrypoints},
    }

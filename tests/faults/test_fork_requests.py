"""Forked processes that use their parent's agents: each gets its own answers, and no others."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

from agentnb.sandbox import Sandbox
from tests.children import python
from tests.http.conftest import BOTH

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")

# From Python 3.12 on, of forking a process that has threads.
QUIET = ("-W", "ignore::DeprecationWarning")

AGENT = """
import os, sys, threading
import agentnb

agent = agentnb.agent("operativus:echo", base_url=os.environ["WHERE"], api_key=os.environ["KEY"])

def ask(name, count):
    for number in range(count):
        prompt = f"{name} {number}"
        text = agent.run(prompt).text
        assert text == prompt, (prompt, text)
"""

FORK = """
def forked(work):
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    return child

def exit_code(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""


@pytest.fixture(scope="module")
def sandbox() -> Generator[Sandbox]:
    with Sandbox(pace=0) as started:
        yield started


@pytest.fixture(params=BOTH)
def surroundings(sandbox: Sandbox, request: pytest.FixtureRequest) -> dict[str, str]:
    return {
        "WHERE": sandbox.base_url("operativus"),
        "KEY": sandbox.api_key.get_secret_value(),
        "AGENTNB_TRANSPORT": request.param,
        "AGENTNB_HISTORY": "off",
    }


def test_both_sides_ask_at_once(surroundings: dict[str, str]) -> None:
    python(
        AGENT
        + FORK
        + """
ask("first", 3)
children = [forked(lambda: ask(f"child {os.getpid()}", 60)) for _ in range(3)]
ask("parent", 60)
assert [exit_code(child) for child in children] == [0, 0, 0]
ask("last", 3)
""",
        *QUIET,
        environment=surroundings,
    )

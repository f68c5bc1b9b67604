"""The vendor's published client against the sandbox, in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import bootstrap
import pytest

from agentnb.sandbox import Sandbox

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("seekr_sdk.py")
PYTHON = bootstrap.VENDOR_ENVIRONMENTS / "seekrai" / "bin" / "python"


@pytest.fixture
def asking(sandbox: Sandbox) -> Any:
    """Make the calls of a name by the vendor's client; return what they brought."""
    if not PYTHON.exists():
        pytest.fail("the vendor's client is not installed; `make test` installs it")

    def ask(calls: str) -> Any:
        done = subprocess.run(
            [PYTHON, SCRIPT, sandbox.base_url("seekr"), calls],
            env={**os.environ, "SEEKR_API_KEY": sandbox.api_key.get_secret_value()},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout)

    return ask


def test_agents(asking: Any) -> None:
    found = asking("agents")
    assert {"echo", "finance_agent"} <= set(found["listed"])
    assert found["found"]["id"] == "echo"
    assert found["found"]["status"] == "Active"
    assert found["same"]


def test_threads_and_messages(asking: Any) -> None:
    found = asking("threads")
    assert found["made"]["meta_data"] == {"topic": "shares"}
    assert (found["made"]["status"], found["found"], found["listed"]) == ("available", True, True)
    assert found["message"] == ["one", {"kind": "question"}, True]
    assert found["changed"] == ["three", {"kind": "question", "more": "yes"}]
    assert found["messages"] == ["three", "two"]
    assert found["deleted"] == [{"deleted": True}, {"deleted": True}]
    assert found["left"] is False


def test_a_run_in_the_background(asking: Any) -> None:
    found = asking("runs")
    assert found["started"] == [True, "default_group"]
    run = found["run"]
    assert (run["status"], run["agent_id"]) == ("completed", "echo")
    assert run["meta_data"] == {"team": "blue"}
    assert found["listed"]
    assert found["answer"] == ["assistant", True, ["done"]]
    assert found["attached"][-1] == "end_node"


def test_a_streamed_run(asking: Any) -> None:
    found = asking("streamed")
    kinds = [event["type"] for event in found["raw"]]
    assert (kinds[0], kinds[-1]) == ("start", "finish")
    assert {"reasoning-delta", "tool-input-available", "tool-output-available"} <= set(kinds)
    text = "".join(e["delta"] for e in found["raw"] if e["type"] == "text-delta")
    assert text == "It is done."
    assert "[answer]" in found["printed"]
    assert "Say it again." in found["printed"]
    assert found["attached"] == kinds


def test_a_run_that_is_cancelled(asking: Any) -> None:
    assert asking("cancelled") == {
        "locked": ["locked", True],
        "answer": ["canceled", True],
        "status": "cancelled",
        "at": True,
    }


def test_what_fails(asking: Any) -> None:
    found = asking("failed")
    assert (found["raw"]["type"], found["raw"]["errorText"]) == ("error", "It broke.")
    assert found["status"] == "failed"
    assert found["missing"] == ["InvalidRequestError"] * 3


def test_the_asynchronous_client(asking: Any) -> None:
    assert asking("in_async") == {
        "last": "finish",
        "status": "completed",
        "agents": True,
        "listed": True,
    }

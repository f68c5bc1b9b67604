"""OperativusAI's dialect as its published server speaks it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from agentnb.errors import ConfigError
from agentnb.sandbox import Sandbox
from agentnb.sandbox.__main__ import main
from tests.sandbox.conftest import client_of

AGENT = "/api/agents/echo/runs"


@pytest.fixture(scope="module")
def real() -> Iterator[Sandbox]:
    with Sandbox(pace=0, operativus="real", time_zone="+05:45") as running:
        yield running


@pytest.fixture
def client(real: Sandbox) -> Iterator[httpx.Client]:
    with client_of(real, "operativus") as made:
        yield made


def said(client: httpx.Client, **told: object) -> list[tuple[str, str]]:
    body = {"message": json.dumps(told), "sessionId": "s", "generateFollowups": True}
    text = client.post(f"{AGENT}/stream", json=body).text
    lines = [line for line in text.split("\n") if line]
    assert all(line.startswith("data:{") for line in lines)
    events = [json.loads(line.removeprefix("data:")) for line in lines]
    return [(e["event"], e["data"]) for e in events]


def test_a_stream(client: httpx.Client) -> None:
    *events, metrics, stop = said(client, text="a", tools=1, followups=1)
    assert events == [
        ("START", ""),
        ("TOOL_START", "Executing Tool: echo_tool"),
        ("CONTENT_DELTA", "a"),
        ("CONTENT_DONE", ""),
        ("FOLLOWUP_SUGGESTION", '["Say it 1 times more"]'),
    ]
    assert metrics[0] == "METRICS"
    assert stop == ("STOP", "")


def test_a_failure_is_followed_by_a_stop(client: httpx.Client) -> None:
    events = said(client, text="a b", error_after=1, error="It broke.")
    assert events[1:] == [
        ("CONTENT_DELTA", "a "),
        ("ERROR", "It broke."),
        ("CONTENT_DONE", ""),
        ("STOP", ""),
    ]


def test_rows_are_flat_lag_behind_and_name_no_zone(client: httpx.Client) -> None:
    said(client, text="a")
    page: dict[str, Any] = client.get("/api/v1/runs?sessionId=s&size=1").json()
    assert (page["number"], page["size"], page["last"]) == (0, 1, page["totalPages"] == 1)
    (row,) = page["content"]
    assert row["status"] == "RUNNING"
    assert not {"totalTokens", "output", "completedAt"} & row.keys()
    local = datetime.fromisoformat(row["createdAt"])
    assert local.tzinfo is None
    there = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=5, minutes=45)
    assert abs(there - local) < timedelta(minutes=1)
    assert client.get(f"{AGENT}/{row['id']}/status").status_code == 404
    answer = client.post(f"{AGENT}/background", json={"message": "x"})
    assert (answer.status_code, answer.json()["status"]) == (200, "QUEUED")


def test_what_a_sandbox_has_no_mode_or_zone_for() -> None:
    assert Sandbox().operativus == "page"
    assert Sandbox(operativus="real").operativus == "real"
    with pytest.raises(ConfigError, match="no mode 'fake'"):
        Sandbox(operativus="fake")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="time_zone must be a time zone"):
        Sandbox(time_zone="Mars")
    assert main(["--operativus", "real", "--time-zone", "Mars"]) == 1

"""Lists of runs stay lists, can be read, and become tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

import agentnb
from agentnb.comparison import ask_all
from agentnb.platforms.base import RemoteRun
from agentnb.store.prices import set_prices
from agentnb.tables.columns import RUN_COLUMNS
from agentnb.tables.run_list import RunList

WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)
SEEKR: dict[str, Any] = {
    "id": "run_1",
    "created_at": "2026-01-31T12:00:00Z",
    "is_active": False,
    "expires_at": 1_769_860_800,
    "cancelled_at": None,
    "failed_at": None,
    "completed_at": "2026-01-31T12:00:05.25",
    "temperature": 0.5,
    "top_p": 1,
    "max_completion_tokens": 2**70,
    "parallel_tool_calls": True,
    "instructions": "Be brief. \ud800",
    "tools": [{"type": "file_search"}],
    "tool_choice": "auto",
    "response_format": {"type": "text"},
    "truncation_strategy": None,
    "meta_data": {"team": "blue"},
    "object": "thread.run",
    "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
}
REMOTE = RemoteRun(
    id="run_1",
    status="completed",
    agent="a1",
    session_id="t1",
    created_at=WHEN,
    started_at=WHEN,
    finished_at=WHEN.replace(second=5),
    model="large",
    raw=SEEKR,
)


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def in_html(runs: RunList[Any]) -> str:
    return runs._repr_html_()  # pyright: ignore[reportPrivateUsage]


def test_runs_as_a_platform_lists_them() -> None:
    frame = RunList([REMOTE, RemoteRun(id="run_2", status="queued")], platform="seekr").to_pandas()
    assert dtypes(frame) == RUN_COLUMNS
    first, second = ({str(k): v for k, v in row.items()} for _, row in frame.iterrows())
    assert (first["platform"], first["agent"], first["session_id"]) == ("seekr", "a1", "t1")
    assert (first["started_at"], first["duration"]) == (WHEN, pd.Timedelta(seconds=5))
    assert (first["input_tokens"], first["total_tokens"]) == (1000, 1100)
    assert first["expires_at"] == WHEN
    assert first["completed_at"] == WHEN + pd.Timedelta(seconds=5.25)
    assert (first["temperature"], first["top_p"]) == (0.5, 1.0)
    assert (first["is_active"], first["parallel_tool_calls"]) == (False, True)
    assert (first["tools"], first["tool_choice"]) == ('[{"type": "file_search"}]', "auto")
    assert (first["metadata"], first["object"]) == ('{"team": "blue"}', "thread.run")
    assert first["instructions"] == "Be brief. \ufffd"
    for name in ("max_completion_tokens", "cancelled_at", "truncation_strategy", "cost_usd"):
        assert pd.isna(first[name]), name
    assert (second["run_id"], second["status"], second["source"]) == ("run_2", "queued", "platform")
    assert pd.isna(second["started_at"])
    set_prices({"large": {"input": 1, "output": 10}})
    try:
        priced = RunList([REMOTE]).DataFrame().iloc[0]
        assert (priced["cost_usd"], priced["cost_source"]) == (pytest.approx(0.002), "prices")
    finally:
        set_prices({"large": None})


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"meta_data": {"team": "blue"}}, '{"team": "blue"}'),
        ({"metadata": {"team": "blue"}}, '{"team": "blue"}'),
        ({"metaData": {"team": "blue"}}, '{"team": "blue"}'),
        ({"metadata": None, "meta_data": {"team": "blue"}}, '{"team": "blue"}'),
        ({"metadata": {}, "meta_data": {"team": "blue"}}, '{"team": "blue"}'),
        ({"metadata": {"team": "blue"}, "meta_data": {}}, '{"team": "blue"}'),
        ({"meta_data": {}}, "{}"),
    ],
    ids=str,
)
def test_metadata_in_every_spelling(entry: dict[str, Any], expected: str) -> None:
    frame = RunList([replace(REMOTE, raw={"id": "run_1", **entry})]).DataFrame()
    assert list(frame["metadata"]) == [expected]


def test_it_is_a_list() -> None:
    runs = RunList([REMOTE, replace(REMOTE, id="run_2")], platform="seekr")
    assert isinstance(runs, list)
    assert [run.id for run in runs] == ["run_1", "run_2"]
    assert runs == [REMOTE, replace(REMOTE, id="run_2")]
    assert runs[0].id == "run_1"
    assert list(runs[1:].DataFrame()["platform"]) == ["seekr"]
    assert dtypes(RunList[Any]().DataFrame()) == RUN_COLUMNS


def test_it_can_be_read() -> None:
    bad = replace(REMOTE, status="failed", error="<b>It\nbroke</b> \x1b[31m\u202e")
    runs = RunList([REMOTE, bad, *[REMOTE] * 30])
    text, html = repr(runs), in_html(runs)
    assert text.splitlines()[0] == "32 runs: 31 completed, 1 failed"
    assert "run_1" in text
    assert "2026-01-31 12:00:00" in text
    assert "5.0" in text
    assert text.endswith("… and 12 more")
    assert "\x1b" not in text + html
    assert "\u202e" not in text + html
    assert "&lt;b&gt;It broke&lt;/b&gt;" in html
    assert html.count("<tr>") == 21
    assert repr(RunList[Any]()) == "No runs"
    assert in_html(RunList[Any]()) == "<p>No runs</p>"


def test_runs_of_a_comparison() -> None:
    compared = ask_all([agentnb.agent(str.upper), agentnb.agent(str.lower)], "Hi").wait()
    frame = compared.runs.DataFrame()
    assert dtypes(frame) == RUN_COLUMNS
    assert list(frame["text"]) == ["HI", "hi"]
    assert list(frame["local_id"]) == [run.local_id for run in compared.runs]
    assert "Hi" in repr(compared.runs)

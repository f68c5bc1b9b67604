"""The events that a platform kept, stored for runs that were not recorded here."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import delete

from agentnb.event.types import (
    Event,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
)
from agentnb.redaction import secrets
from agentnb.redaction.secrets import remember_secret
from agentnb.store.schema import event_chunk, run, tool_call
from agentnb.store.store import Store
from agentnb.store.values import platform_key, to_micros
from agentnb.synchronization.merge import write_listed
from agentnb.synchronization.merge_events import RunWithoutEvents, runs_without_events, write_events
from tests.history.recorded import recorded
from tests.history.recorded import rows as rows_of
from tests.history.test_pulled import BEGAN, entry

KEY = "sk-canary-77d0c1e9a4"
TIMES = [BEGAN + timedelta(seconds=n) for n in range(100)]


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(secrets, "_known", secrets._Known())  # pyright: ignore[reportPrivateUsage]
    remember_secret(KEY)
    return KEY


def lacking(*run_ids: str) -> list[RunWithoutEvents]:
    return [
        RunWithoutEvents(platform_key("p", each), each, "s", to_micros(BEGAN)) for each in run_ids
    ]


def write(store: Store, run_ids: list[str], *events: Event) -> None:
    told = list(zip(TIMES, events, strict=False))
    write_events(store, lacking(*run_ids), dict.fromkeys(run_ids, told))


def test_a_run_that_went_away_costs_no_other(history_store: Store) -> None:
    write_listed(history_store, [entry("gone"), entry("stays")])
    assert len(runs_without_events(history_store, "p", agent=None, since=None)) == 2
    with history_store.begin() as connection:
        connection.execute(delete(run).where(run.c.run_id == "gone"))
    call = ToolCallStarted(call_id="c", name="n")
    write(history_store, ["gone", "stays"], TextDelta("Hello"), call)
    found = recorded(history_store, platform_key("p", "stays"))
    assert found.events == [TextDelta("Hello"), call]
    assert (found.run["events"], found.run["tool_calls"]) == (2, 1)
    for table in (event_chunk, tool_call):
        assert {row["run"] for row in rows_of(history_store, table)} == {found.run["key"]}
    assert runs_without_events(history_store, "p", agent=None, since=None) == []


def test_a_key_in_pieces(history_store: Store, secret: str) -> None:
    write_listed(history_store, [entry(output=None)])
    half = len(secret) // 2
    begins, ends = secret[:half], secret[half:]
    write(
        history_store,
        ["r1"],
        *(TextDelta(f"It is {begins}"), TextDelta(ends, part_id=None)),
        *(ReasoningDelta(begins), ReasoningDelta(ends)),
        ToolCallStarted(call_id="c", name="n"),
        *(ToolCallDelta(call_id="c", arguments=begins), ToolCallDelta(call_id="c", arguments=ends)),
        *(ToolCallDelta(call_id="c", output=begins), ToolCallDelta(call_id="c", output=ends)),
        ToolCallFinished(call_id="c", result=f"{secret}!"),
    )
    found = recorded(history_store, platform_key("p", "r1"))
    assert len(found.events) == 10
    assert found.events[0] == TextDelta("It is ***")
    assert found.content["text"] == "It is ***"
    everything = repr((found, rows_of(history_store, event_chunk)))
    assert secret not in everything
    assert ends not in everything

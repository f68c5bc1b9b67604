"""Filters, orders and limits, which the database applies, and what a wrong one says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

import agentnb
from agentnb.errors import RequestError
from agentnb.store import filters
from agentnb.store.schema import content, process, run, tool_call
from agentnb.store.store import Store
from agentnb.tables.columns import RUN_COLUMNS
from agentnb.tables.events import events
from agentnb.tables.runs import runs, sessions, tool_calls
from agentnb.tables.usage import usage
from tests.history.rows import NOON, a_process, a_run, add
from tests.history.seeding import LAST, seed


def keys(frame: pd.DataFrame) -> list[str]:
    return list(frame["local_id"])


def test_each_filter_keeps_what_pandas_would(history_store: Store) -> None:
    seed(history_store, runs=300)
    everything = runs()
    assert len(everything) == 300
    assert keys(everything) == keys(everything.sort_values("started_at", ascending=False))
    named = everything["platform"].astype("string") + ":" + everything["agent"].astype("string")
    some_session = everything["session_id"].iloc[7]
    some_runs = list(everything["run_id"].iloc[[3, 5]])
    week = pd.Timestamp(LAST) - pd.Timedelta(days=7)
    kept: list[tuple[dict[str, Any], pd.Series[bool]]] = [
        ({"agent": "finance_agent"}, everything["agent"] == "finance_agent"),
        ({"agent": "seekr:support_agent"}, named == "seekr:support_agent"),
        (
            {"agent": ["seekr:support_agent", "data_agent"]},
            (named == "seekr:support_agent") | (everything["agent"] == "data_agent"),
        ),
        ({"platform": "local"}, everything["platform"] == "local"),
        ({"status": ("failed", "truncated")}, everything["status"].isin(["failed", "truncated"])),
        ({"session": some_session}, everything["session_id"] == some_session),
        ({"user": "ada"}, everything["user_name"] == "ada"),
        ({"model": ["gpt-small"]}, everything["model"] == "gpt-small"),
        ({"source": "both"}, everything["source"] == "both"),
        ({"since": week}, everything["started_at"] >= week),
        ({"until": week.isoformat()}, everything["started_at"] < week),
        ({"since": date(2026, 1, 20)}, everything["started_at"] >= "2026-01-20"),
        (
            {"user": "ada", "platform": ["seekr", "local"], "since": "2026-01-10"},
            (everything["user_name"] == "ada")
            & everything["platform"].isin(["seekr", "local"])
            & (everything["started_at"] >= "2026-01-10"),
        ),
        ({"agent": []}, everything["agent"].isna() & False),
        ({"agent": "seekr:data_agent"}, everything["agent"].isna() & False),
    ]
    for given, mask in kept:
        expected = everything[mask]
        found = runs(**given)
        assert keys(found) == keys(expected), given
        assert {str(n): str(d) for n, d in found.dtypes.items()} == RUN_COLUMNS
        # The other tables are of the same runs.
        assert set(events(**given)["local_id"]) == set(expected["local_id"])
        assert len(tool_calls(**given)) == expected["tool_calls"].sum()
        assert usage([], **given)["runs"].iloc[0] == len(expected)
        assert len(sessions(**given)) == len(expected[["platform", "session_id"]].drop_duplicates())
    assert keys(everything) == keys(runs(agent=list(everything["agent"].unique())))
    assert list(events(run=some_runs)["run_id"].unique()) == some_runs
    assert set(tool_calls(name="get_price")["name"]) == {"get_price"}


def test_more_names_than_a_statement_takes(history_store: Store) -> None:
    wanted = seed(history_store, runs=40, events=False)
    many = [f"{number:032x}" for number in range(70_000)]
    assert len(runs(session=many)) == 0
    found = tool_calls(run=[*many, *wanted])
    assert len(found) == runs()["tool_calls"].sum() > 0


def test_an_age_reaches_back_from_now(history_store: Store) -> None:
    now = datetime.now(UTC)
    seed(history_store, runs=50, days=10, until=now, events=False)
    everything = runs()
    for given, back in (
        ("3d", timedelta(days=3)),
        ("36h", timedelta(hours=36)),
        (timedelta(days=5), timedelta(days=5)),
        ("30min", timedelta(minutes=30)),
    ):
        expected = everything[everything["started_at"] >= now - back]
        # A run may have grown too old since `now`.
        assert len(expected) - 1 <= len(runs(since=given)) <= len(expected)
    assert len(runs(since="3d", until="3d")) == 0


def test_text_is_found_in_any_case_and_literally(history_store: Store) -> None:
    add(history_store, process, a_process())
    texts = {
        "a": ("What about Zürich and ÅNGSTRÖM?", "All is well."),
        "b": ("100% of it", "under_score and back\\slash"),
        "c": ("100 of it", "underXscore [and] (more) a.b*c"),
        "d": ("ПРИВЕТ мир", None),
        "e": (None, None),
    }
    rows = [
        a_run(key, started_at=NOON - place, run_id=f"run {key}") for place, key in enumerate(texts)
    ]
    add(history_store, run, *rows)
    contents = [{"run": key, "prompt": p, "text": t} for key, (p, t) in texts.items() if p]
    add(history_store, content, *contents)
    for text, expected in (
        ("ZÜRICH", "a"),
        ("ångström", "a"),
        ("Привет МИР", "d"),
        ("of IT", "bc"),
        ("100%", "b"),
        ("0% o", "b"),
        ("r_s", "b"),
        ("k\\s", "b"),
        ("[AND]", "c"),
        ("A.B*C", "c"),
        ("a.?b", ""),
        ("(more)", "c"),
        ("", "abcde"),
        ("'; DROP TABLE run; --", ""),
        ("half \udc00", ""),
        ("nul \0", ""),
        ("***:(?i)x", ""),
    ):
        assert "".join(keys(runs(text=text))) == expected, text
        assert usage([], text=text)["runs"].iloc[0] == len(expected)


def test_orders_put_what_is_missing_last(history_store: Store) -> None:
    add(history_store, process, a_process())
    rows = [
        a_run("a", duration=5, cost_usd=0.5, started_at=NOON, run_id="r1", session_id="s"),
        a_run("b", duration=None, cost_usd=None, started_at=NOON + 3, run_id="r2", session_id=None),
        a_run("c", duration=7, cost_usd=0.1, started_at=NOON + 2, run_id=None, session_id="t"),
        a_run("d", duration=6, cost_usd=None, started_at=NOON + 2, run_id="r0", session_id="u"),
    ]
    for row in rows:
        row["agent"] = row["key"] if row["key"] != "b" else None
        add(history_store, run, row)
    for order, expected in (
        ("-started_at", "bdca"),
        ("started_at", "acdb"),
        ("duration", "adcb"),
        ("-duration", "cdab"),
        ("cost_usd", "cabd"),
        ("-agent", "dcab"),
        ("run_id", "cdab"),
    ):
        found = keys(runs(order=order))
        assert "".join(found[:3]) == expected[:3], order
        assert keys(runs(order=order, limit=2)) == list(expected[:2])
    assert len(runs(limit=0)) == 0
    last_first = list(sessions(order="-last_at")["session_id"])
    assert last_first[-1] == "s"
    add(
        history_store,
        tool_call,
        *(
            {"run": key, "position": p, "call_id": "x", "name": "n", "status": "completed"}
            | {"started": p, "finished": f}
            for key, p, f in (("a", 0, 9), ("a", 1, None), ("d", 0, 4))
        ),
    )
    found = tool_calls(order="-duration")
    assert list(zip(found["local_id"], found["position"], strict=True)) == [
        ("a", 0),
        ("d", 0),
        ("a", 1),
    ]
    assert keys(tool_calls()) == ["d", "a", "a"]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: runs(status="complete"), "no status 'complete'.*Did you mean 'completed'"),
        (lambda: runs(status=["failed", "x"]), "no status 'x'.*There are queued, running"),
        (lambda: runs(source="remote"), "no source 'remote'.*There are recorded"),
        (lambda: runs(order="-start_at"), "ordered by '-start_at'.*Did you mean 'started_at'"),
        (lambda: runs(order="temperature"), "ordered by 'temperature'"),
        (lambda: events(order="at"), "ordered by 'at'"),
        (lambda: runs(since="last week"), "since is 'last week'.*7d"),
        (lambda: runs(until="7"), "until is '7'"),
        (lambda: runs(since="7 parsecs"), "'7 parsecs'"),
        (lambda: runs(since=timedelta(days=-1)), "no age"),
        (lambda: runs(since=5), "since is '5'"),  # pyright: ignore
        (lambda: runs(limit=-1), "limit is -1"),
        (lambda: runs(limit=1.5), "limit is 1.5"),  # pyright: ignore
        (lambda: runs(agent=7), "agent is int"),  # pyright: ignore
        (lambda: runs(agent=["a", None]), "agent is NoneType"),  # pyright: ignore
        (lambda: runs(text=7), "text is int"),  # pyright: ignore
        (lambda: events(type="text_deltas"), "no event 'text_deltas'.*Did you mean 'text_delta'"),
        (lambda: usage("agents"), "grouped by 'agents'.*Did you mean 'agent'"),
        (lambda: usage("day", tz="Europe/Belrin"), "time zone.*Did you mean 'Europe/Berlin'"),
        (lambda: usage(percentiles=(101,)), "no percentile"),
    ],
)
def test_a_wrong_filter_says_what_is_meant(ask: Callable[[], Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        ask()


def test_moments_without_a_zone_are_in_utc() -> None:
    noon = filters.read_filters(since="2026-01-01T12:00").since
    assert noon == filters.read_filters(since=datetime(2026, 1, 1, 12)).since  # noqa: DTZ001
    assert noon == filters.read_filters(since="2026-01-01T13:00+01:00").since
    assert noon == filters.read_filters(since=pd.Timestamp("2026-01-01T12:00Z")).since
    midnight = filters.read_filters(since="2026-01-01").since
    assert noon is not None
    assert midnight == noon - 12 * 3_600_000_000


def test_the_runs_of_this_kernel(history_store: Store) -> None:
    seed(history_store, runs=5)
    mine = agentnb.agent(str.upper).run("Mine?")
    assert keys(runs(this_kernel=True)) == [mine.local_id]
    assert len(runs()) == 6

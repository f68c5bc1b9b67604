"""Runs that were recorded without their id, found among those that a platform lists."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, update

import agentnb
from agentnb.platforms.base import RemoteRun
from agentnb.sandbox import Sandbox
from agentnb.store.recorder import flush
from agentnb.store.schema import content, event_chunk, process, run
from agentnb.store.store import Store
from agentnb.store.values import from_micros, to_micros
from agentnb.synchronization.matching import matches, shift
from agentnb.synchronization.merge import ListedRun, listed_run, write_listed
from agentnb.synchronization.sync import sync
from agentnb.tables.runs import runs
from tests.history.rows import NOON, a_process, a_run, add

UNKNOWN = dict.fromkeys(("agent", "prompt", "input_tokens", "output_tokens", "error_class"))


def row(name: str, seconds: float, **fields: Any) -> dict[str, Any]:
    began = NOON + round(seconds * 1e6)
    return {"key": name, **UNKNOWN, "status": "completed", "started_at": began, **fields}


def told(
    recorded: list[dict[str, Any]],
    listed: list[dict[str, Any]],
    known: tuple[float, ...] = (),
    later: float = 0,
) -> str:
    sent = [NOON + round(seconds * 1e6) for seconds in known]
    pairs = matches(recorded, listed, known=sent, shift=round(later * 1e6))
    return " ".join(sorted(a["key"] + b["key"] for a, b in pairs))


CASES: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]], str]] = {
    "one": ([row("A", 0)], [row("a", 0.4)], "Aa"),
    "at the edge": ([row("A", 0)], [row("a", 60)], "Aa"),
    "before it was sent": ([row("A", 60)], [row("a", 0)], "Aa"),
    "too far apart": ([row("A", 0)], [row("a", 60.001)], ""),
    "another agent": ([row("A", 0, agent="x")], [row("a", 0, agent="y")], ""),
    "an agent that is not told": ([row("A", 0, agent="x")], [row("a", 0)], "Aa"),
    "another prompt": ([row("A", 0, prompt="x")], [row("a", 0, prompt="y")], ""),
    "other tokens": ([row("A", 0, input_tokens=3)], [row("a", 0, input_tokens=4)], ""),
    "no tokens": ([row("A", 0, input_tokens=0)], [row("a", 0, input_tokens=4)], ""),
    "a prompt with other spaces": (
        [row("A", 0, prompt=" x\n y ")],
        [row("a", 0, prompt="x y")],
        "Aa",
    ),
    "each its own": (
        [row("A", 0), row("B", 20), row("C", 40)],
        [row("c", 40.5), row("b", 20.5), row("a", 0.5)],
        "Aa Bb Cc",
    ),
    "all at once, in order": (
        [row("A", 0), row("B", 0.1), row("C", 0.2)],
        [row("a", 0.2), row("b", 0.3), row("c", 0.4)],
        "Aa Bb Cc",
    ),
    "at once, in another order": (
        [row("A", 0, output_tokens=1), row("B", 0.1, output_tokens=2)],
        [row("b", 0.2, output_tokens=2), row("a", 0.3, output_tokens=1)],
        "Aa Bb",
    ),
    "one of two that are alike": ([row("A", 0), row("B", 9)], [row("a", 0.3)], "Aa"),
    "the first of two at the same distance": ([row("A", 0), row("B", 10)], [row("a", 5)], "Aa"),
    "one of several that are listed": ([row("B", 20)], [row("a", 0), row("b", 20.2)], "Bb"),
    "of one that never began, and of somebody else": (
        [row("A", 0), row("B", 20)],
        [row("b", 20.3), row("x", 50)],
        "Bb",
    ),
    "one is known by its prompt": (
        [row("A", 0, prompt="1"), row("B", 2, prompt="2")],
        [row("b", 2.2, prompt="2"), row("a", 50, prompt="1")],
        "Aa Bb",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_pairs(case: str) -> None:
    recorded, listed, pairs = CASES[case]
    for ours, theirs in itertools.product(
        itertools.permutations(recorded), itertools.permutations(listed)
    ):
        assert told(list(ours), list(theirs)) == pairs


@pytest.mark.parametrize(
    ("recorded", "error_class", "listed", "is_one"),
    [
        ("completed", None, "completed", True),
        ("completed", None, "failed", False),
        ("completed", None, "cancelled", False),
        ("completed", None, "running", False),
        ("failed", None, "completed", False),
        ("failed", None, "failed", True),
        # What ended here may have gone on there.
        ("failed", "DeadlineError", "completed", True),
        ("cancelled", None, "completed", True),
        ("truncated", None, "failed", True),
        ("interrupted", None, "running", True),
        ("paused", None, "paused", True),
    ],
)
def test_statuses(recorded: str, error_class: str | None, listed: str, is_one: bool) -> None:
    ours = row("A", 0, status=recorded, error_class=error_class)
    assert told([ours], [row("a", 0, status=listed)]) == ("Aa" if is_one else "")


def test_tokens_of_a_run_that_was_left_are_not_all_of_it() -> None:
    ours = row("A", 0, status="truncated", input_tokens=1)
    assert told([ours], [row("a", 0, input_tokens=5)]) == "Aa"


def test_the_other_runs_of_a_session() -> None:
    """A run that is known was sent between these two, which are two."""
    assert told([row("A", 0)], [row("x", 50)], known=(20,)) == ""
    assert told([row("A", 50)], [row("x", 0)], known=(20,)) == ""
    assert told([row("A", 0)], [row("a", 0.4)], known=(0.2, 20)) == "Aa"


def test_the_clock_of_the_platform() -> None:
    recorded = [row("A", 0), row("B", 20), row("C", 40)]
    listed = [row(name.lower(), 20 * n + 430) for n, name in enumerate("ABC")]
    assert told(recorded, listed) == ""
    assert told(recorded, listed, later=430) == "Aa Bb Cc"
    known = [(row("K", n), row("k", n + 430 + n / 10)) for n in (0, 1, 2)]
    assert shift(known) == 430_100_000
    assert shift([]) == 0


@given(
    st.lists(
        st.tuples(st.integers(0, 300), st.booleans(), st.booleans(), st.integers(0, 2)), max_size=12
    )
)
def test_no_run_is_paired_twice_nor_with_one_that_contradicts(
    made: list[tuple[int, bool, bool, int]],
) -> None:
    recorded = [row(f"A{n}", s, input_tokens=t) for n, (s, here, _, t) in enumerate(made) if here]
    listed = [row(f"a{n}", s, input_tokens=t) for n, (s, _, there, t) in enumerate(made) if there]
    pairs = matches(recorded, listed, known=(), shift=0)
    for side in zip(*pairs, strict=True):
        names = [each["key"] for each in side]
        assert len(set(names)) == len(names)
    assert all(a["input_tokens"] == b["input_tokens"] for a, b in pairs)
    again = matches(
        [each for each in recorded if all(each is not a for a, _ in pairs)],
        [each for each in listed if all(each is not b for _, b in pairs)],
        known=[a["started_at"] for a, _ in pairs],
        shift=0,
    )
    assert again == []


# -- in the store ----------------------------------------------------------------------------------


def entry(run_id: str, seconds: float, **fields: Any) -> ListedRun:
    began = from_micros(NOON) + timedelta(seconds=seconds)
    raw = {"id": run_id, **fields.pop("raw", {})}
    told: dict[str, Any] = {"agent": "analyst", "session_id": "s", "created_at": began}
    told |= {"status": "completed", "raw": raw, **fields}
    return listed_run("sandbox", RemoteRun(id=run_id, **told), store_content=True)


def record(store: Store, *recorded: dict[str, Any], prompts: bool = True) -> None:
    add(store, run, *({**UNTOLD, **each} for each in recorded))
    if prompts:
        add(store, content, *({"run": r["key"], "prompt": r["key"]} for r in recorded))


UNTOLD: dict[str, Any] = dict.fromkeys(("run_id", "session_id", "input_tokens", "cost_usd"))


def sent(key: str, seconds: float, **fields: Any) -> dict[str, Any]:
    began = NOON + round(seconds * 1e6)
    return a_run(key, process=None, session_id="s", started_at=began) | fields


def by_key(store: Store) -> dict[str, Any]:
    with store.connect() as connection:
        return {r["key"]: r for r in connection.execute(select(run)).mappings()}


@pytest.mark.parametrize("is_doubled", [False, True])
def test_a_session_whose_later_runs_have_no_id(history_store: Store, is_doubled: bool) -> None:
    """As an earlier version left it, maybe with what it pulled: rows in another zone."""
    record(
        history_store,
        sent("A", 0, run_id="a"),
        sent("B", 20, input_tokens=7, cost_usd=0.5),
        sent("C", 21, input_tokens=8, cost_usd=0.25),
        sent("D", 40, status="truncated"),
        sent("E", 41, session_id="other"),
    )
    listed = [
        entry("d", 40.4, raw={"inputTokens": 9, "totalCostUsd": 1.5}),
        entry("c", 21.4, raw={"inputTokens": 8, "totalCostUsd": 0.25}),
        entry("b", 20.4, raw={"inputTokens": 7, "totalCostUsd": 0.5}),
        entry("a", 0.4, raw={"inputTokens": 6}),
    ]
    if is_doubled:
        pulled = ({**e.row, "started_at": e.row["started_at"] + 3 * 3600 * 10**6} for e in listed)
        add(history_store, run, *(each for each in pulled if each["run_id"] != "a"))
    assert write_listed(history_store, listed) == ["updated"] * 4
    rows = by_key(history_store)
    assert {key: r["run_id"] for key, r in rows.items()} == {
        "A": "a",
        "B": "b",
        "C": "c",
        "D": "d",
        "E": None,
    }
    assert [rows[key]["source"] for key in "ABCDE"] == [*["both"] * 4, "recorded"]
    assert [rows[key]["started_at"] for key in "BC"] == [NOON + 20_000_000, NOON + 21_000_000]
    assert (rows["D"]["status"], rows["D"]["cost_usd"]) == ("completed", 1.5)
    assert write_listed(history_store, listed) == ["unchanged"] * 4
    assert by_key(history_store) == rows


def test_a_run_comes_to_its_row_whichever_part_of_the_list_is_written(
    history_store: Store,
) -> None:
    record(history_store, *(sent(key, 3.0 * n) for n, key in enumerate("ABCDEF")))
    listed = [entry(key.lower(), 3.0 * n + 0.4) for n, key in enumerate("ABCDEF")]
    for part in (listed[4:], listed[2:4], listed[:3]):
        write_listed(history_store, part)
    assert {k: r["run_id"] for k, r in by_key(history_store).items()} == {
        key: key.lower() for key in "ABCDEF"
    }


def test_runs_that_are_left_apart(history_store: Store) -> None:
    add(history_store, process, {**a_process("here"), "seen_at": to_micros(datetime.now(UTC))})
    record(
        history_store,
        sent("going", 0, status="running", process="here", session_id="s1"),
        sent("part", 0, session_id="s2"),
        sent("untimed", 0, session_id="s3"),
        sent("asked", 0, session_id="s4"),
    )
    listed = [
        entry("1", 0, status="running", session_id="s1"),
        entry("2", 0, session_id="s2", raw={"parentRunId": "another"}),
        entry("3", 0, session_id="s3", created_at=None),
        entry("4", 0, session_id="s4", raw={"input": "Something else"}),
    ]
    for _ in range(2):
        write_listed(history_store, listed)
        assert len(by_key(history_store)) == 8


def test_a_run_whose_process_is_gone(history_store: Store) -> None:
    add(history_store, process, a_process())
    record(history_store, sent("A", 0, status="running", process="p"), prompts=False)
    assert write_listed(history_store, [entry("a", 0.4)]) == ["updated"]
    (row,) = by_key(history_store).values()
    assert (row["run_id"], row["status"], row["source"]) == ("a", "completed", "both")


# -- with a server ---------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["+05:45", "-03:30"])
def real(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(pace=0, operativus="real", time_zone=request.param) as running:
        yield running


def test_a_first_sync_doubles_neither_rows_nor_cost(real: Sandbox, history_store: Store) -> None:
    agent = agentnb.agent(
        "operativus:echo", base_url=real.base_url("operativus"), api_key=real.api_key
    )
    first = agent.run("one")
    others = [agent.run(f"and {n}", session=first) for n in range(4)]
    assert flush()
    ids = {each.local_id: each.id for each in (first, *others)}
    assert len(set(ids.values())) == 5
    before = runs(platform="operativus")
    with history_store.begin() as connection:
        # As versions left them that found the id of a session's first run alone.
        later = run.c.key.in_([each.local_id for each in others])
        connection.execute(update(run).where(later).values(run_id=None))
    for _ in range(3):
        sync(agent, sessions=first.session_id, progress=False)
        sync(agent, sessions=None, progress=False)
        table = runs(platform="operativus", session=first.session_id)
        assert len(table) == 5
        assert table.cost_usd.sum() == pytest.approx(before.cost_usd.sum())
        assert table.total_tokens.sum() == before.total_tokens.sum()
    with history_store.connect() as connection:
        found = select(run.c.key, run.c.run_id).where(run.c.session_id == first.session_id)
        assert {r.key: r.run_id for r in connection.execute(found)} == ids
        assert connection.scalar(select(func.count()).select_from(event_chunk)) == 5

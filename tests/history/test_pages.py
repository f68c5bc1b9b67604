"""The history page by page: what is found, in which order, and how it is counted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import agentnb
from agentnb.errors import HistoryError, RequestError
from agentnb.store.prices import set_prices
from agentnb.store.recorder import use
from agentnb.store.store import Store, store
from agentnb.store.values import to_micros
from agentnb.tables import pages
from agentnb.tables.pages import ORDERS, PageQuery, agent_names, page
from tests.history.seeding import LAST, seed

RUNS = 300


@pytest.fixture
def seeded(history_store: Store) -> Store:
    seed(history_store, runs=RUNS, events=False)
    return history_store


@pytest.mark.usefixtures("seeded")
def test_pages_follow_each_other_newest_first() -> None:
    found = [page(PageQuery(offset=offset, limit=100)) for offset in (0, 100, 200, 300)]
    assert [len(each.rows) for each in found] == [100, 100, 100, 0]
    assert {each.total for each in found} == {RUNS}
    rows = [row for each in found for row in each.rows]
    assert len({row.key for row in rows}) == RUNS
    assert all(one.started_at >= two.started_at for one, two in pairwise(rows))


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("way", ["", "-"])
@pytest.mark.parametrize("name", ORDERS)
def test_each_order_has_every_run_once_and_what_is_unknown_last(name: str, way: str) -> None:
    halves = [page(PageQuery(order=way + name, offset=at, limit=150)) for at in (0, 150)]
    rows = [row for each in halves for row in each.rows]
    assert len({row.key for row in rows}) == RUNS
    if name in ("duration", "tokens", "cost"):
        field = {"tokens": "total_tokens", "cost": "cost_usd"}.get(name, name)
        values: list[Any] = [getattr(row, field) for row in rows]
        known = [value for value in values if value is not None]
        assert values == known + [None] * (RUNS - len(known))
        assert known == sorted(known, reverse=way == "-")


@pytest.mark.usefixtures("seeded")
def test_filters_are_the_databases() -> None:
    everything = page(PageQuery(limit=RUNS)).rows
    failed = page(PageQuery(status="failed", limit=RUNS))
    assert failed.total == sum(row.status == "failed" for row in everything) > 0
    assert all(row.error for row in failed.rows)
    agent = page(PageQuery(agent="seekr:support_agent", limit=RUNS))
    assert agent.total == sum(row.agent == "support_agent" for row in everything) > 0
    found = page(PageQuery(text="zÜRICH", limit=RUNS))
    assert found.total == sum("Zürich" in (row.prompt or "") for row in everything) > 0
    assert page(PageQuery(text="nothing has this in it")).total == 0
    since = page(PageQuery(since=LAST - timedelta(days=5), limit=RUNS))
    begin = to_micros(LAST - timedelta(days=5))
    assert since.total == sum(row.started_at >= begin for row in everything) > 0


@pytest.mark.usefixtures("seeded")
def test_what_a_search_finds_is_counted_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MAX_COUNTED", 10)
    found = page(PageQuery(text="e", limit=5))
    assert (len(found.rows), found.total, found.more) == (5, 10, True)
    everything = page(PageQuery(limit=5))
    assert (everything.total, everything.more) == (RUNS, False)


def test_what_was_given_up_is_looked_for_no_further(tmp_path: Path) -> None:
    use(tmp_path / "history.sqlite")
    try:
        seed(store(required=True), runs=5_000, events=False)
        with pytest.raises(HistoryError):
            page(PageQuery(text="nothing has this in it"), given_up=lambda: True)
        # The connection is as before for whoever gets it next.
        assert page(PageQuery(text="nothing has this in it")).total == 0
    finally:
        use(None)


@pytest.mark.usefixtures("seeded")
def test_what_costs_nothing_that_is_known_costs_what_prices_say() -> None:
    unpriced = page(PageQuery(agent="seekr:support_agent", limit=RUNS))
    assert {row.cost_usd for row in unpriced.rows} == {None}
    set_prices({"seekr-flow-1": {"input": 1.0, "output": 2.0}})
    try:
        priced = page(PageQuery(agent="seekr:support_agent", limit=RUNS)).rows
    finally:
        set_prices({"seekr-flow-1": None})
    assert any(row.cost_usd for row in priced)


@pytest.mark.usefixtures("seeded")
def test_the_agents_there_are() -> None:
    assert "operativus:finance_agent" in agent_names()
    assert agent_names() == sorted(agent_names())


@pytest.mark.parametrize(
    "wrong",
    [{"order": "colour"}, {"status": "asleep"}, {"offset": -1}, {"limit": -1}, {"since": "soon"}],
    ids=repr,
)
def test_what_cannot_be_asked(wrong: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        PageQuery(**wrong)


@pytest.fixture
def off() -> Iterator[None]:
    use("off")
    yield
    use(None)


@pytest.mark.usefixtures("off")
def test_without_a_store_this_processs_runs_are_what_there_is() -> None:
    def unmistakable_agent(prompt: str) -> str:
        return "Some Answer"

    asked = agentnb.agent(unmistakable_agent)
    runs = [asked.run(f"question {number}") for number in range(3)]
    query = PageQuery(agent="local:unmistakable_agent", limit=2)
    found = page(query)
    assert [row.key for row in found.rows] == [runs[2].local_id, runs[1].local_id]
    assert found.total == 3
    assert page(PageQuery(agent="unmistakable_agent", text="some ANSWER")).total == 3
    assert page(PageQuery(agent="unmistakable_agent", text="question 1")).total == 1
    assert "local:unmistakable_agent" in agent_names()
    for order in ORDERS:
        assert page(PageQuery(agent="unmistakable_agent", order=f"-{order}")).total == 3


def test_a_store_that_cannot_be_read_says_so_without_its_statement(tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite"
    use(file)
    try:
        assert page(PageQuery()).total == 0
        for each in tmp_path.glob("history.sqlite*"):
            each.write_bytes(b"this is no database" * 500)
        with pytest.raises(HistoryError) as caught:
            page(PageQuery(text="secret question"))
    finally:
        use(None)
    assert "SELECT" not in str(caught.value)
    assert "secret question" not in str(caught.value)

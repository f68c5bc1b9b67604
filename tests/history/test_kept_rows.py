"""Rows of interrupted maps: in the store, forgotten with it, and in memory where it keeps none."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import agentnb
from agentnb.errors import ConfigError
from agentnb.store import location
from agentnb.store.map_rows import KeptRow, add_rows, new_name, read_rows
from agentnb.store.recorder import use
from agentnb.store.retention import prune
from agentnb.store.schema import kept_row
from agentnb.store.store import Store, store
from tests.children import python

pytestmark = pytest.mark.anyio

CANARY = "an-unlikely-answer"


class Halting:
    """Answers at once, but for rows that begin with "slow"."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.waits = asyncio.Event()

    async def answer(self, prompt: str) -> AsyncIterator[str]:
        self.prompts.append(prompt)
        yield f"{CANARY} {prompt}"
        if prompt.startswith("slow"):
            self.waits.set()
            await asyncio.sleep(3_600)


async def interrupted(halting: Halting) -> str:
    """Interrupt a map of three rows in its third; return the line that says how to go on."""
    agent = agentnb.agent(halting.answer)
    task = asyncio.create_task(agent.amap(["a", "b", "slow"], concurrency=1, progress=False))
    await asyncio.wait_for(halting.waits.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as raised:
        await task
    halting.prompts.clear()
    return raised.value.__notes__[0]


def name_in(line: str) -> str:
    found = re.search(r"checkpoint='(map:[0-9a-f]{12})'\.$", line)
    assert found is not None, line
    return found[1]


def stored(opened: Store) -> list[Any]:
    with opened.connect() as connection:
        return list(connection.execute(sa.select(kept_row.c.map, kept_row.c.result)))


async def test_they_are_in_the_store_and_the_map_goes_on(history_store: Store) -> None:
    halting = Halting()
    line = await interrupted(halting)
    assert "To go on, map the same with" in line
    name = name_in(line)
    assert {(f"map:{row.map}", CANARY in row.result) for row in stored(history_store)} == {
        (name, True)
    }
    agent = agentnb.agent(halting.answer)
    table = await agent.amap(["a", "b", "c"], checkpoint=name, progress=False)
    assert halting.prompts == ["c"]
    assert table["answer"].tolist() == [f"{CANARY} {each}" for each in "abc"]
    # What it went on with is kept, too.
    await agent.amap(["a", "b", "c"], checkpoint=name, progress=False)
    assert halting.prompts == ["c"]
    assert not (location.default_path().parent / "maps").exists()


async def test_they_go_with_their_runs(history_store: Store) -> None:
    name = name_in(await interrupted(Halting()))
    assert agentnb.history.flush()
    prune(keep=100)
    assert len(stored(history_store)) == 2
    prune(keep=0, dry_run=True)
    assert len(stored(history_store)) == 2
    prune(keep=0)
    assert stored(history_store) == []
    with pytest.raises(ConfigError, match=f"The history has no rows of {name}"):
        await agentnb.agent(Halting().answer).amap(["a"], checkpoint=name, progress=False)


async def test_they_go_by_age_without_their_runs(history_store: Store) -> None:
    add_rows(name := new_name(), [KeptRow(b"s", b"k", "{}", None)])
    prune(older_than="1h")
    assert read_rows(name, b"s") == {b"k": "{}"}
    with history_store.begin() as connection:
        connection.execute(sa.update(kept_row).values(kept_at=kept_row.c.kept_at - 7_200_000_000))
    prune(older_than="1h")
    assert stored(history_store) == []


async def test_files_of_earlier_versions_go_by_age(
    history_store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    folder = location.default_path().parent / "maps"
    folder.mkdir(parents=True)
    old, new = folder / "2026-01-01_120000_000000.sqlite", folder / "new.sqlite"
    for file in (old, new):
        file.write_bytes(b"")
    two_hours_ago = time.time() - 7_200
    os.utime(old, (two_hours_ago, two_hours_ago))
    prune(older_than="1h", dry_run=True)
    assert old.exists()
    prune(older_than="1h")
    assert not old.exists()
    assert new.exists()


async def test_twenty_maps_are_kept(history_store: Store) -> None:
    names = [new_name() for _ in range(25)]
    for name in names:
        assert add_rows(name, [KeptRow(b"s", bytes([n]), "{}", None) for n in range(3)])
    kept = {f"map:{row.map}" for row in stored(history_store)}
    assert kept == set(names[-20:])


async def test_where_no_content_is_kept_they_are_in_memory(
    history_url: str, history_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTNB_HISTORY_CONTENT", "0")
    use(history_url)
    halting = Halting()
    line = await interrupted(halting)
    assert "To go on in this process, map the same with" in line
    assert stored(store(required=True)) == []
    agent = agentnb.agent(halting.answer)
    await agent.amap(["a", "b", "c"], checkpoint=name_in(line), progress=False)
    assert halting.prompts == ["c"]
    assert stored(store(required=True)) == []


async def test_with_the_history_off_they_are_in_memory() -> None:
    use("off")
    try:
        halting = Halting()
        line = await interrupted(halting)
        assert "To go on in this process" in line
        agent = agentnb.agent(halting.answer)
        await agent.amap(["a", "b", "c"], checkpoint=name_in(line), progress=False)
        assert halting.prompts == ["c"]
    finally:
        use(None)


async def test_a_store_that_fails_leaves_them_in_memory(history_store: Store) -> None:
    with history_store.begin() as connection:
        connection.execute(sa.text("DROP TABLE kept_row"))
    name = new_name()
    assert not add_rows(name, [KeptRow(b"s", b"k", "{}", None)])
    with pytest.raises(agentnb.HistoryError):
        read_rows(new_name(), b"s")


async def test_another_process_goes_on(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/history.sqlite"
    name = new_name()
    use(url)
    try:
        assert add_rows(name, [KeptRow(b"s", b"k", '"kept"', None)])
    finally:
        use(None)
    code = f"""
        from agentnb.store.map_rows import read_rows
        print(read_rows({name!r}, b"s"))
    """
    done = python(code, environment={"AGENTNB_HISTORY": url})
    assert done.stdout.strip() == "{b'k': '\"kept\"'}"

"""`HistoryWidget`: what it tells its pages of the history, and what they may ask."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import agentnb
from agentnb._loop import submit
from agentnb.errors import HistoryError
from agentnb.store.recorder import flush, use
from agentnb.tables import pages
from agentnb.tables.pages import PageQuery
from agentnb.widgets.history import HistoryWidget, find_run
from tests.widgets.listed import FIXTURE, said
from tests.widgets.page import over_the_wire

pytestmark = pytest.mark.anyio

PATIENCE = 20.0
ASKED: dict[str, Any] = {
    "text": "",
    "agent": "",
    "status": "",
    "order": "-started_at",
    "offset": 0,
}


class WidgetProbe:
    """A widget whose messages go to the test instead of a comm."""

    def __init__(self, query: PageQuery | None = None, **options: Any) -> None:
        self.widget = HistoryWidget(query, **options)
        self.widget.send = self._take
        self.sent: list[Any] = []
        self._news = threading.Condition()
        self.trait: Any = over_the_wire(self.widget.snapshot)

    def _take(self, content: Any, buffers: Any = None) -> None:
        with self._news:
            self.sent.append(over_the_wire(content))
            self._news.notify_all()

    def say(self, content: Any) -> None:
        widget: Any = self.widget
        widget._handle_custom_msg(content, [])

    async def until(self, wanted: Callable[[Any], bool]) -> Any:
        """Return the first message that is ``wanted``, once it has come."""

        def look() -> Any:
            with self._news:
                found = self._news.wait_for(lambda: [m for m in self.sent if wanted(m)], PATIENCE)
            assert found, f"nothing of the kind came: {self.sent}"
            return found[0]

        return await asyncio.to_thread(look)

    async def page(self, id: str, **query: Any) -> Any:
        self.say({"type": "page", "id": id, "query": ASKED | query})
        return await self.until(lambda m: m["type"] == "page" and m["id"] == id)


def talker(prompt: str) -> str:
    if "fail" in prompt:
        raise ValueError("broken")
    return f"The answer to {prompt}"


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[Path]:
    """A store with five runs, of which one failed."""
    file = tmp_path / "history.sqlite"
    use(file)
    talk = agentnb.agent(talker)
    for prompt in ("one", "two", "fail", "three", "four"):
        await talk.arun(prompt, check=False)
    assert await asyncio.to_thread(flush, PATIENCE)
    yield file
    use(None)


@pytest.mark.usefixtures("history")
async def test_the_first_page_is_in_the_trait() -> None:
    state = WidgetProbe(PageQuery(limit=2)).trait["history"]
    assert [row["question"] for row in state["rows"]] == ["four", "three"]
    assert (state["total"], state["limit"], state["more"]) == (5, 2, False)
    assert state["query"]["order"] == "-started_at"


@pytest.mark.usefixtures("history")
async def test_pages_are_searched_sorted_and_filtered() -> None:
    made = WidgetProbe(PageQuery(limit=2))
    page = await made.page("a", offset=2)
    assert [row["question"] for row in page["rows"]] == ["fail", "two"]
    page = await made.page("b", order="question")
    assert [row["question"] for row in page["rows"]] == ["fail", "four"]
    page = await made.page("c", text="ANSWER TO T")
    assert {row["question"] for row in page["rows"]} == {"two", "three"}
    page = await made.page("d", status="failed")
    assert (page["total"], page["rows"][0]["error"]) == (1, "ValueError: broken")
    assert (await made.page("e", agent="local:nobody"))["total"] == 0
    made.say({"type": "agents"})
    told = await made.until(lambda m: m["type"] == "agents")
    assert told["agents"] == ["local:talker"]


@pytest.mark.usefixtures("history")
async def test_a_run_of_this_process_is_opened_as_it_is() -> None:
    made = WidgetProbe()
    key = made.trait["history"]["rows"][0]["key"]
    made.say({"type": "open", "run": key})
    opened = await made.until(lambda m: m["type"] == "opened")
    assert opened["live"] is True
    assert opened["snapshot"]["run"]["prompt"] == "four"
    made.say({"type": "run", "turn": key, "message": {"type": "events", "offset": 0}})
    events = await made.until(lambda m: m["type"] == "run")
    assert (events["turn"], events["message"]["type"]) == (key, "events")
    assert events["message"]["total"] > 0


async def test_a_run_that_is_only_in_the_store_is_opened_from_there(history: Path) -> None:
    agentnb.store.recent._runs.clear()  # pyright: ignore[reportPrivateUsage]
    made = WidgetProbe()
    key = made.trait["history"]["rows"][0]["key"]
    made.say({"type": "open", "run": key})
    opened = await made.until(lambda m: m["type"] == "opened")
    assert opened["live"] is False
    parts = opened["snapshot"]["run"]["parts"]
    assert [part["text"] for part in parts] == ["The answer to four"]
    made.say({"type": "close", "run": key})
    # Its view in another page is answered all the same.
    made.say({"type": "run", "turn": key, "message": {"type": "events", "offset": 0}})
    events = await made.until(lambda m: m["type"] == "run")
    assert events["message"]["total"] > 0


@pytest.mark.usefixtures("history")
async def test_a_run_that_goes_on_is_followed_and_stopped() -> None:
    async def endless(prompt: str) -> Any:
        yield "begun"
        await asyncio.Event().wait()

    run = agentnb.agent(endless).start("for ever")
    made = WidgetProbe()
    made.say({"type": "open", "run": run.local_id})
    opened = await made.until(lambda m: m["type"] == "opened")
    assert opened["snapshot"]["run"]["duration"] is None
    made.say({"type": "run", "turn": run.local_id, "message": {"type": "stop"}})
    await run.wait_async(check=False)
    assert run.status == "cancelled"
    made.widget.close()


@pytest.mark.usefixtures("history")
async def test_a_run_that_is_found_after_the_end_is_not_listened_to() -> None:
    def slowly(prompt: str) -> str:
        assert go_on.wait(PATIENCE)
        return "done"

    go_on, asked, found = threading.Event(), threading.Event(), threading.Event()
    run = agentnb.agent(slowly).start("Wait")
    listeners: list[Any] = []
    subscribe = run.subscribe

    class Counted:
        def __getattr__(self, name: str) -> Any:
            return getattr(run, name)

        def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
            listeners.append(callback)
            undo = subscribe(callback)

            def end() -> None:
                listeners.remove(callback)
                undo()

            return end

    def find(key: str) -> Any:
        asked.set()
        assert found.wait(PATIENCE)
        return Counted(), True

    recorded = WidgetProbe(find=find)
    recorded.say({"type": "open", "run": run.local_id})
    assert await asyncio.to_thread(asked.wait, PATIENCE)
    recorded.widget.close()
    found.set()
    # The one that opens it has come to its end when the next one does, which is of the same loop.
    await asyncio.to_thread(lambda: submit(asyncio.sleep(0.2)).result(PATIENCE))
    assert listeners == []
    widget: Any = recorded.widget
    assert widget._publisher._opened == {}
    go_on.set()
    await asyncio.to_thread(run.wait)


async def test_a_run_that_is_not_there_and_a_store_that_fails() -> None:
    made = WidgetProbe()
    made.say({"type": "open", "run": "nobody"})
    opened = await made.until(lambda m: m["type"] == "opened")
    assert opened["snapshot"] is None
    assert "nobody" in opened["error"]

    def find(key: str) -> Any:
        raise RuntimeError("a secret")

    broken = WidgetProbe(find=find)
    broken.say({"type": "open", "run": "any"})
    assert (await broken.until(lambda m: m["type"] == "opened"))["error"] == "RuntimeError"


async def test_a_page_that_cannot_be_read_has_an_error(history: Path) -> None:
    made = WidgetProbe()
    for each in history.parent.glob("history.sqlite*"):
        each.write_bytes(b"this is no database" * 500)
    page = await made.page("a")
    assert "rows" not in page
    assert "store of runs" in page["error"]


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        "page",
        {"type": "page"},
        {"type": "page", "id": "a", "query": {}},
        {"type": "page", "id": 1, "query": {}},
        {
            "type": "page",
            "id": "a",
            "query": {"text": "", "agent": "", "status": "asleep", "order": "cost", "offset": 0},
        },
        {
            "type": "page",
            "id": "a",
            "query": {"text": "", "agent": "", "status": "", "order": "colour", "offset": 0},
        },
        {
            "type": "page",
            "id": "a",
            "query": {"text": "", "agent": "", "status": "", "order": "cost", "offset": True},
        },
        {"type": "open", "run": 1},
        {"type": "else"},
    ],
    ids=repr,
)
@pytest.mark.usefixtures("history")
async def test_what_is_no_message_is_ignored(nonsense: Any) -> None:
    made = WidgetProbe()
    made.say(nonsense)
    assert (await made.page("after"))["total"] == 5
    assert {message["id"] for message in made.sent} == {"after"}


async def test_a_new_query_cancels_the_one_before(
    history: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = WidgetProbe()
    read = pages.page

    def slow(query: PageQuery, *, given_up: Callable[[], bool]) -> pages.Page:
        while query.text == "first" and not given_up():
            time.sleep(0.01)
        return read(query)

    monkeypatch.setattr(pages, "page", slow)
    made.say({"type": "page", "id": "tab-1", "query": {**ASKED, "text": "first"}})
    await made.until(lambda m: m == {"type": "looking", "id": "tab-1"})
    # Another page's question is its own.
    assert (await made.page("other-1", text="two"))["total"] == 1
    assert (await made.page("tab-2", text="three"))["total"] == 1
    assert [m["id"] for m in made.sent if m["type"] == "page"] == ["other-1", "tab-2"]


@pytest.mark.usefixtures("history")
async def test_hostile_texts_find_nothing_and_break_nothing() -> None:
    made = WidgetProbe()
    for number, text in enumerate(("'; DROP TABLE run; --", "%", "_", "\0", "\ud800", "x" * 5000)):
        page = await made.page(str(number), text=text)
        assert page["error"] is None
        # What is left of a text without its NUL finds everything.
        assert page["total"] == (5 if text == "\0" else 0)


@pytest.mark.usefixtures("history")
async def test_what_other_viewers_are_given() -> None:
    made = HistoryWidget(bundle={"text/plain": "runs", "text/html": "<p>runs</p>"})
    data, _ = made._repr_mimebundle_() or ({}, {})  # pyright: ignore[reportPrivateUsage]
    assert data["text/html"] == "<p>runs</p>"
    assert "application/vnd.jupyter.widget-view+json" in data
    made.close()


async def test_no_such_run() -> None:
    with pytest.raises(HistoryError):
        find_run("nobody")


async def test_the_pages_own_tests_are_given_the_same() -> None:
    assert json.loads(FIXTURE.read_text(encoding="utf-8")) == said()

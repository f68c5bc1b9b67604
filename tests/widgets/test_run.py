"""The widget itself, without a kernel around it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from agentnb.event.types import RunFinished, TextDelta
from agentnb.widgets.protocol import run_state
from agentnb.widgets.run import RunWidget
from tests.widgets.page import FakeRun

pytestmark = pytest.mark.anyio


@pytest.fixture
def run() -> FakeRun:
    return FakeRun([TextDelta("**It** is"), TextDelta(" 181."), RunFinished()])


@pytest.fixture
def widget(run: FakeRun) -> Iterator[RunWidget]:
    shown = RunWidget(run)
    yield shown
    shown.close()


async def test_snapshot_is_the_state_at_the_making(run: FakeRun, widget: RunWidget) -> None:
    assert widget.snapshot == {"seq": 0, "run": run_state(run.view())}
    run.advance()
    assert widget.snapshot["run"]["parts"] == []


async def test_snapshot_is_the_final_state_at_the_end(run: FakeRun, widget: RunWidget) -> None:
    run.advance(3)
    await asyncio.sleep(0.1)
    assert widget.snapshot == {"seq": 1, "run": run_state(run.view())}


def say(widget: Any, content: dict[str, Any]) -> None:
    data = {"method": "custom", "content": content}
    widget._handle_msg({"content": {"data": data}, "buffers": []})


async def test_messages_of_the_page_are_handled(run: FakeRun, widget: RunWidget) -> None:
    say(widget, {"type": "stop"})
    assert run.cancelled == 1


async def test_a_broken_comm_never_hurts_the_run(
    run: FakeRun, widget: RunWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    comm: Any = widget.comm
    sent: list[Any] = []

    def fail(*args: Any, **options: Any) -> None:
        raise ConnectionError("the comm is closed")

    def receive(data: Any, **options: Any) -> None:
        sent.append(data["content"])

    monkeypatch.setattr(comm, "send", fail)
    say(widget, {"type": "stop"})
    assert run.cancelled == 1
    run.advance()
    await asyncio.sleep(0.1)
    run.advance(2)
    await asyncio.sleep(0.1)
    assert widget.snapshot["run"] == run_state(run.view())
    monkeypatch.setattr(comm, "send", receive)
    say(widget, {"type": "resync", "seq": 0})
    assert sent[-1]["run"] == run_state(run.view())


async def test_outputs_beside_the_view_are_static(run: FakeRun, widget: RunWidget) -> None:
    run.advance(3)
    bundled = widget._repr_mimebundle_()  # pyright: ignore[reportPrivateUsage]
    assert bundled is not None
    data, metadata = bundled
    assert metadata == {}
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
    assert data["text/plain"].startswith("**It** is 181.\n\nfinance_agent · completed · ")
    assert "<strong>It</strong> is 181." in data["text/html"]


async def test_closing_leaves_the_run_alone(run: FakeRun) -> None:
    widget = RunWidget(run)
    run.advance()
    widget.close()
    widget.close()
    assert run.listeners == 0
    run.advance(2)
    await asyncio.sleep(0.1)
    assert run.transcript.status == "completed"
    assert run.cancelled == 0


def test_no_trait_is_written_by_the_page(widget: RunWidget) -> None:
    inherited = {"layout", "tabbable", "tooltip"}
    names = list[str](widget.traits(sync=True))
    synced = {name for name in names if not name.startswith("_")}
    assert synced - inherited == {"kind", "snapshot"}

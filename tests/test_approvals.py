"""`Run.approve` and `Run.deny`: what is decided, and the run that goes on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import agentnb
from agentnb import _loop, history
from agentnb.errors import PlatformError, RequestError, UnsupportedError
from agentnb.event.transcript import fold
from agentnb.event.types import (
    ApprovalRequested,
    Event,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
)
from agentnb.platforms.base import Capabilities, RunRequest
from agentnb.platforms.local import FunctionContext
from agentnb.render import to_html, to_text
from agentnb.run.approvals import Continuation, find_approval
from tests.played import LONG, STARTED, Batches, PlayedPlatform, eventually, player, until

pytestmark = pytest.mark.anyio

DECIDES = Capabilities(cancel=True, attach=True, approvals=True)
ASKED = ApprovalRequested(approval_id="a1", message="May I?")


async def pausing(request: RunRequest) -> Batches:
    """Ask, and when joined again tell it all and go on."""
    yield [STARTED, TextDelta("Before. "), ASKED]
    if request.prompt == "run_1":
        yield [TextDelta("After."), RunFinished()]


def test_it_goes_on_from_any_thread() -> None:
    platform = PlayedPlatform(pausing, capabilities=DECIDES)
    run = player(platform).run("hi", title="x")
    found: list[agentnb.Run] = []
    thread = threading.Thread(target=lambda: found.append(run.approve()))
    thread.start()
    thread.join(LONG)
    (went_on,) = found
    assert went_on.wait(LONG).text == "Before. After."
    assert platform.decisions == [("run_1", "a1", True)]
    assert went_on.request.params == {"title": "x"}


def test_it_blocks_on_no_loop_of_agentnbs() -> None:
    run = player(PlayedPlatform(pausing, capabilities=DECIDES)).run("hi")

    async def decide() -> None:
        run.approve()

    with pytest.raises(RuntimeError, match="blocks"):
        _loop.wait(decide())
    assert run.deny().wait(LONG).text == "Before. After."


def test_its_place_in_the_history() -> None:
    agent = player(PlayedPlatform(pausing, capabilities=DECIDES))
    run = agent.run("hi")
    later = agent.run("later")
    before = history.recent_runs()
    went_on = run.approve()
    after = history.recent_runs()
    assert [r for r in after if r is not went_on] == [r for r in before if r is not run]
    assert after[-2:] == [went_on, later]
    assert agentnb.last_run() is later


def test_a_run_that_is_not_in_the_history_any_more() -> None:
    run = player(PlayedPlatform(pausing)).run("hi")
    other = player(PlayedPlatform(pausing)).prepare("never sent")
    gone = player(PlayedPlatform(pausing)).prepare("never remembered")
    history.replace(gone, other)
    assert history.recent_runs()[-2:] == [run, other]
    history.replace(other, run)


def test_a_platform_that_takes_no_decisions() -> None:
    run = player(PlayedPlatform(pausing, capabilities=Capabilities(attach=True))).run("hi")
    with pytest.raises(UnsupportedError, match="played does not take decisions"):
        run.approve()
    assert "run.approve()" not in to_text(run.view()) + to_html(run.view()) + run.to_markdown()


def test_the_way_to_go_on_is_told() -> None:
    run = player(PlayedPlatform(pausing, capabilities=DECIDES)).run("hi")
    hint = "Approve with run.approve(), refuse with run.deny()."
    assert hint in to_text(run.view())
    assert hint in to_html(run.view())
    assert hint in run.to_markdown()
    assert hint not in run.approve().wait(LONG).to_markdown()


def test_a_refused_decision_leaves_the_run_as_it_was() -> None:
    class Refusing(PlayedPlatform):
        refuses = True

        async def decide(self, run_id: str, approval_id: str | None, **rest: Any) -> None:
            if self.refuses:
                raise PlatformError("Busy.", status=503)
            await super().decide(run_id, approval_id, **rest)

    platform = Refusing(pausing, capabilities=DECIDES)
    run = player(platform).run("hi")
    with pytest.raises(PlatformError, match="Busy"):
        run.approve()
    assert history.last_run() is run
    platform.refuses = False
    assert run.approve().wait(LONG).status == "completed"


def test_stopping_what_was_decided_stops_what_goes_on() -> None:
    async def goes_on(request: RunRequest) -> Batches:
        yield [STARTED, ASKED]
        if request.prompt == "run_1":
            yield [TextDelta("on")]
            await asyncio.sleep(LONG)

    run = player(PlayedPlatform(goes_on, capabilities=DECIDES)).run("hi")
    went_on = run.approve()
    until(lambda: went_on.text)
    assert went_on.status == "running"
    run.cancel()
    assert went_on.wait(LONG, check=False).status == "cancelled"
    assert run.status == "paused"


async def test_a_stream_that_stays_open_goes_on_itself() -> None:
    async def open_stream(request: RunRequest) -> Batches:
        yield [STARTED, ASKED]
        await eventually(lambda: platform.decisions)
        yield [TextDelta("Done."), RunFinished()]

    platform = PlayedPlatform(open_stream, capabilities=DECIDES)
    run = player(platform).start("hi")
    await asyncio.to_thread(until, lambda: run.status == "paused")
    assert not run.done
    assert await run.approve_async() is run
    assert (await run).text == "Done."
    assert len(platform.requests) == 1


async def test_the_loop_goes_on_while_the_platform_is_asked() -> None:
    class Slow(PlayedPlatform):
        def __init__(self) -> None:
            super().__init__(pausing, capabilities=DECIDES)
            self.release = threading.Event()

        async def decide(self, run_id: str, approval_id: str | None, **rest: Any) -> None:
            await eventually(self.release.is_set)
            await super().decide(run_id, approval_id, **rest)

    platform = Slow()
    run = await player(platform).arun("hi")
    deciding = asyncio.create_task(run.deny_async())
    await asyncio.sleep(0.02)
    assert not deciding.done()
    platform.release.set()
    assert (await (await deciding)).text == "Before. After."
    assert platform.decisions == [("run_1", "a1", False)]


# --- which approval is meant ---


def test_the_only_one_needs_no_name() -> None:
    assert find_approval([ASKED], None) is ASKED
    assert find_approval([ASKED], "a1") is ASKED


def test_several_need_a_name() -> None:
    other = ApprovalRequested(approval_id="a2")
    with pytest.raises(RequestError, match="several") as caught:
        find_approval([ASKED, other], None)
    assert caught.value.hint == "It waits for: a1, a2."
    assert find_approval([ASKED, other], "a2") is other


def test_none_at_all() -> None:
    with pytest.raises(RequestError, match="waits for no approval"):
        find_approval([], None)


# --- joining again ---


async def joined(
    script: list[list[Event]], decided: list[str | None], *, text: str = ""
) -> list[Event]:
    async def play(request: RunRequest) -> Batches:
        for batch in script:
            yield batch

    again = Continuation(
        PlayedPlatform(play),
        "run_1",
        agent="player",
        session_id="s",
        decided=decided,
        text=text,
    )
    return [event async for batch in again.attach() for event in batch]


async def test_a_decided_approval_is_not_waited_for_any_more() -> None:
    assert fold(await joined([[STARTED, ASKED]], ["a1"])).status == "running"
    assert fold(await joined([[STARTED, ASKED]], [])).status == "paused"


async def test_one_of_two_is_still_waited_for() -> None:
    other = ApprovalRequested(approval_id="a2")
    transcript = fold(await joined([[STARTED, ASKED], [other]], ["a1"]))
    assert transcript.status == "paused"
    assert transcript.pending_approvals == (other,)


async def test_a_record_without_ids() -> None:
    nameless = ApprovalRequested(message="May I?")
    events = await joined([[STARTED, nameless, TextDelta("x"), nameless]], ["a1"])
    assert fold(events).status == "paused"
    assert fold(events).pending_approvals == (nameless,)
    assert [type(e) for e in events].count(RunStarted) == 2


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (RunFinished(output="Before. After."), "Before. After."),
        (RunFinished(), "Before. "),
        (RunCancelled(reason="refused"), "Before. "),
        (RunFailed(message="no"), "Before. "),
    ],
)
async def test_a_record_without_texts(end: Event, text: str) -> None:
    """What was said before is told once, whatever becomes of the run."""
    transcript = fold(await joined([[STARTED, ASKED], [end]], ["a1"], text="Before. "))
    assert transcript.text == text
    assert transcript.is_final


async def test_a_record_with_texts() -> None:
    script: list[list[Event]] = [[STARTED, TextDelta("Before. "), ASKED, RunCancelled()]]
    assert fold(await joined(script, ["a1"], text="Before. ")).text == "Before. "


# --- one approval, requested again for something else ---


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for streams that stay open."""
    monkeypatch.setattr("agentnb.run.run._PAUSE_GRACE", 0.01)


class Changing:
    """A run whose stream stays open while what it requests changes."""

    def __init__(self, *requests: Event) -> None:
        self.more = threading.Event()
        self.requests = requests
        self.platform = PlayedPlatform(self.play, capabilities=DECIDES)
        self.run = player(self.platform).start("hi")
        until(lambda: self.run.status == "paused")

    async def play(self, request: RunRequest) -> Batches:
        yield [STARTED, self.requests[0]]
        await eventually(self.more.is_set)
        for event in self.requests[1:]:
            yield [event]
        await eventually(lambda: self.platform.decisions)
        yield [RunFinished()]

    def change(self) -> None:
        self.more.set()
        until(lambda: len(self.run.transcript.approvals) == 2)


HARMLESS = ApprovalRequested(approval_id="a", message="May I?", tool="ls", arguments='{"p": "."}')
CHANGED = {
    "arguments": replace(HARMLESS, arguments='{"p": "/"}'),
    "tool": replace(HARMLESS, tool="rm"),
    "message": replace(HARMLESS, message="Must I not?"),
}


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("changed", CHANGED.values(), ids=CHANGED)
@pytest.mark.parametrize("between", [[], [RunStarted(run_id="run_1")]], ids=["at once", "later"])
def test_what_changed_after_it_was_read_is_not_approved(
    changed: ApprovalRequested, between: list[Event]
) -> None:
    one = Changing(HARMLESS, *between, changed)
    (read,) = one.run.transcript.pending_approvals
    one.change()
    assert one.run.transcript.pending_approvals == (changed,)
    with pytest.raises(RequestError, match="does not wait for the approval a as it was given"):
        one.run.approve(read)
    # By its id, nothing tells which of the two was read.
    for named in ("a", None):
        with pytest.raises(RequestError, match="a has changed since it was first requested"):
            one.run.approve(named)
    assert one.platform.decisions == []
    one.run.approve(one.run.transcript.pending_approvals[0])
    assert one.platform.decisions == [("run_1", "a", True)]
    one.run.wait(LONG)


@pytest.mark.usefixtures("soon")
def test_what_changed_is_denied_by_its_id() -> None:
    one = Changing(HARMLESS, CHANGED["arguments"])
    one.change()
    one.run.deny("a")
    assert one.platform.decisions == [("run_1", "a", False)]
    one.run.wait(LONG)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("approved", [True, False])
@pytest.mark.parametrize(
    "later",
    [CHANGED["tool"], [RunStarted(), replace(HARMLESS, approval_id="b")], [RunFinished()]],
    ids=["changed", "another", "none"],
)
def test_what_changes_while_it_is_decided_is_not_decided(
    later: Event | list[Event], approved: bool
) -> None:
    """The decision waits a moment for the end of the stream, which may bring something else."""
    one = Changing(HARMLESS, *(later if isinstance(later, list) else [later]))
    read = one.run.transcript.pending_approvals[0]
    wait_for_end = one.run._wait_for_end  # pyright: ignore[reportPrivateUsage]

    async def changes_meanwhile(timeout: float | None) -> None:
        one.more.set()
        await eventually(lambda: one.run.transcript.pending_approvals != (read,))
        await wait_for_end(timeout)

    one.run._wait_for_end = changes_meanwhile  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(RequestError):
        (one.run.approve if approved else one.run.deny)()
    assert one.platform.decisions == []
    one.run.cancel()


@pytest.mark.usefixtures("soon")
def test_the_same_request_twice_is_one() -> None:
    one = Changing(HARMLESS, HARMLESS)
    one.change()
    assert one.run.transcript.pending_approvals == (HARMLESS,)
    one.run.approve()
    assert one.platform.decisions == [("run_1", "a", True)]
    one.run.wait(LONG)


def test_an_id_that_is_used_again_after_a_decision() -> None:
    seen: list[str] = []

    def ask_twice(prompt: str, context: FunctionContext) -> Iterator[Event]:
        yield HARMLESS
        seen.append(context.decisions["a"])
        yield CHANGED["arguments"]
        seen.append(context.decisions["a"])

    run = agentnb.agent(ask_twice).run("hi")
    again = run.approve("a")
    until(lambda: again.status == "paused")
    assert again.transcript.pending_approvals == (CHANGED["arguments"],)
    again.approve("a").wait(LONG)
    assert seen == ["APPROVED", "APPROVED"]


def test_ids_that_act_on_a_terminal_or_have_no_end() -> None:
    ids = ("\x1b[2J\u202e", "x" * 1_000_000, "\n", "\ud800")
    pending = [ApprovalRequested(approval_id=each) for each in ids * 100]
    for named in (None, "other\x1b[2J", *pending[:4]):
        with pytest.raises(RequestError) as caught:
            find_approval([replace(each, tool="t") for each in pending], named)
        shown = f"{caught.value} {caught.value.message} {caught.value.hint}"
        assert shown.isprintable()
        assert len(shown) < 6_000

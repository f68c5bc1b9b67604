"""A server that repeats the key in a stream, in whatever pieces: nobody sees it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb.event.transcript import Transcript
from agentnb.event.types import (
    ApprovalRequested,
    Event,
    FollowupsSuggested,
    RawEvent,
    ReasoningDelta,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from agentnb.redaction import secrets
from agentnb.redaction.events import StreamMask
from agentnb.redaction.secrets import gives_away, has_secret, mask, remember_secret
from tests.strategies import event_lists

KEY = "sk-canary-0123"
ROUND = "abababab"
QUOTED = 'pass"word\\é'
OTHER = UsageReported(usage=Usage(input_tokens=1))


@pytest.fixture(autouse=True, scope="module")
def known() -> Iterator[None]:
    """Three secrets, and none of other tests."""
    kept = secrets._known  # pyright: ignore[reportPrivateUsage]
    secrets._known = secrets._Known()  # pyright: ignore[reportPrivateUsage]
    for secret in (f"Bearer {KEY}", ROUND, QUOTED):
        remember_secret(secret)
    yield
    secrets._known = kept  # pyright: ignore[reportPrivateUsage]


def through(*batches: Sequence[Event]) -> list[Event]:
    """All that is shown of a stream."""
    mask = StreamMask()
    return [event for batch in batches for event in mask.feed(batch)] + mask.flush()


def said(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def cut(whole: str, cuts: Sequence[int]) -> list[str]:
    return [whole[a:b] for a, b in pairwise([0, *sorted(cuts), len(whole)])]


def told(events: Sequence[Event]) -> dict[str, Any]:
    transcript = Transcript()
    for event in events:
        transcript.apply(event, 0.0)
    return transcript.to_dict()


def plain(masked: str) -> str:
    """Up to three characters of a key stand before its mask where they came alone."""
    return re.sub(r"(?:sk-?|s|Bea|Be|B|pas|pa|p)*\*\*\*", "***", masked)


words = st.lists(st.sampled_from([KEY, QUOTED, "ab ", "s", "sk", "sk-can", " Bearer ", "é", "\n"]))
pieces = st.tuples(words.map("".join), st.lists(st.integers(0, 200), max_size=30)).map(
    lambda given: cut(given[0], [min(at, len(given[0])) for at in given[1]])
)


class TestText:
    @given(pieces, st.integers(1, 5))
    def test_any_pieces_are_masked_as_the_whole_is(self, pieces: list[str], size: int) -> None:
        events = [TextDelta(piece) for piece in pieces]
        batches = [events[at : at + size] for at in range(0, len(events), size)]
        shown = said(through(*batches))
        whole = "".join(pieces)
        assert not has_secret(shown)
        assert plain(shown) == plain(mask(whole))

    @given(st.text("ab", max_size=40), st.lists(st.integers(0, 40), max_size=20))
    def test_one_that_overlaps_itself(self, whole: str, cuts: list[int]) -> None:
        parts = cut(whole, [min(at, len(whole)) for at in cuts])
        shown = said(through(*([TextDelta(part)] for part in parts)))
        assert ROUND not in shown
        # Nothing is lost but the secret: what is cut off by its end was shown, or is half of it.
        assert ("***" in shown) == (ROUND in whole)

    @given(pieces, st.data())
    def test_other_events_in_between_let_no_half_of_it_through(
        self, pieces: list[str], data: st.DataObject
    ) -> None:
        events: list[Event] = []
        for piece in pieces:
            events.append(TextDelta(piece))
            events += data.draw(st.sampled_from([(), (OTHER,), (ReasoningDelta("so"),)]))
        shown = through(*([event] for event in events))
        assert not has_secret(said(shown))
        for length in range(8, len(KEY)):
            if gives_away(KEY[:length]):
                assert KEY[:length] not in said(shown)
        others = [event for event in events if not isinstance(event, TextDelta)]
        assert [event for event in shown if not isinstance(event, TextDelta)] == others

    def test_letter_by_letter(self) -> None:
        shown = through(*([TextDelta(letter)] for letter in f"It is {KEY}."))
        assert said(shown) == "It is sk-***."

    def test_only_what_may_be_its_beginning_waits(self) -> None:
        mask = StreamMask()
        assert mask.feed([TextDelta("The key: sk-c")]) == [TextDelta("The key: ")]
        assert mask.feed([TextDelta("an")]) == []
        assert mask.feed([TextDelta("'t be", "p")]) == [
            TextDelta("sk-can"),
            TextDelta("'t be", "p"),
        ]
        assert mask.flush() == []

    def test_what_waited_goes_before_any_other_event(self) -> None:
        mask = StreamMask()
        mask.feed([TextDelta("sk-ca")])
        assert mask.feed([OTHER]) == [TextDelta("sk-ca"), OTHER]
        # What was shown cannot be taken back; what follows it is.
        assert mask.feed([TextDelta("nary-0123 is it")]) == [TextDelta("*** is it")]

    def test_half_of_it_is_one(self) -> None:
        for last in ([OTHER], []):
            assert said(through([TextDelta("It is sk-canary-")], last)) == "It is ***"
        mask = StreamMask()
        mask.feed([TextDelta("sk-canary-")])
        mask.feed([OTHER])
        assert mask.feed([TextDelta("0123 is it")]) == [TextDelta(" is it")]

    def test_passages_apart_do_not_hide_it(self) -> None:
        events: list[Event] = []
        for at in range(0, len(KEY), 3):
            events += (TextDelta(KEY[at : at + 3], "p"), TextDelta("word ", "q"))
        shown = through(events)
        assert told(shown)["parts"][0]["text"] == "sk-can***"
        assert (
            said([event for event in shown if getattr(event, "part_id", "") == "q"]) == "word " * 5
        )


class TestCalls:
    @given(st.lists(st.integers(0, 60), max_size=12), st.sampled_from(["arguments", "output"]))
    def test_pieces_of_calls(self, cuts: list[int], name: str) -> None:
        whole = json.dumps({"key": QUOTED, "and": KEY, "x": "sk-"})
        parts = cut(whole, [min(at, len(whole)) for at in cuts])
        first = parts.pop(0) if name == "arguments" else ""
        begin = ToolCallStarted(call_id="a", name="look", arguments=first)
        deltas = [ToolCallDelta(call_id="a", **{name: part}) for part in parts]
        shown = through([begin], *([delta] for delta in deltas))
        result = "".join(getattr(event, name, "") for event in shown)
        assert not has_secret(result)
        assert plain(result) == plain(mask(whole))
        assert shown[0] == replace(begin, arguments=getattr(shown[0], "arguments", ""))

    def test_both_in_one_event(self) -> None:
        half = len(KEY) // 2
        events = [
            ToolCallDelta(call_id="a", arguments=KEY[:half], output=f"{KEY} {KEY[:half]}"),
            ToolCallDelta(call_id="a", arguments=KEY[half:], output=KEY[half:]),
        ]
        shown = through(events)
        assert not has_secret("".join(getattr(event, "arguments", "") for event in shown))
        assert not has_secret("".join(getattr(event, "output", "") for event in shown))

    def test_calls_side_by_side(self) -> None:
        deltas = [
            ToolCallDelta(call_id=call, arguments=letter) for letter in KEY for call in ("a", "b")
        ]
        shown = through(*([delta] for delta in deltas))
        for call in ("a", "b"):
            arguments = "".join(
                event.arguments
                for event in shown
                if isinstance(event, ToolCallDelta) and event.call_id == call
            )
            assert not has_secret(arguments)
            assert arguments.startswith("sk-")


@pytest.mark.parametrize(
    "event",
    [
        RunStarted(run_id="r", session_id=KEY, agent="a", model=f"m {KEY}"),
        TextDelta("said", KEY),
        ToolCallStarted(call_id=KEY, name=KEY, arguments=json.dumps({"a": QUOTED})),
        ToolCallDelta(call_id=KEY, output="said"),
        ToolCallFinished(call_id="c", name=KEY, arguments=KEY, result=KEY, error=KEY),
        UsageReported(usage=Usage(cost_usd=1.0), model=KEY),
        FollowupsSuggested(followups=("What?", f"Is it {KEY}?")),
        ApprovalRequested(message=KEY, tool=KEY, arguments=KEY),
        RawEvent(name=KEY, data=f"<{KEY}>", problem=KEY),
        RunFinished(output=KEY, details={"list": [{"deep": KEY}], KEY: 1}),
        RunFailed(message=f"Bearer {KEY} is wrong", code=KEY, details={"request_id": KEY}),
        RunCancelled(reason=KEY),
    ],
    ids=lambda event: event.type,
)
def test_every_kind_of_event(event: Event) -> None:
    (shown,) = through([event])
    assert type(shown) is type(event)
    assert "***" in repr(shown)
    for part in (KEY, "canary", "word"):
        assert part not in repr(shown)


def test_details_that_nest_too_deeply_are_refused_without_their_content() -> None:
    deep: Any = [KEY]
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="no JSON form") as caught:
        RunFinished(output=KEY, details={"deep": deep})
    assert KEY not in str(caught.value)
    while isinstance(deep[0], list):  # unmade bit by bit, as freeing it whole would recurse
        deep = deep[0]


class TestWithoutSecrets:
    @given(event_lists)
    def test_the_batch_comes_back_itself(self, events: list[Event]) -> None:
        if any(near in repr(events) for near in ("abab", "sk-c", "Bear", "pass")):
            return
        mask = StreamMask()
        assert mask.feed(events) is events
        assert mask.flush() == []

    @given(st.lists(st.text("ab", max_size=6).map(TextDelta) | event_lists.map(lambda _: OTHER)))
    def test_nothing_is_lost_that_waited(self, events: list[Event]) -> None:
        if ROUND in said(events):
            return
        assert told(through(*([event] for event in events))) == told(events)

    def test_a_long_text_is_looked_through_to_its_end(self) -> None:
        long = "word " * 10_000
        assert said(through([TextDelta(f"{long}{KEY}{long}sk-ca")], [TextDelta("nary-0123")])) == (
            f"{long}***{long}***"
        )


def test_it_does_not_show_what_it_keeps_back() -> None:
    mask = StreamMask()
    mask.feed([TextDelta("sk-canary-012")])
    assert "canary" not in repr(mask)
    assert "canary" not in str(mask)

"""Where a stream is joined: frames with equal ids, and frames that are sent twice."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from agentnb.event import RunStarted, TextDelta
from agentnb.platforms.langgraph.reader import START, Chain, Position, Reader
from agentnb.plugin import RunRequest, ServerSentEvent


def frame(time: int, text: str, number: int = 0) -> ServerSentEvent:
    return ServerSentEvent("messages", text, f"{time}-{number}", None)


def test_frames_of_one_millisecond_are_counted() -> None:
    frames = [frame(1, "a"), frame(2, "ha"), frame(2, "ha"), frame(2, "ha"), frame(3, "b")]
    position = Position()
    assert position.unread(frames[:3]) == frames[:3]
    assert position.join() == "1-0"
    assert position.unread(frames[1:]) == frames[3:]


def test_the_first_frames_are_joined_from_the_start() -> None:
    position = Position()
    position.unread([frame(1, "a")])
    assert position.join() == START
    assert position.unread([frame(1, "a"), frame(1, "a")]) == [frame(1, "a")]


def test_a_frame_that_may_be_sent_twice_is_doubtful() -> None:
    position = Position()
    position.join()
    assert position.unread([frame(1, "a"), frame(2, "ha")]) == [frame(1, "a"), frame(2, "ha")]
    assert position.unread([frame(2, "ha"), frame(2, "x"), frame(5, "c")]) == []
    assert position.is_doubtful
    assert position.join() == "1-0"
    # Joined later than all of them, they come once.
    rest = [frame(2, "ha"), frame(2, "ha"), frame(2, "x"), frame(5, "c")]
    assert position.unread(rest) == rest[1:]


def test_a_clock_that_is_set_back_loses_no_frame() -> None:
    frames = [frame(5, "a"), frame(3, "b"), frame(6, "c")]
    assert Position().unread(frames) == frames


def test_frames_without_ids_are_not_known_again() -> None:
    position = Position()
    frames = [ServerSentEvent("messages", "a", "", None)] * 2
    assert position.unread(frames) == frames
    assert not position.is_known


def test_no_frame_is_lost_or_doubled() -> None:
    """As the development server sends: what it stored, and what arose since the stream was joined.

    The latter begins with frames that arose while the former was sent.
    """
    for seed in range(1000):
        _check(seed)


def _check(seed: int) -> None:
    choices = Random(seed)
    time, frames = 0, list[ServerSentEvent]()
    for _ in range(choices.randint(1, 40)):
        time += choices.choice((0, 0, 1, 3))
        frames.append(frame(time, choices.choice(("ha", "ha", "x"))))
    position, got = Position(), list[ServerSentEvent]()
    # The time of the last frame that the client received, which has passed when it joins again.
    sent, latest = frames if choices.random() < 0.5 else [], -1
    while True:
        for batch in _batches(sent, choices):
            got += position.unread(batch)
            latest = max(latest, *map(_time, batch))
            if position.is_doubtful:
                break
        if len(got) >= len(frames) and not position.is_doubtful:
            break
        last = -1 if (after := position.join()) == START else int(after.removesuffix("-0"))
        known = sum(_time(each) <= latest for each in frames)
        joined = choices.randint(known, len(frames))
        stored = choices.randint(joined, len(frames))
        sent = [each for each in frames[:stored] if _time(each) > last] + frames[joined:]
    assert got == frames, seed


def _time(sent: ServerSentEvent) -> int:
    return int(sent.id.removesuffix("-0"))


def _batches(frames: Sequence[ServerSentEvent], choices: Random) -> list[list[ServerSentEvent]]:
    """Return the frames in batches, half of the time not all of them."""
    end = choices.choice((len(frames), choices.randint(0, len(frames))))
    found: list[list[ServerSentEvent]] = []
    start = 0
    while start < end:
        size = choices.randint(1, 3)
        found.append(list(frames[start : min(start + size, end)]))
        start += size
    return found


def test_events_that_were_delivered_are_not_returned() -> None:
    delivered = [RunStarted(run_id="r"), TextDelta("a")]
    reader = Reader(Chain("t", ["r"]), RunRequest(agent="a", prompt="q"), delivered)
    assert reader.new([RunStarted(run_id="r")]) == []
    assert reader.new([TextDelta("a"), TextDelta("b")]) == [TextDelta("b")]
    assert reader.new([TextDelta("c")]) == [TextDelta("c")]


def test_other_events_than_those_delivered() -> None:
    reader = Reader(Chain("t", ["r"]), RunRequest(agent="a", prompt="q"), [TextDelta("a")])
    assert reader.new([TextDelta("b")]) is None

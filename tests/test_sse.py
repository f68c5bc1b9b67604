"""The decoder, held to the standard by data, by a reference, and by what it costs."""

from __future__ import annotations

import base64
import itertools
import json
import re
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentnb.errors import EventTooLargeError
from agentnb.sse import Decoder, ServerSentEvent
from tests.cases import cases

CASES: list[dict[str, Any]] = [
    case
    for case in json.loads(
        (Path(__file__).parent / "conformance" / "sse_cases.json").read_text("utf-8")
    )["cases"]
    if case["outcome"] == "events"
]


def bytes_of(case: dict[str, Any]) -> list[bytes]:
    return [base64.b64decode(chunk) for chunk in case["chunks_b64"]]


def chunkings(given_chunks: list[bytes]) -> Iterator[list[bytes]]:
    whole = b"".join(given_chunks)
    yield given_chunks
    yield [whole]
    for size in (1, 2, 3, 7):
        yield sliced(whole, size)
    if len(whole) <= 1_000:
        for cut in range(1, len(whole)):
            yield [whole[:cut], whole[cut:]]


def sliced(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def decode(chunks: Iterable[bytes], decoder: Decoder | None = None) -> list[ServerSentEvent]:
    decoder = decoder or Decoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


@cases("case", {case["name"]: case for case in CASES})
def test_conformance(case: dict[str, Any]) -> None:
    """Every case, however it is chunked, and all of it before the end of the stream."""
    for chunks in chunkings(bytes_of(case)):
        check(case, chunks, Decoder())


IN_MID_STREAM = [case for case in CASES if not bytes_of(case)[0].startswith(b"\xef")]


@cases("case", {case["name"]: case for case in IN_MID_STREAM})
def test_conformance_line_by_line(case: dict[str, Any]) -> None:
    """Blocks that stay open for long are read in another way, which must come to the same."""
    for chunks in chunkings(bytes_of(case)):
        decoder = Decoder()
        assert decoder.feed(b":" + b"x" * 2_000) == []
        check(case, [b"\n", *chunks], decoder)


def check(case: dict[str, Any], chunks: list[bytes], decoder: Decoder) -> None:
    expected = case["expected"]
    events = [event._asdict() for event in decode(chunks, decoder)]
    if expected.get("retry_any"):
        events = [{**event, "retry": None} for event in events]
    else:
        assert decoder.retry == expected["reconnection_time_ms"], chunks
    assert events == expected["events"], chunks
    assert decoder.last_event_id == expected["last_event_id"], chunks


def reference(stream: bytes) -> list[ServerSentEvent]:
    """The standard's own words as code, for a whole stream: slow, and plain to check."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    *lines, _unfinished = re.split("\r\n|\n|\r", text)
    events: list[ServerSentEvent] = []
    data = kind = last_id = id_buffer = ""
    retry: int | None = None
    for line in lines:
        name, colon, value = line.partition(":")
        value = value[1:] if colon and value.startswith(" ") else value
        if not line:
            last_id = id_buffer
            if data:
                events.append(ServerSentEvent(kind or "message", data[:-1], last_id, retry))
            data, kind, retry = "", "", None
        elif name == "data":
            data += value + "\n"
        elif name == "event":
            kind = value
        elif name == "id" and "\0" not in value:
            id_buffer = value
        elif name == "retry" and re.fullmatch("[0-9]+", value):
            retry = int(value)
    return events


FIELDS = [b"data", b"data:", b"data: ", b"event: ", b"id: ", b"id", b"retry: ", b":"]
VALUES = [b" ", b"5", b"x", b"\0", b"\xff", b"\xef\xbb\xbf", "é😀\u2028\x85".encode(), b"y" * 1_100]
ENDS = [b"\n", b"\n\n", b"\r", b"\r\n", b"\r\n\r\n"]
WORDS = st.sampled_from(FIELDS + VALUES + ENDS)


@given(
    stream=st.lists(WORDS, max_size=40).map(b"".join),
    cuts=st.lists(st.integers(0, 200), max_size=10),
)
@example(stream=b"\xef\xbb\xbf\xef\xbb\xbfdata: x\n\ndata: y\r\r\ndata: z\n\r\n", cuts=[1, 2, 4])
def test_any_stream_in_any_chunks(stream: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    chunks = [stream[a:b] for a, b in itertools.pairwise(edges)]
    wanted = reference(stream)
    assert decode(chunks) == wanted
    assert decode(sliced(stream, 1)) == wanted
    # The cap is never in the way of what is smaller, and its steps are just further chunks.
    assert decode([stream], Decoder(max_event_bytes=max(len(stream), 1))) == wanted


@pytest.mark.parametrize("end", [b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r", b"\r\n\n", b"\n\r\n"])
def test_an_event_is_out_with_the_last_byte_of_its_blank_line(end: bytes) -> None:
    decoder = Decoder()
    for number in range(3):
        # A CRLF is two bytes: its CR ends the line, and the LF after it changes nothing.
        done = len(end) - 1 if end.endswith(b"\r\n") else len(end)
        event = b"data: %d" % number + end
        head, rest = event[: len(event) - len(end) + done], event[len(event) - len(end) + done :]
        out = [decoder.feed(bytes([byte])) for byte in head]
        assert out[:-1] == [[]] * (len(out) - 1)
        assert [e.data for e in out[-1]] == [str(number)]
        assert decode([rest], decoder) == []


def test_line_separators_of_unicode_are_not_lines() -> None:
    text = "a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g"
    assert decode([f"data: {text}\n\n".encode()])[0].data == text


def test_an_event_is_a_named_tuple() -> None:
    (event,) = decode([b"event: tick\nid: 7\nretry: 20\ndata: a\ndata: b\n\n"])
    assert event == ServerSentEvent(event="tick", data="a\nb", id="7", retry=20)
    kind, data, last_id, retry = event
    assert (kind, data, last_id, retry) == ("tick", "a\nb", "7", 20)


@pytest.mark.parametrize(
    ("sent", "retry", "seconds"),
    [
        (b"", None, None),
        (b"0", 0, 0.5),
        (b"499", 499, 0.5),
        (b"3000", 3_000, 3.0),
        (b"60001", 60_001, 60.0),
        (b"007", 7, 0.5),
        (b"-5", None, None),
        (b"1e3", None, None),
    ],
)
def test_the_reconnection_time_is_kept_within_reason(
    sent: bytes, retry: int | None, seconds: float | None
) -> None:
    decoder = Decoder()
    assert decoder.feed(b"retry: " + sent) == []
    assert decoder.retry is None
    decoder.feed(b"\n")
    assert (decoder.retry, decoder.reconnect_after) == (retry, seconds)


@pytest.mark.parametrize("zeros", [b"", b"0" * 5_000])
def test_a_reconnection_time_of_thousands_of_digits(zeros: bytes) -> None:
    decoder = Decoder()
    (event,) = decoder.feed(b"data: x\nretry: " + zeros + b"9" * 5_000 + b"\n\n")
    assert event.data == "x"
    assert decoder.reconnect_after == 60.0


def test_asking_for_the_retry_in_mid_block_changes_nothing() -> None:
    stream = b"id: 1\nretry: 9\nevent: a\ndata: x\n\ndata: y\n\n"
    decoder = Decoder()
    events: list[ServerSentEvent] = []
    for byte in stream:
        events += decoder.feed(bytes([byte]))
        assert decoder.retry in (None, 9)
    assert events == decode([stream])


LIMIT = 4_096


@pytest.mark.parametrize(
    "too_large",
    [
        b"data: " + b"x" * 2 * LIMIT,  # a line without end
        b":" + b"x" * 2 * LIMIT,
        b"x" * 2 * LIMIT + b"\n",
        b"data: abcdefg\n" * LIMIT,  # an event without end
        b"data\n" * (LIMIT + 2),
        b"event: " + b"e" * (LIMIT // 2) + b"\nid: " + b"i" * (LIMIT // 2) + b"\ndata: x\n",
    ],
    ids=["data", "comment", "unknown", "lines", "empty-lines", "fields"],
)
@pytest.mark.parametrize("size", [1, 64, 100_000])
def test_what_is_too_large_is_an_error_and_loses_nothing_before_it(
    too_large: bytes, size: int
) -> None:
    decoder = Decoder(max_event_bytes=LIMIT)
    events: list[ServerSentEvent] = []
    stream = b"data: 1\n\ndata: 2\n\n" + too_large + b"\n\ndata: 3\n\n"

    def feed_all() -> None:
        for chunk in sliced(stream, size):
            events.extend(decoder.feed(chunk))
        events.extend(decoder.feed(b""))

    with pytest.raises(EventTooLargeError, match="larger than 4096 bytes") as caught:
        feed_all()
    assert caught.value.limit == LIMIT
    assert [event.data for event in events] == ["1", "2"]
    with pytest.raises(EventTooLargeError):
        decoder.feed(b"data: 4\n\n")


@pytest.mark.parametrize("size", [1, 64, 100_000])
@pytest.mark.parametrize("head", [b"data:", b"data: ", b":", b": c\ndata: "])
def test_what_is_as_large_as_the_cap_passes(head: bytes, size: int) -> None:
    line = head + b"x" * (LIMIT - len(head.rpartition(b"\n")[2]))
    wanted = reference(line + b"\n\n")
    assert decode(sliced(line + b"\n\n", size), Decoder(max_event_bytes=LIMIT)) == wanted


def test_comments_for_ever_cost_nothing() -> None:
    decoder = Decoder(max_event_bytes=LIMIT)
    for _ in range(LIMIT):
        assert decoder.feed(b": still here\n") == []
    assert decoder.feed(b"data: x\n\n")[0].data == "x"


@pytest.mark.parametrize("limit", [0, -1])
def test_a_cap_below_one_byte_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Decoder(max_event_bytes=limit)


BIG = 10 * 2**20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stream", "size"),
    [
        (b"data: " + b"x" * BIG + b"\n\n", 64),
        (b"data: some text\n" * 200_000 + b"\n", 64),
        (b"data: some text\n" * 200_000 + b"\n", 2**24),
        (b"data: some text\r\n" * 200_000 + b"\r\n", 1_000),
        (b"data: " + "é".encode() * (BIG // 2) + b"\n\n", 64),
        (b"data: " + b"x" * BIG + b"\n\n", 2**24),
    ],
    ids=["one-line", "lines", "lines-at-once", "crlf", "utf-8", "one-line-at-once"],
)
def test_large_events_take_memory_below_four_times_their_size(stream: bytes, size: int) -> None:
    """Also shows that they end: at quadratic cost each of these would take many minutes."""
    decoder = Decoder(max_event_bytes=len(stream))
    chunks = sliced(stream, size)
    # Tracing every allocation is slow; the bytes themselves are allocated before it starts.
    tracemalloc.start()
    try:
        events = decode(chunks, decoder)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert events == reference(stream)
    assert peak < 4 * len(stream)

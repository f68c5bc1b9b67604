"""Each fault as it is on the wire, seen by plain sockets."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from agentnb.sandbox import Sandbox
from tests.sandbox.rawclient import PLATFORMS, Answer, post, stream

EIGHT = {"deltas": 8}
# An event of a stream's end, by which a client knows that the run is over.
ENDINGS = {
    "seekr": '"type":"end_node"',
    "runagent": "event: done",
    "operativus": '"event":"STOP"',
    "runtools": "event: complete",
}


@pytest.fixture(params=PLATFORMS)
def platform(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def ask(sandbox: Sandbox, platform: str) -> Callable[..., Answer]:
    def asked(fault: str | None = None, told: dict[str, Any] = EIGHT, **more: Any) -> Answer:
        return stream(sandbox, platform, told, fault=fault, **more)

    return asked


Ask = Callable[..., Answer]


def said(answer: Answer) -> list[int]:
    """Return the numbers of the pieces that came, in their order, from whichever platform."""
    pieces: list[int] = []
    for frame in answer.frames:
        data = frame.partition("data: ")[2]
        try:
            value = json.loads(data)
        except ValueError:
            continue
        for key in ("text", "content", "data"):
            text = value.get(key)
            if isinstance(text, str) and text.strip().isdecimal():
                pieces.append(int(text))
    return pieces


def test_without_a_fault_all_is_well(ask: Ask, platform: str) -> None:
    answer = ask()
    assert (answer.status, answer.end, answer.whole) == (200, "end", True)
    assert said(answer) == list(range(8))
    assert ENDINGS[platform] in answer.frames[-1]


# --- the connection ends ---


@pytest.mark.parametrize("after", [0, 1, 200, 333])
@pytest.mark.parametrize(("how", "end"), [("reset", "reset"), ("close", "end"), ("short", "end")])
def test_a_connection_ends_after_so_many_bytes(ask: Ask, after: int, how: str, end: str) -> None:
    answer = ask(f"drop after={after} how={how}")
    assert answer.status == 200
    assert (len(answer.body), answer.end, answer.whole) == (after, end, False)
    assert ("content-length" in answer.headers) is (how == "short")


@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_body_that_is_shorter_comes_whole(ask: Ask, how: str) -> None:
    answer = ask(f"drop after=100000 how={how}")
    assert (said(answer), answer.end, answer.whole) == (list(range(8)), "end", True)


def test_a_body_that_is_shorter_is_still_less_than_was_promised(ask: Ask) -> None:
    answer = ask("drop after=100000 how=short")
    assert (said(answer), answer.end, answer.whole) == (list(range(8)), "end", False)


def test_a_connection_ends_after_so_many_events(ask: Ask) -> None:
    answer = ask("drop events=4")
    assert (len(answer.frames), answer.end, answer.whole) == (4, "reset", False)
    assert answer.text.endswith("\n\n")


def test_a_length_is_promised_that_many_events_do_not_keep(ask: Ask) -> None:
    answer = ask("drop events=60 how=short", {"deltas": 90})
    assert (len(answer.frames), answer.end, answer.whole) == (60, "end", False)


@pytest.mark.parametrize(("how", "end"), [("reset", "reset"), ("close", "end")])
def test_a_connection_ends_before_any_answer_and_nothing_is_done(
    sandbox: Sandbox, how: str, end: str
) -> None:
    before = post(sandbox, "runtools", "/v1/run?limit=1000", method="GET").json["data"]
    answer = stream(sandbox, "runtools", EIGHT, fault=f"drop how={how}")
    assert (answer.status, answer.end, answer.reads) == (0, end, 0)
    assert post(sandbox, "runtools", "/v1/run?limit=1000", method="GET").json["data"] == before


def test_an_answer_that_is_no_stream_can_be_cut_too(sandbox: Sandbox) -> None:
    body = {"agent": "echo", "prompt": "hello", "stream": False}
    answer = post(sandbox, "runtools", "/v1/run", body, fault="drop after=20 how=short")
    assert (answer.body[:9], len(answer.body), answer.whole) == (b'{"data":{', 20, False)


def test_a_body_ends_as_it_should_before_the_run_does(ask: Ask, platform: str) -> None:
    answer = ask("end events=5")
    assert (len(answer.frames), answer.end, answer.whole) == (5, "end", True)
    assert ENDINGS[platform] not in answer.text


def test_a_body_ends_as_it_should_in_the_middle_of_an_event(ask: Ask) -> None:
    answer = ask("end after=250")
    assert (len(answer.body), answer.end, answer.whole) == (250, "end", True)


# --- silence ---


def test_silence_after_so_many_events(ask: Ask) -> None:
    def three(answer: Answer) -> bool:
        return answer.text.count("\n\n") == 3

    answer = ask("stall events=3", silent=three)
    assert (len(answer.frames), answer.end, answer.whole) == (3, "patience", False)


def test_silence_after_so_many_bytes(ask: Ask) -> None:
    def hundred(answer: Answer) -> bool:
        return len(answer.body) == 100

    answer = ask("stall after=100", silent=hundred)
    assert (len(answer.body), answer.end) == (100, "patience")


def test_silence_before_the_head(ask: Ask) -> None:
    answer = ask("stall", grace_timer=0.4)
    assert (answer.reads, answer.end) == (0, "patience")


@pytest.mark.parametrize("where", ["", "events=3", "after=100"])
def test_silence_for_a_while(ask: Ask, where: str) -> None:
    begin = time.monotonic()
    answer = ask(f"stall seconds=0.2 {where}")
    assert time.monotonic() - begin >= 0.2
    assert (said(answer), answer.whole) == (list(range(8)), True)


def test_a_head_comes_byte_by_byte(ask: Ask) -> None:
    begin = time.monotonic()
    answer = ask("slow-head seconds=0.5")
    assert time.monotonic() - begin >= 0.5
    # What a busy machine reads late, it reads together.
    assert answer.reads > 10
    assert (said(answer), answer.whole) == (list(range(8)), True)


@pytest.mark.parametrize(("where", "events"), [("", 0), ("events=0", 0), ("events=3", 3)])
def test_comments_for_ever(ask: Ask, where: str, events: int) -> None:
    answer = ask(f"drip seconds=0.002 {where}", enough=1600)
    assert (len(answer.frames), answer.end) == (events, "enough")
    assert answer.text.count(": nothing new\n\n") > 20


# --- what is sent ---


def test_the_events_under_another_content_type(ask: Ask) -> None:
    answer = ask("type text/html")
    assert answer.headers["content-type"] == "text/html"
    assert (said(answer), answer.whole) == (list(range(8)), True)


def test_one_event_has_half_of_its_data(ask: Ask) -> None:
    well, answer = ask(), ask("malformed events=5")
    assert len(answer.frames) == len(well.frames)
    broken = answer.frames[5].partition("data: ")[2]
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(broken)
    others = [f for place, f in enumerate(answer.frames) if place != 5]
    assert all(json.loads(f.partition("data: ")[2]) for f in others)


@pytest.mark.parametrize(
    ("of", "error"),
    [
        ("seekr", {"type": "error", "error": "It broke.", "code": "BAD", "meta_data": {}}),
        ("runagent", {"error": "It broke.", "code": "BAD", "retry_after": 2.0}),
        ("operativus", {"event": "ERROR", "data": "It broke."}),
        ("runtools", {"type": "error", "message": "It broke.", "code": "BAD"}),
    ],
)
def test_the_run_fails_in_the_platforms_own_words(
    sandbox: Sandbox, of: str, error: dict[str, Any]
) -> None:
    answer = stream(
        sandbox,
        of,
        {"deltas": 50, "delay_ms": 20},
        fault="error events=4 message='It broke.' code=BAD retry_after=2",
    )
    assert (len(answer.frames), answer.end, answer.whole) == (5, "end", True)
    last = json.loads(answer.frames[-1].partition("data: ")[2])
    last.pop("timestamp", None)
    assert last == error


@pytest.mark.parametrize(("coding", "bits"), [("gzip", 31), ("deflate", 15)])
def test_a_compressed_body_shows_each_event_when_it_is_flushed(
    ask: Ask, coding: str, bits: int
) -> None:
    def unpacked(answer: Answer) -> str:
        return zlib.decompressobj(wbits=bits).decompress(answer.body).decode()

    def five(answer: Answer) -> bool:
        return unpacked(answer).count("\n\n") == 5

    answer = ask(f"compress {coding}; stall events=5", silent=five)
    assert answer.headers["content-encoding"] == coding
    text = unpacked(answer)
    assert text.endswith("\n\n")
    assert len(text.split("\n\n")) == 6
    whole = ask(f"compress {coding}")
    decoder = zlib.decompressobj(wbits=bits)
    text = decoder.decompress(whole.body).decode()
    assert (decoder.eof, whole.whole) == (True, True)
    assert all(f"{number:04d}" in text for number in range(8))


def test_bytes_of_a_compressed_body_are_counted_compressed(ask: Ask) -> None:
    answer = ask("compress; drop after=90")
    assert (len(answer.body), answer.whole) == (90, False)


def test_an_event_comes_twice(ask: Ask) -> None:
    well, answer = ask(), ask("duplicate events=5")
    assert len(answer.frames) == len(well.frames) + 1
    assert answer.frames[5] == answer.frames[6]
    twice = ask("duplicate")
    assert twice.frames[::2] == twice.frames[1::2]
    assert said(twice) == [n for number in range(8) for n in (number, number)]


def test_events_come_out_of_order(ask: Ask) -> None:
    place = next(i for i, f in enumerate(ask().frames) if "0003" in f)
    answer = ask(f"reorder events={place}")
    assert said(answer) == [0, 1, 2, 4, 3, 5, 6, 7]
    pairs = ask("reorder")
    assert sorted(said(pairs)) == list(range(8))
    assert said(pairs) != list(range(8))


def test_the_last_event_is_not_lost_where_none_follows(ask: Ask) -> None:
    count = len(ask().frames)
    assert len(ask(f"reorder events={count - 1}").frames) == count


# --- refused ---


@pytest.mark.parametrize("status", [408, 429, 500, 503, 599])
def test_an_error_in_the_platforms_own_form(ask: Ask, platform: str, status: int) -> None:
    answer = ask(f"status {status} retry_after=7")
    assert (answer.status, answer.headers["retry-after"]) == (status, "7")
    body = answer.json
    message = f"The sandbox was set to answer {status}."
    if platform == "operativus":
        assert (body["status"], body["detail"]) == (status, message)
        assert answer.headers["content-type"] == "application/problem+json"
    elif platform == "seekr":
        assert (body["status"], body["message"]) == (status, message)
    else:
        assert body["error"]["message"] == message
    if platform == "runagent":
        assert (body["error"]["status"], body["error"]["retry_after"]) == (status, 7)


def test_retry_after_is_sent_as_it_is_written(ask: Ask) -> None:
    for text in ("Wed, 21 Oct 2026 07:28:00 GMT", "soon", "-1"):
        assert ask(f"status 503 'retry_after={text}'").headers["retry-after"] == text
    assert "retry-after" not in ask("status 503").headers


@pytest.mark.parametrize("channel", ["fault", "parameter"])
def test_a_wrong_script_is_an_error_that_says_why(ask: Ask, platform: str, channel: str) -> None:
    answer = ask(**{channel: "drop aftr=3"})
    assert answer.status == (400 if platform in ("operativus", "runtools") else 422)
    assert "drop: there is no setting 'aftr'. Did you mean 'after'?" in answer.text


def test_a_script_that_is_no_text_is_refused(sandbox: Sandbox) -> None:
    asks: list[tuple[str, str, dict[str, Any]]] = [
        ("runagent", "/v1/agents/echo/stream", {"query": "x", "parameters": {"fault": 1}}),
        ("runtools", "/v1/run", {"agent": "echo", "prompt": "x", "metadata": {"fault": {}}}),
        (
            "operativus",
            "/api/agents/echo/runs/stream",
            {"message": "x", "options": {"fault": ["drop"]}},
        ),
    ]
    for platform, path, body in asks:
        answer = post(sandbox, platform, path, body)
        assert answer.status in (400, 422)
        assert "The script of faults is not a string." in answer.text

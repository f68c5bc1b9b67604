"""When a stream is taken up again: counts, pauses and bounds, without a clock."""

from __future__ import annotations

import pytest

from agentnb._http.retry import Retries
from agentnb.errors import (
    AgentnbError,
    AuthenticationError,
    ConnectionFailedError,
    ContentTypeError,
    DeadlineError,
    EventTooLargeError,
    NotFoundError,
    PlatformError,
    RateLimitError,
    RequestError,
    ServerError,
    StreamCutError,
)
from agentnb.run.reconnect import Backoff, ReconnectPolicy, is_disconnect, is_retryable

CUT = StreamCutError("It broke off.")


def trying(retries: Retries | None = None) -> ReconnectPolicy:
    return ReconnectPolicy(retries or Retries(), Backoff(jitter=lambda: 1.0))


def late(deadline: str) -> DeadlineError:
    return DeadlineError("Too late.", deadline=deadline, seconds=1.0)


class TestPauses:
    def test_each_is_twice_the_last_up_to_eight_seconds(self) -> None:
        tries = trying(Retries(reconnects=7))
        found = [tries.delay(CUT) for _ in range(8)]
        assert found == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, None]

    def test_many_attempts_overflow_nothing(self) -> None:
        tries = trying(Retries(reconnects=10_000, reconnect_timeout=None))
        while (pause := tries.delay(CUT)) is not None:
            assert pause <= 8.0
        assert tries.total == 100

    def test_jitter_only_shortens(self) -> None:
        tries = ReconnectPolicy(Retries(reconnects=50, reconnect_timeout=None), Backoff())
        pauses = [tries.delay(CUT) for _ in range(50)]
        assert all(pause is not None and pause <= 8.0 for pause in pauses)
        assert len(set(pauses[10:])) > 1

    def test_after_a_clean_end_the_first_is_at_once(self) -> None:
        tries = trying()
        assert tries.delay(None) == 0.0
        # Not each time: a server may end every stream at once.
        tries.attempted(0.1, progressed=False)
        assert tries.delay(None) == 1.0

    def test_of_a_run_that_has_ended_it_is_short(self) -> None:
        tries = trying()
        tries.delay(None)
        for _ in range(4):
            tries.attempted(0.1, progressed=False)
            assert tries.delay(None, has_ended=True) == 0.1
        assert tries.delay(None, has_ended=True) is None
        # A server that fails is spared as ever.
        tries = trying()
        assert [tries.delay(CUT, has_ended=True) for _ in range(2)] == [0.5, 1.0]

    @pytest.mark.parametrize("error", [None, CUT, late("idle")])
    def test_after_something_came_it_is_short(self, error: AgentnbError | None) -> None:
        tries = trying()
        tries.delay(CUT)
        for _ in range(3):
            tries.attempted(0.1, progressed=True)
            assert tries.delay(error) == 0.1
        # Once nothing comes, each is longer again.
        for seconds in (1.0, 2.0):
            tries.attempted(0.1, progressed=False)
            assert tries.delay(error) == seconds

    def test_what_the_server_wishes_wins_after_something_came_too(self) -> None:
        tries = trying()
        tries.delay(CUT)
        tries.attempted(0.1, progressed=True)
        assert tries.delay(StreamCutError("It broke off.", reconnect_after=3.0)) == 3.0

    def test_questions_are_no_news(self) -> None:
        tries = trying()
        tries.delay(CUT)
        tries.attempted(0.1, progressed=False)
        assert tries.poll_delay() == 1.0
        assert tries.delay(CUT) == 0.5

    @pytest.mark.parametrize(
        "error",
        [
            RateLimitError("Slow down.", status=429, retry_after=3),
            ServerError("Later.", status=503, retry_after=3.0),
            StreamCutError("It broke off.", reconnect_after=3.0),
        ],
    )
    def test_what_the_server_wishes_wins(self, error: AgentnbError) -> None:
        assert trying().delay(error) == 3.0

    @pytest.mark.parametrize(
        "error",
        [
            ServerError("At once.", status=503, retry_after=0.0),
            StreamCutError("It broke off.", reconnect_after=0.0),
        ],
    )
    def test_a_server_that_would_be_asked_at_once(self, error: AgentnbError) -> None:
        tries = trying(Retries(reconnects=4))
        assert [tries.delay(error) for _ in range(5)] == [0.5, 1.0, 2.0, 4.0, None]

    def test_a_wish_that_nobody_waits_for(self) -> None:
        error = RateLimitError("Tomorrow.", status=429, retry_after=86_400)
        assert trying(Retries(reconnect_timeout=None)).delay(error) is None


class TestBounds:
    def test_attempts_in_a_row(self) -> None:
        tries = trying(Retries(reconnects=2))
        assert tries.delay(CUT) is not None
        assert tries.delay(CUT) is not None
        assert tries.delay(CUT) is None
        assert tries.attempts == 2

    def test_an_event_begins_the_count_anew(self) -> None:
        tries = trying(Retries(reconnects=2))
        assert tries.delay(CUT) == 0.5
        for _ in range(20):
            tries.attempted(1.0, progressed=False)
            assert tries.delay(CUT) == 1.0
            tries.attempted(1.0, progressed=True)
            assert tries.delay(CUT) == 0.1
        assert tries.total == 41

    def test_one_event_for_each_connection_comes_to_an_end(self) -> None:
        tries = trying(Retries(reconnects=5, reconnect_timeout=None))
        made = 0
        while tries.delay(None) is not None:
            tries.attempted(0.0, progressed=True)
            made += 1
        assert made == 100
        # They are bounded in number, and not made without a break.
        assert tries.spent > 9.0

    def test_none_at_all(self) -> None:
        tries = trying(Retries(reconnects=0))
        assert tries.delay(CUT) is None
        assert tries.delay(None) is None
        assert tries.poll_delay() is None

    def test_time_goes_into_pauses_and_into_attempts_that_brought_nothing(self) -> None:
        tries = trying(Retries(reconnects=9, reconnect_timeout=10.0))
        assert tries.delay(CUT) == 0.5
        tries.attempted(8.0, progressed=False)
        assert tries.spent == 8.5
        assert tries.delay(CUT) == 1.0
        # The next would be 2 s, and half a second is left.
        tries.attempted(0.0, progressed=False)
        assert tries.delay(CUT) is None

    def test_a_stream_that_goes_on_costs_nothing(self) -> None:
        tries = trying(Retries(reconnect_timeout=10.0))
        assert tries.delay(CUT) == 0.5
        tries.attempted(3600.0, progressed=True)
        assert tries.spent == 0.5

    def test_questions_are_ever_rarer_and_end_with_the_time(self) -> None:
        tries = trying(Retries(reconnect_timeout=60.0))
        pauses: list[float] = []
        while (pause := tries.poll_delay()) is not None:
            pauses.append(pause)
        assert pauses == sorted(pauses)
        assert pauses[0] == 1.0
        assert max(pauses) <= 15.0
        assert 45.0 < sum(pauses) <= 60.0


@pytest.mark.parametrize(
    ("error", "began", "broken"),
    [
        (CUT, True, True),
        (CUT, False, False),
        (ConnectionFailedError("reset"), True, True),
        (ConnectionFailedError("refused"), False, False),
        (late("idle"), True, True),
        (late("idle"), False, False),
        (late("connect"), False, False),
        (late("first_event"), True, False),
        (late("progress"), True, False),
        (late("total"), True, False),
        (ServerError("no", status=500), True, False),
        (EventTooLargeError("big", limit=1), True, False),
        (ValueError("a fault"), True, False),
    ],
)
def test_what_counts_as_broken_off(error: Exception, began: bool, broken: bool) -> None:
    assert is_disconnect(error, started=began) is broken


@pytest.mark.parametrize(
    ("error", "broken"),
    [(CUT, True), (late("idle"), True), (ConnectionFailedError("refused"), False)],
)
def test_of_a_run_that_was_there_before(error: Exception, broken: bool) -> None:
    assert is_disconnect(error, started=False, known=True) is broken


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (CUT, True),
        (ConnectionFailedError("refused"), True),
        (TimeoutError(), True),
        (late("connect"), True),
        (late("first_event"), True),
        (late("idle"), True),
        (late("progress"), False),
        (late("total"), False),
        (PlatformError("late", status=408), True),
        (RateLimitError("slow", status=429), True),
        (ServerError("no", status=503), True),
        (AuthenticationError("no", status=401), False),
        (NotFoundError("gone", status=404), False),
        (PlatformError("in the stream"), False),
        (RequestError("nothing to take it up by"), False),
        (ContentTypeError("a page", content_type="text/html"), False),
        (ValueError("a fault"), False),
    ],
)
def test_what_is_retryable(error: Exception, passes: bool) -> None:
    assert is_retryable(error) is passes

"""Servers that send Retry-After."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from agentnb.errors import RateLimitError, ServerError
from agentnb.platforms._bodies import parse_error_body
from tests.faults.retrying import JSON, THREE_TIMES, Notes, as_json, failing
from tests.http.conftest import MakeClient, Serve

pytestmark = pytest.mark.anyio


def at(seconds: float, *, now: datetime | None = None) -> str:
    return format_datetime((now or datetime.now(UTC)) + timedelta(seconds=seconds), usegmt=True)


LONG_AGO = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "body", "low", "high"),
    [
        ("Retry-After: 7", b"", 7, 7),
        ("Retry-After: 1.5", b"", 1.5, 1.5),
        ("Retry-After: 120", b"", 120, 120),
        ("Retry-After: IN-A-MINUTE", b"", 20, 60),
        # The server's clock is another one: what counts is how far apart its own two dates are.
        (f"Date: {at(0, now=LONG_AGO)}\nRetry-After: {at(30, now=LONG_AGO)}", b"", 30, 30),
        (JSON, b'{"error": {"retry_after": 9}}', 9, 9),
        (JSON, b'{"retry_after": "9"}', 9, 9),
        (f"{JSON}\nRetry-After: 7", b'{"retry_after": 9}', 7, 7),
        # What says "at once", and what says nothing: our own pause.
        ("Retry-After: 0", b"", 0.25, 0.5),
        ("Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", b"", 0.25, 0.5),
        ("Retry-After: soon", b"", 0.25, 0.5),
        ("Retry-After: -5", b"", 0.25, 0.5),
        ("Retry-After: 1e9", b"", 0.25, 0.5),
        ("Retry-After: NaN", b"", 0.25, 0.5),
        ("Retry-After: Wed, 99 Oct 9999 99:99:99 GMT", b"", 0.25, 0.5),
        (f"{JSON}\nRetry-After: soon", b'{"retry_after": "never"}', 0.25, 0.5),
        (JSON, b'{"retry_after": Infinity}', 0.25, 0.5),
        (JSON, b'{"retry_after": -1}', 0.25, 0.5),
        ("Date: yesterday\nRetry-After: IN-A-MINUTE", b"", 20, 60),
    ],
)
async def test_retry_after_is_honoured(
    serve: Serve, connect: MakeClient, headers: str, body: bytes, low: float, high: float
) -> None:
    headers = headers.replace("IN-A-MINUTE", at(60))
    server = await serve(failing(1, status="429 Slow Down", headers=headers, body=body))
    notes = Notes()
    with notes.request_options.applied():
        await as_json(connect(server.url, retries=THREE_TIMES, parse_error=parse_error_body))
    assert len(notes.slept) == 1
    assert low <= notes.slept[0] <= high


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ("Retry-After: 121", b""),
        (f"Date: {at(0, now=LONG_AGO)}\nRetry-After: {at(121, now=LONG_AGO)}", b""),
        (JSON, b'{"retry_after": 121}'),
        ("Retry-After: 999999999999", b""),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_too_long_a_retry_after_is_an_error(
    serve: Serve, connect: MakeClient, headers: str, body: bytes, status: int
) -> None:
    server = await serve(failing(9, status=f"{status} Later", headers=headers, body=body))
    notes = Notes()
    client = connect(server.url, retries=THREE_TIMES, parse_error=parse_error_body)
    error = await notes.error_of(as_json(client))
    assert isinstance(error, RateLimitError | ServerError)
    assert error.retry_after is not None
    assert f"Try again in {error.retry_after:.0f} s." in str(error)
    assert (len(server.requests), notes.slept) == (1, [])

"""Error responses and their exceptions."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, cast

import pytest

from agentnb._http import ErrorDetails
from agentnb._http.response import Response
from agentnb.errors import (
    AuthenticationError,
    BudgetExceededError,
    ContentTypeError,
    FieldProblem,
    InvalidRequestError,
    NotFoundError,
    PlatformError,
    RateLimitError,
    ServerError,
)
from tests.http.conftest import BOTH, Connection, MakeClient, Script, Serve

pytestmark = pytest.mark.anyio
TRANSPORTS = BOTH

JSON = "Content-Type: application/json"


def answering(body: bytes, *, status: str = "200 OK", headers: str = "") -> Script:
    async def script(c: Connection) -> None:
        while True:
            await c.request()
            await c.answer(body, status=status, headers=headers)

    return script


def parse(status: int, data: Any) -> ErrorDetails:
    """A platform's parser: one object with everything in it."""
    if not isinstance(data, dict) or "error" not in data:
        return ErrorDetails()
    body = cast("dict[str, Any]", data)
    fields = tuple(FieldProblem(f["at"], f["what"], "kind") for f in body.get("fields", ()))
    return ErrorDetails(fields=fields, **body["error"])


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (400, InvalidRequestError),
        (401, AuthenticationError),
        (402, BudgetExceededError),
        (403, AuthenticationError),
        (404, NotFoundError),
        (409, InvalidRequestError),
        (413, InvalidRequestError),
        (415, InvalidRequestError),
        (418, PlatformError),
        (422, InvalidRequestError),
        (429, RateLimitError),
        (500, ServerError),
        (503, ServerError),
        (599, ServerError),
    ],
)
async def test_each_status_has_its_class(
    serve: Serve, connect: MakeClient, status: int, cls: type[PlatformError]
) -> None:
    body = b'{"error": {"message": "Not like this", "code": "no", "request_id": "r-1"}}'
    server = await serve(answering(body, status=f"{status} X", headers=JSON))
    client = connect(server.url, parse_error=parse)
    for ask in (client.request("GET", "/"), client.stream("GET", "/").__aenter__()):
        with pytest.raises(PlatformError) as caught:
            await ask
        error = caught.value
        assert type(error) is cls
        to = f" to GET {server.url}/" if status == 404 else ""
        assert error.message == f"tested answered {status}{to}: Not like this."
        assert (error.status, error.code, error.request_id) == (status, "no", "r-1")
        assert error.excerpt == body.decode()
    assert server.connections == 1, "the connection of an error that was read is used again"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, "TESTED_API_KEY"),
        (403, "TESTED_API_KEY"),
        (404, "Check base_url and the ids that were given."),
        (429, "Try again in 8 s."),
        (307, "redirect to https://elsewhere.example, and redirects are not followed"),
    ],
)
async def test_hints(serve: Serve, connect: MakeClient, status: int, expected: str) -> None:
    headers = "Retry-After: 7.5\nLocation: https://elsewhere.example/x?token=t"
    server = await serve(answering(b"", status=f"{status} X", headers=headers))
    with pytest.raises(PlatformError) as caught:
        await connect(server.url).request("POST", "/", json={})
    assert expected in str(caught.value)
    assert "token" not in str(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"", "text/plain", "tested answered 502 (Bad Gateway)."),
        (
            b"upstream\r\n is  gone",
            "text/plain; charset=x",
            "tested answered 502: upstream is gone.",
        ),
        (b"<html>nginx</html>", "text/html", "tested answered 502 (Bad Gateway)."),
        (b"[1, 2", "application/json", "tested answered 502 (Bad Gateway)."),
        (b"[" * 100_000, "application/json", "tested answered 502 (Bad Gateway)."),
        (b'{"other": "shape"}', "application/problem+json", "tested answered 502 (Bad Gateway)."),
        (b"\xff\xfe", "text/plain", "tested answered 502: ��."),
        (b"x" * 1_000_000, "text/plain", f"tested answered 502: {'x' * 299}…"),
        (b"\x1b[31mred\0\x9b!", "text/plain", "tested answered 502: [31mred�!"),
    ],
    ids=["empty", "text", "html", "bad-json", "deep", "unknown", "not-utf8", "long", "control"],
)
async def test_error_bodies_without_details(
    serve: Serve, connect: MakeClient, body: bytes, content_type: str, message: str
) -> None:
    headers = f"Content-Type: {content_type}"
    server = await serve(answering(body, status="502 X", headers=headers))
    with pytest.raises(ServerError) as caught:
        await connect(server.url, parse_error=parse).request("GET", "/")
    assert str(caught.value) == message
    assert len(caught.value.excerpt) <= 2_000
    assert "\x1b" not in caught.value.excerpt


async def test_fields_are_named(serve: Serve, connect: MakeClient) -> None:
    fields = [{"at": f"body.f{n}", "what": "Field\nrequired"} for n in range(5)]
    body = json.dumps({"error": {}, "fields": fields}).encode()
    server = await serve(answering(body, status="422 X", headers=JSON))
    with pytest.raises(InvalidRequestError) as caught:
        await connect(server.url, parse_error=parse).request("GET", "/")
    assert caught.value.message == (
        "tested answered 422: body.f0: Field required; body.f1: Field required; "
        "body.f2: Field required; and 2 more."
    )
    assert len(caught.value.fields) == 5
    assert caught.value.fields[4] == FieldProblem("body.f4", "Field required", "kind")


@pytest.mark.parametrize("header", ["X-Request-ID", "Request-Id"])
async def test_the_request_id_of_the_headers(
    serve: Serve, connect: MakeClient, header: str
) -> None:
    server = await serve(answering(b"", status="500 X", headers=f"{header}: abc"))
    with pytest.raises(ServerError) as caught:
        await connect(server.url).request("GET", "/")
    assert caught.value.request_id == "abc"


def in_an_hour() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)


@pytest.mark.parametrize(
    ("sent", "low", "high"),
    [
        ("120", 120, 120),
        ("0", 0, 0),
        (" 1.5 ", 1.5, 1.5),
        # As a date, made when the test begins.
        ("in an hour", 3_000, 3_600),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("Wed, 21 Oct 2015 07:28:00", 0, 0),
        # The header is invalid, so the 9 s of the body count.
        ("soon", 9, 9),
        ("-5", 9, 9),
        ("1e3", 9, 9),
        ("NaN", 9, 9),
        ("inf", 9, 9),
        ("٣", 9, 9),
        ("9" * 400, 9, 9),
        ("Wed, 99 Oct 9999 99:99:99 GMT", 9, 9),
        ("", 9, 9),
    ],
)
async def test_retry_after(
    serve: Serve, connect: MakeClient, sent: str, low: float, high: float
) -> None:
    headers = f"Retry-After: {in_an_hour() if sent == 'in an hour' else sent}\n{JSON}"
    server = await serve(
        answering(b'{"error": {"retry_after": 9}}', status="429 X", headers=headers)
    )
    with pytest.raises(RateLimitError) as caught:
        await connect(server.url, parse_error=parse).request("GET", "/")
    assert caught.value.retry_after is not None
    assert low <= caught.value.retry_after <= high


async def test_success(serve: Serve, connect: MakeClient) -> None:
    server = await serve(
        answering(b' {"a": [1, "\xc3\xa9"]} ', status="201 Created", headers="X-A: b")
    )
    answer = await connect(server.url).request(
        "GET", "/", params={"n": 1, "none": None, "s": "a b&"}
    )
    assert (answer.status, answer.data) == (201, {"a": [1, "é"]})
    assert answer.headers["x-a"] == answer.headers["X-A"] == "b"
    assert server.requests[0].target in ("/?n=1&s=a+b%26", "/?n=1&s=a%20b%26")
    assert server.requests[0].headers["accept"] == "application/json"
    assert "content-type" not in server.requests[0].headers


@pytest.mark.parametrize("status", ["200 OK", "204 No Content"])
async def test_success_without_a_body(serve: Serve, connect: MakeClient, status: str) -> None:
    async def script(c: Connection) -> None:
        await c.request()
        length = "" if status.startswith("204") else "Content-Length: 0\r\n"
        await c.send(f"HTTP/1.1 {status}\r\n{length}\r\n".encode())

    server = await serve(script)
    assert (await connect(server.url).request("DELETE", "/")).data is None


@pytest.mark.parametrize("body", [b"<html>Please log in</html>", b"{", b"\xff", b"[" * 100_000])
async def test_success_that_is_not_json(serve: Serve, connect: MakeClient, body: bytes) -> None:
    server = await serve(answering(body, headers="Content-Type: text/html; charset=utf-8"))
    client = connect(server.url)

    async def as_stream(stream: Response) -> None:
        await stream.json()

    with pytest.raises(ContentTypeError, match="text/html where JSON was expected") as caught:
        await client.request("GET", "/")
    assert caught.value.content_type == "text/html; charset=utf-8"
    assert caught.value.excerpt == body.decode("utf-8", "replace")[:2_000]
    async with client.stream("GET", "/") as stream:
        with pytest.raises(ContentTypeError):
            await as_stream(stream)

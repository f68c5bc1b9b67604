"""Answers that repeat a key: it is taken out of what they say, and they remain what they are."""

from __future__ import annotations

import json
import traceback
from collections.abc import AsyncGenerator

import pytest

from agentnb._http import HttpClient
from agentnb.errors import ContentTypeError
from agentnb.redaction.secrets import remember_secret
from tests.platforms.scripted import Reply, ScriptedServer

pytestmark = pytest.mark.anyio

DIGITS = "8042137957"


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncGenerator[HttpClient, None]:
    remember_secret(DIGITS)
    made = HttpClient(server.url, name="platform")
    yield made
    await made.aclose()


async def test_a_key_of_digits_leaves_numbers_whole(
    server: ScriptedServer, client: HttpClient
) -> None:
    said = {"created": int(DIGITS), "text": f"your key: {DIGITS}", DIGITS: [DIGITS, 1.5, None]}
    server.on("GET /", Reply(json.dumps(said).encode()))
    found = (await client.request("GET", "/")).data
    assert found == {"created": int(DIGITS), "text": "your key: ***", "***": ["***", 1.5, None]}


async def test_a_key_in_escapes_is_found(server: ScriptedServer, client: HttpClient) -> None:
    escaped = "".join(f"\\u{ord(digit):04x}" for digit in DIGITS)
    server.on("GET /", Reply(f'{{"text": "{escaped}"}}'.encode()))
    assert (await client.request("GET", "/")).data == {"text": "***"}


@pytest.mark.parametrize("body", [f"Hello {DIGITS}", f'{{"key": "{DIGITS}"', "[" * 100_000])
async def test_what_is_no_json_is_reported_without_it(
    server: ScriptedServer, client: HttpClient, body: str
) -> None:
    server.on("GET /", Reply(body.encode()))
    with pytest.raises(ContentTypeError) as caught:
        await client.request("GET", "/")
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    # This test itself knows the key.
    told.stack[:] = [frame for frame in told.stack if frame.filename != __file__]
    assert DIGITS not in "".join(told.format())
    assert isinstance(caught.value.__cause__, ValueError)

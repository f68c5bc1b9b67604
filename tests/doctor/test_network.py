"""The way to a platform, on servers that are wrong in one thing each."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from agentnb.doctor.network import ProbeResponse, check_clock
from agentnb.sandbox import Sandbox
from tests.doctor.conftest import CANARY, Look
from tests.faults.rawserver import CERTIFICATE, Connection, running, unused_port, with_tls


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATIVUS_API_KEY", CANARY)


async def agents(c: Connection) -> None:
    while True:
        await c.request()
        await c.answer(b"[]", headers="Content-Type: application/json")


def test_a_port_that_refuses(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATIVUS_BASE_URL", f"http://127.0.0.1:{unused_port()}")
    found = look("operativus")
    assert found["connection"].level == "problem"
    assert "refused" in found["connection"].says
    assert "Nothing listens there" in found["connection"].hint
    assert "access" not in found, "what cannot be reached is not asked"


def test_a_name_that_has_no_address(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATIVUS_BASE_URL", "https://host.invalid")
    found = look("operativus")["connection"]
    assert found.level == "problem"
    assert found.says.startswith("host.invalid has no address")
    assert "DNS" in found.hint


def test_an_address_that_is_none(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("ftp://127.0.0.1", f"//{CANARY}", "somewhere", "https://[bad", "http://a:port"):
        monkeypatch.setenv("OPERATIVUS_BASE_URL", wrong)
        found = look("operativus")["connection"]
        assert found.level == "problem"
        assert found.says.startswith("The base_url of operativus is not an")
        assert "https://" in found.hint
        assert CANARY not in found.says


def test_a_self_signed_certificate(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(agents, tls=with_tls()) as server:
        monkeypatch.setenv("OPERATIVUS_BASE_URL", server.url)
        found = look("operativus")
    assert found["connection"].level == "problem"
    assert "certificate is not trusted (self" in found["connection"].says
    assert "SSL_CERT_FILE" in found["connection"].hint
    assert not server.requests, "nothing was sent to who could not be verified"


def test_the_way_out_that_the_hint_names(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    with running(agents, tls=with_tls()) as server:
        monkeypatch.setenv("OPERATIVUS_BASE_URL", server.url)
        found = look("operativus")
    assert {f.level for f in found.values()} == {"ok"}
    assert "the certificate is trusted" in found["connection"].says


def test_the_way_is_tried_without_the_key(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(agents) as server:
        monkeypatch.setenv("OPERATIVUS_BASE_URL", server.url)
        look("operativus")
    first, second = server.requests
    assert CANARY not in str(first.headers)
    assert second.headers["authorization"] == f"Bearer {CANARY}"


@pytest.mark.slow
def test_a_server_that_never_answers(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(c: Connection) -> None:
        await c.request()
        await c.gone()

    with running(silent) as server:
        monkeypatch.setenv("OPERATIVUS_BASE_URL", server.url)
        began = time.monotonic()
        found = look("operativus")
    assert found["connection"].level == "problem"
    assert "access" not in found
    assert time.monotonic() - began < 60, "it waited for longer than any deadline of its own"


def test_what_is_no_http(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    async def other(c: Connection) -> None:
        await c.send(b"220 mail.example.com ESMTP\r\n\r\n")
        await c.gone()

    with running(other) as server:
        monkeypatch.setenv("OPERATIVUS_BASE_URL", server.url)
        found = look("operativus")["connection"]
    assert found.level == "problem"
    assert "not valid HTTP" in found.says


def test_a_page_where_the_platform_should_be(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    async def page(c: Connection) -> None:
        while True:
            await c.request()
            await c.answer(b"<h1>Please log in</h1>", headers="Content-Type: text/html")

    with running(page) as server:
        monkeypatch.setenv("OPERATIVUS_BASE_URL", server.url)
        found = look("operativus")
    assert found["connection"].level == "ok"
    assert found["access"].level == "problem"
    assert "text/html" in found["access"].says
    assert "login page" in found["access"].hint


def test_a_proxy_on_the_way_is_named(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    async def relayed(c: Connection) -> None:
        while True:
            await c.request()
            await c.answer(b"[]", headers="Content-Type: application/json\nVia: 1.1 squid")

    with running(relayed) as server:
        monkeypatch.setenv("OPERATIVUS_BASE_URL", server.url)
        assert "via 1.1 squid" in look("operativus")["connection"].says


def test_the_sandbox_has_nothing_wrong(
    look: Look, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPERATIVUS_API_KEY", sandbox.api_key.get_secret_value())
    monkeypatch.setenv("OPERATIVUS_BASE_URL", sandbox.base_url("operativus"))
    found = look("operativus")
    assert {f.level for f in found.values()} == {"ok"}
    # Other tests may have added some of their own.
    assert re.search(r"accepted, \d+ agents", found["access"].says)


def answered(date: str, **headers: str) -> ProbeResponse:
    return ProbeResponse(200, {"date": date, **headers}, 0.1, datetime.now(UTC).timestamp())


@pytest.mark.parametrize(
    ("minutes", "level", "way"),
    [(0, "ok", ""), (-2, "note", "ahead of"), (2, "note", "behind"), (-90, "problem", "ahead of")],
)
def test_a_clock_that_goes_wrong(minutes: int, level: str, way: str) -> None:
    there = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    found = check_clock("clock", answered(there))
    assert found is not None
    assert found.level == level
    assert way in found.says
    assert bool(found.hint) == (level != "ok")


def test_the_age_of_a_cached_response_is_considered() -> None:
    there = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
    found = check_clock("clock", answered(there, age="3600"))
    assert found is not None
    assert found.level == "ok"


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Foo 2024", "\x00"])
def test_a_date_that_is_none_tells_nothing(date: str) -> None:
    assert check_clock("clock", answered(date)) is None
    assert check_clock("clock", answered("Thu, 01 Jan 2026 00:00:00 GMT", age="nan")) is None


def test_the_clock_of_a_real_server(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    there = format_datetime(datetime.now(UTC) - timedelta(hours=3), usegmt=True)

    async def slow_clock(c: Connection) -> None:
        while True:
            await c.request()
            await c.answer(b"[]", headers=f"Content-Type: application/json\nDate: {there}")

    with running(slow_clock) as server:
        monkeypatch.setenv("OPERATIVUS_BASE_URL", server.url)
        found = look("operativus")["clock"]
    assert found.level == "problem"
    assert "3 hours ahead of" in found.says

"""Who may not use the sandbox: pages, other names of this machine, and whoever has no key."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
from typing import Any

import pytest

from agentnb.sandbox import Sandbox
from tests.sandbox.rawclient import PLATFORMS, Answer, post

STARTS: dict[str, tuple[str, dict[str, str]]] = {
    "seekr": ("/v1/threads", {}),
    "runagent": ("/v1/agents/echo/stream", {"query": "hi"}),
    "operativus": ("/api/agents/echo/runs/stream", {"message": "hi"}),
    "runtools": ("/v1/run", {"agent": "echo", "prompt": "hi"}),
}


@pytest.fixture(params=PLATFORMS)
def platform(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def started(sandbox: Sandbox) -> list[Any]:
    """Return what the platforms that list it know of: threads and runs."""
    threads = post(sandbox, "seekr", "/v1/threads?limit=1000", method="GET").json
    runs = post(sandbox, "runtools", "/v1/run?limit=1000", method="GET").json["data"]
    pages = post(sandbox, "operativus", "/api/v1/runs?size=1000", method="GET").json
    return [threads, runs, pages]


def start(sandbox: Sandbox, platform: str, **more: Any) -> Answer:
    path, body = STARTS[platform]
    return post(sandbox, platform, more.pop("path", path), body, **more)


def test_a_page_of_another_origin_starts_nothing_even_with_the_key(
    sandbox: Sandbox, platform: str
) -> None:
    before = started(sandbox)
    secure, other = f"https://127.0.0.1:{sandbox.port}", f"http://127.0.0.1:{sandbox.port - 1}"
    for origin in ("http://evil.example", "null", secure, other, ""):
        answer = start(sandbox, platform, headers={"Origin": origin})
        assert answer.status == 403
        assert answer.body == b"This sandbox serves no page of another origin."
    assert started(sandbox) == before


def test_what_has_the_key_may_say_that_it_is_from_here(sandbox: Sandbox, platform: str) -> None:
    own = {"Origin": f"http://127.0.0.1:{sandbox.port}"}
    assert start(sandbox, platform, headers=own).status == 200


def test_a_simple_request_without_the_key_starts_nothing(sandbox: Sandbox, platform: str) -> None:
    # What a form or `fetch` without preflight may send from anywhere.
    before = started(sandbox)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json"):
        answer = start(sandbox, platform, keyed=False, headers={"Content-Type": kind})
        assert answer.status == 401
    assert started(sandbox) == before


@pytest.mark.parametrize("method", ["OPTIONS", "GET", "POST"])
def test_nothing_lets_a_page_read_an_answer(sandbox: Sandbox, platform: str, method: str) -> None:
    asks = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,x-api-key,content-type",
        "Access-Control-Request-Private-Network": "true",
    }
    for headers in (asks, {**asks, "Origin": "http://evil.example"}):
        for keyed in (True, False):
            answer = start(sandbox, platform, method=method, headers=headers, keyed=keyed)
            assert not [name for name in answer.headers if name.startswith("access-control")]
            assert "set-cookie" not in answer.headers
    front = post(sandbox, platform, "/../", method="GET", headers=asks, keyed=False)
    assert not [name for name in front.headers if name.startswith("access-control")]


@pytest.mark.parametrize("name", ["key", "api_key", "apikey", "token", "access_token", "x-api-key"])
def test_a_key_in_the_address_is_no_key(sandbox: Sandbox, platform: str, name: str) -> None:
    key = sandbox.api_key.get_secret_value()
    path, _ = STARTS[platform]
    answer = start(sandbox, platform, path=f"{path}?{name}={key}", keyed=False)
    assert answer.status == 401
    assert key not in answer.text


def test_a_key_elsewhere_is_no_key(sandbox: Sandbox, platform: str) -> None:
    key = sandbox.api_key.get_secret_value()
    for headers in (
        {"Cookie": f"key={key}; Authorization=Bearer {key}"},
        {"Proxy-Authorization": f"Bearer {key}"},
        {"Authorization": f"Basic {key}"},
    ):
        assert start(sandbox, platform, keyed=False, headers=headers).status == 401


@pytest.mark.parametrize("change", ["shorter", "longer", "other", "not ascii"])
def test_a_key_that_is_nearly_right_is_wrong(sandbox: Sandbox, platform: str, change: str) -> None:
    key = sandbox.api_key.get_secret_value()
    wrong = {
        "shorter": key[:-1],
        "longer": key + "x",
        "other": key[:-1] + ("a" if key[-1] != "a" else "b"),
        "not ascii": key[:-1] + "\u00e9",
    }[change]
    headers = {"Authorization": f"Bearer {wrong}", "X-API-Key": wrong}
    answer = start(sandbox, platform, keyed=False, headers=headers)
    assert answer.status in (400, 401)
    assert wrong not in answer.body.decode("latin-1")


def test_a_name_that_leads_here_is_refused_with_the_key(sandbox: Sandbox, platform: str) -> None:
    # As after DNS rebinding: the browser asks this machine, under the attacker's name.
    host = {"Host": f"rebound.example:{sandbox.port}"}
    before = started(sandbox)
    assert start(sandbox, platform, headers=host).status == 421
    assert started(sandbox) == before


def test_a_script_of_faults_needs_the_key_too(sandbox: Sandbox, platform: str) -> None:
    answer = start(sandbox, platform, keyed=False, fault="stall")
    assert (answer.status, answer.end) == (401, "end")


def test_a_head_without_end_is_refused(sandbox: Sandbox) -> None:
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        got = b""
        try:
            for _ in range(200):
                connection.sendall(b"X-Filler: " + b"x" * 1000 + b"\r\n")
            while piece := connection.recv(4096):
                got += piece
        except (ConnectionResetError, BrokenPipeError):
            pass
    assert got == b"" or got.startswith(b"HTTP/1.1 400")


def test_what_a_client_says_of_itself_is_not_believed(sandbox: Sandbox, platform: str) -> None:
    headers = {"X-Forwarded-Host": "evil.example", "X-Forwarded-For": "8.8.8.8"}
    assert start(sandbox, platform, headers=headers).status == 200
    headers = {"Host": "evil.example", "X-Forwarded-Host": f"127.0.0.1:{sandbox.port}"}
    assert start(sandbox, platform, headers=headers).status == 421


def test_an_answer_never_holds_the_key(sandbox: Sandbox, platform: str) -> None:
    key = sandbox.api_key.get_secret_value()
    for fault in (None, "status 500", "dorp", "type text/plain"):
        answer = start(sandbox, platform, fault=fault)
        assert key not in json.dumps(answer.headers) + answer.text


# --- python -m agentnb.sandbox ---


def said_by(arguments: list[str], environment: dict[str, str]) -> str:
    process = subprocess.Popen(
        [sys.executable, "-m", "agentnb.sandbox", "--pace", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    try:
        ready, _, _ = select.select([process.stdout], [], [], 60)
        assert ready, "it says nothing"
        said = "".join(iter(process.stdout.readline, "Ctrl-C stops it.\n"))
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=20)
        assert errors == ""
        return said + rest
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_the_command_shows_a_key_only_where_it_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = dict(os.environ)
    environment.pop("AGENTNB_SANDBOX_KEY", None)
    made = re.search(r"OPERATIVUS_API_KEY=(\S+)", said_by([], environment))
    assert made is not None
    assert made[1].startswith("sandbox-")
    assert len(made[1]) > 30
    given = said_by([], {**environment, "AGENTNB_SANDBOX_KEY": "canary-of-the-variable"})
    assert "canary" not in given
    assert "OPERATIVUS_API_KEY=$AGENTNB_SANDBOX_KEY" in given
    assert "canary" not in said_by(["--key", "canary-of-the-line"], environment)

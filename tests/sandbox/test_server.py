"""The server itself: where it listens, whom it serves, and how it starts and stops."""

from __future__ import annotations

import asyncio
import http.client
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from pydantic import SecretStr

import agentnb.sandbox
from agentnb.errors import ConfigError
from agentnb.sandbox import Sandbox
from tests.children import python

Clients = Callable[[str], httpx.Client]


def bearer(sandbox: Sandbox) -> dict[str, str]:
    return {"Authorization": f"Bearer {sandbox.api_key.get_secret_value()}"}


def wait_until(happened: threading.Event) -> None:
    assert happened.wait(10), "it never happened"


# --- starting and stopping ---


def test_it_is_ready_when_start_returns_and_gone_when_stop_does() -> None:
    sandbox = Sandbox(pace=0)
    assert not sandbox.is_running
    assert "stopped" in repr(sandbox)
    with sandbox:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", sandbox.url)
        address = sandbox.base_url("operativus")
        assert address == f"{sandbox.url}/operativus"
        answer = httpx.get(f"{address}/api/agents", headers=bearer(sandbox), trust_env=False)
        assert answer.status_code == 200
        assert sandbox.start() is sandbox
    assert not sandbox.is_running
    with pytest.raises(httpx.ConnectError):
        httpx.get(address, trust_env=False)
    with pytest.raises(ConfigError, match="not running"):
        _ = sandbox.url
    sandbox.stop()


def test_it_can_be_started_again() -> None:
    sandbox = Sandbox(pace=0)
    for _ in range(2):
        with sandbox:
            answer = httpx.get(sandbox.url, trust_env=False)
            assert answer.json()["platforms"] == ["seekr", "runagent", "operativus", "runtools"]


def test_a_port_can_be_chosen_and_a_taken_one_is_told() -> None:
    with Sandbox() as first:
        with pytest.raises(ConfigError, match=f"cannot listen on port {first.port}"):
            Sandbox(port=first.port).start()
        port = first.port
    with Sandbox(port=port) as second:
        assert second.port == port


def test_stopping_ends_the_streams_that_are_going() -> None:
    sandbox = Sandbox(pace=0).start()
    begun, ended = threading.Event(), threading.Event()

    @sandbox.agent("endless")
    async def endless(prompt: str) -> AsyncIterator[str]:
        try:
            while True:
                yield "x "
                begun.set()
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    texts: list[str] = []

    def read() -> None:
        answer = httpx.post(
            f"{sandbox.base_url('operativus')}/api/agents/endless/runs/stream",
            json={"message": "go"},
            headers=bearer(sandbox),
            trust_env=False,
        )
        texts.append(answer.text)

    reader = threading.Thread(target=read)
    reader.start()
    wait_until(begun)
    sandbox.stop()
    wait_until(ended)
    reader.join(10)
    assert '"event":"CANCELLED"' in texts[0]


def test_the_process_has_one_sandbox_whichever_thread_asks() -> None:
    found: list[Sandbox] = []
    threads = [
        threading.Thread(target=lambda: found.append(agentnb.sandbox.start(pace=0)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert len(set(map(id, found))) == 1
        assert agentnb.sandbox.start(port=found[0].port) is found[0]
        with pytest.raises(ConfigError, match="runs on port"):
            agentnb.sandbox.start(port=found[0].port + 1)
    finally:
        found[0].stop()
    after = agentnb.sandbox.start(pace=0)
    assert after is not found[0]
    after.stop()


def test_importing_it_imports_no_server() -> None:
    code = (
        "import sys, agentnb.sandbox\n"
        "@agentnb.sandbox.agent('early')\n"
        "def early(prompt): return prompt\n"
        "heavy = {'uvicorn', 'starlette', 'httpx', 'pydantic', 'pandas', 'IPython'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_a_forked_child_gets_a_sandbox_of_its_own() -> None:
    code = (
        "import os, sys, urllib.request, agentnb.sandbox\n"
        "def ask(s):\n"
        "    return urllib.request.urlopen(s.url, timeout=10).status\n"
        "parent = agentnb.sandbox.start(pace=0)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    own = agentnb.sandbox.start(pace=0)\n"
        "    ok = own is not parent and not parent.is_running and ask(own) == 200\n"
        "    own.stop()\n"
        "    os._exit(0 if ok else 1)\n"
        "_, status = os.waitpid(child, 0)\n"
        "print(os.waitstatus_to_exitcode(status), ask(parent))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == "0 200", done.stderr


def test_a_script_that_started_one_ends() -> None:
    code = "import agentnb.sandbox; agentnb.sandbox.start(); print('end')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


# --- python -m agentnb.sandbox ---


def test_the_command_tells_where_it_listens_and_ends_on_ctrl_c() -> None:
    command = [sys.executable, "-m", "agentnb.sandbox", "--key", "the-key", "--pace", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        ready, _, _ = select.select([process.stdout], [], [], 30)
        assert ready, "it says nothing"
        said = "".join(iter(process.stdout.readline, "Ctrl-C stops it.\n"))
        assert "OPERATIVUS_API_KEY=THE_KEY_YOU_GAVE" in said
        found = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert found is not None
        answer = httpx.post(
            f"{found[0]}/runtools/v1/run",
            json={"agent": "echo", "prompt": "hi", "stream": False},
            headers={"X-API-Key": "the-key"},
            trust_env=False,
        )
        assert answer.json()["data"]["result"] == "hi"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20) == ("Stopped.\n", "")
        assert process.returncode == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_the_command_tells_when_its_port_is_taken(sandbox: Sandbox) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agentnb.sandbox", "--port", str(sandbox.port)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert f"cannot listen on port {sandbox.port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_misbehaves_as_it_is_told() -> None:
    command = [sys.executable, "-m", "agentnb.sandbox", "--key", "k", "--pace", "0"]
    command += ["--fault", "drop after=50 how=close", "--keep", "5"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        ready, _, _ = select.select([process.stdout], [], [], 30)
        assert ready, "it says nothing"
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert found is not None
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            httpx.post(
                f"{found[0]}/runtools/v1/run",
                json={"agent": "echo", "prompt": "hi"},
                headers={"X-API-Key": "k"},
                trust_env=False,
            )
    finally:
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 0


def test_the_command_refuses_a_script_that_it_cannot_read() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agentnb.sandbox", "--fault", "dorp"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "There is no fault 'dorp'. Did you mean 'drop'?" in done.stderr
    assert "Traceback" not in done.stderr


# --- whom it serves ---


def test_it_listens_on_this_machine_only(sandbox: Sandbox) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", sandbox.port), timeout=5)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("LOCALHOST:{port}", 200),
        ("localhost", 421),
        ("127.0.0.1:1", 421),
        ("evil.example:{port}", 421),
        ("127.0.0.1.evil.example:{port}", 421),
        ("", 421),
    ],
)
def test_the_host_header_must_name_this_machine_and_port(
    sandbox: Sandbox, host: str, status: int
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=10)
    connection.putrequest("GET", "/operativus/api/agents", skip_host=True)
    connection.putheader("Host", host.format(port=sandbox.port))
    connection.putheader("Authorization", bearer(sandbox)["Authorization"])
    connection.endheaders()
    assert connection.getresponse().status == status
    connection.close()


def test_a_random_key_is_made_for_each_and_never_shown(sandbox: Sandbox) -> None:
    key = sandbox.api_key.get_secret_value()
    assert len(key) > 30
    assert Sandbox().api_key.get_secret_value() != key
    assert key not in repr(sandbox) + repr(sandbox.api_key) + repr(vars(sandbox))
    assert Sandbox(api_key=SecretStr("mine")).api_key.get_secret_value() == "mine"


def test_what_needs_no_key_tells_only_that_it_is_there(sandbox: Sandbox) -> None:
    assert httpx.get(sandbox.url, trust_env=False).json() == {
        "name": "agentnb sandbox",
        "platforms": ["seekr", "runagent", "operativus", "runtools"],
    }
    assert httpx.get(f"{sandbox.url}/elsewhere", trust_env=False).status_code == 404
    for platform in ("seekr", "runagent", "operativus", "runtools"):
        answer = httpx.get(f"{sandbox.base_url(platform)}/no/such/path", trust_env=False)
        assert answer.status_code == 401


def test_it_does_not_speak_what_it_does_not(sandbox: Sandbox) -> None:
    with pytest.raises(ConfigError, match="does not speak 'openai'"):
        sandbox.base_url("openai")


def test_a_huge_body_is_refused(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentnb.sandbox.dialects.base._MAX_BODY", 1000)
    answer = httpx.post(
        f"{sandbox.base_url('runagent')}/v1/agents/echo/invoke",
        json={"query": "x" * 2000},
        headers=bearer(sandbox),
        trust_env=False,
    )
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"query": "\xff"}', b"\x00", b"9" * 5000], ids=range(4)
)
def test_a_hostile_body_is_an_error_of_the_client(sandbox: Sandbox, body: bytes) -> None:
    answer = httpx.post(
        f"{sandbox.base_url('runagent')}/v1/agents/echo/invoke",
        content=body,
        headers=bearer(sandbox),
        trust_env=False,
    )
    assert answer.status_code == 422


def test_a_client_that_leaves_before_it_has_said_all_is_no_crash() -> None:
    # In a process of its own, whose log nobody has set up, as in a kernel.
    done = python("""
        import socket, time
        from agentnb.sandbox import Sandbox

        with Sandbox(pace=0) as sandbox:
            head = (
                "POST /operativus/api/agents/echo/runs/stream HTTP/1.1\\r\\n"
                f"Host: 127.0.0.1:{sandbox.port}\\r\\n"
                "Content-Type: application/json\\r\\nContent-Length: 1000\\r\\n"
                f"Authorization: Bearer {sandbox.api_key.get_secret_value()}\\r\\n\\r\\n"
            )
            with socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as connection:
                connection.sendall(head.encode() + b'{"message":')
                time.sleep(0.3)
            time.sleep(0.5)
    """)
    assert done.stderr == ""

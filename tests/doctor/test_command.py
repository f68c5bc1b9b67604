"""``agentnb doctor`` as it is typed: what it prints, its exit status, and whom it asks."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentnb import __version__
from agentnb.config import user_config_path
from agentnb.sandbox import Sandbox
from tests.doctor.conftest import CANARY
from tests.faults.rawserver import Connection, running, unused_port

# So that a busy machine is not taken for one that does not answer.
PATIENT = ("--timeout", "60")


def agentnb(*words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agentnb", *words],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        cwd=folder,
        env={**os.environ, **environment},
    )


def read(text: str) -> dict[str, Any]:
    told = json.loads(text)
    assert told["agentnb"] == __version__
    return {f"{f['check']}/{f['level']}": f for f in told["findings"]}


def test_nothing_wrong(surroundings: Path, tmp_path: Path) -> None:
    done = agentnb(
        "doctor",
        "--json",
        *PATIENT,
        folder=surroundings,
        AGENTNB_HISTORY=str(tmp_path / "runs.sqlite"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    found = read(done.stdout)
    assert json.loads(done.stdout)["problems"] == 0
    assert "sandbox/ok" in found
    # A busy machine is worth a note, and no more.
    assert found.keys() & {"sandbox: stream/ok", "sandbox: stream/note"}
    assert not [name for name in found if name.startswith(("operativus", "seekr", "run"))]


def test_everything_wrong_at_once(surroundings: Path) -> None:
    """Each is found, none hides another, and the report can be given away."""
    home = surroundings
    (home / "work").mkdir()
    (home / "agentnb.toml").write_text("default_agent = \n")

    async def echoing(c: Connection) -> None:
        while True:
            asked = await c.request()
            told = {"error": {"message": f"no such key: {asked.headers.get('authorization')}"}}
            body = json.dumps(told).encode()
            await c.answer(
                body, status="401 Unauthorized", headers="Content-Type: application/json"
            )

    with running(echoing) as server:
        done = agentnb(
            "doctor",
            "--json",
            *PATIENT,
            folder=home / "work",
            HOME=str(home),
            HTTPS_PROXY=f"http://jane:{CANARY}@proxy.invalid:3128",
            SEEKR_API_KEY=CANARY,
            SEEKR_BASE_URL=server.url,
            OPERATIVUS_API_KEY=CANARY,
            OPERATIVUS_BASE_URL=f"http://127.0.0.1:{unused_port()}",
            RUNTOOLS_BASE_URL=server.url,
        )
    assert done.returncode == 1
    assert done.stderr == ""
    found = read(done.stdout)
    problems = {name for name in found if name.endswith("/problem")}
    assert problems >= {
        "configuration/problem",
        "operativus: connection/problem",
        "runtools: key/problem",
        "seekr: access/problem",
    }
    assert "sandbox/ok" in found
    for name in problems:
        assert found[name]["hint"], name
    assert "~/agentnb.toml" in found["configuration/problem"]["finding"]
    for secret in (CANARY, str(home), "jane"):
        assert secret not in done.stdout


def test_it_is_read_from_the_top(surroundings: Path) -> None:
    done = agentnb(
        "doctor", *PATIENT, folder=surroundings, AGENTNB_HISTORY="nosuch://place", COLUMNS="80"
    )
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("problem  history ")
    assert lines[-1].startswith("1 problem, ")
    assert "\x1b" not in done.stdout
    levels = [line.split()[0] for line in lines if line.startswith(("problem", "note", "ok"))]
    assert levels == sorted(levels, key=["problem", "note", "ok"].index)


@pytest.mark.slow
def test_colours_on_a_terminal_only(surroundings: Path) -> None:
    colourful = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}

    def shown(**environment: str) -> bytes:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "agentnb", "doctor", *PATIENT],
            stdout=theirs,
            cwd=surroundings,
            env={**colourful, "TERM": "xterm", **environment},
        )
        os.close(theirs)
        text = b""
        try:
            while data := os.read(ours, 65536):
                text += data
        except OSError:  # the other end is closed
            pass
        assert process.wait(200) == 0
        os.close(ours)
        return text

    assert b"\x1b[32mok" in shown()
    assert b"\x1b" not in shown(NO_COLOR="1")


def test_only_the_named_platform_is_checked(surroundings: Path, sandbox: Sandbox) -> None:
    asked: list[str] = []

    async def listening(c: Connection) -> None:
        asked.append((await c.request()).target)
        await c.gone()

    with running(listening) as server:
        done = agentnb(
            "doctor",
            "operativus",
            "--json",
            *PATIENT,
            folder=surroundings,
            SEEKR_API_KEY=CANARY,
            SEEKR_BASE_URL=server.url,
            OPERATIVUS_API_KEY=sandbox.api_key.get_secret_value(),
            OPERATIVUS_BASE_URL=sandbox.base_url("operativus"),
        )
    assert done.returncode == 0, done.stdout
    assert "operativus: access/ok" in read(done.stdout)
    assert "operativus: stream/ok" not in read(done.stdout), "nobody said that a run may be paid"
    assert asked == []


def test_a_question_is_sent_with_the_option_stream(surroundings: Path, sandbox: Sandbox) -> None:
    done = agentnb(
        "doctor",
        "--json",
        *PATIENT,
        "--stream",
        "runagent:finance_agent",
        folder=surroundings,
        RUNAGENT_API_KEY=sandbox.api_key.get_secret_value(),
        RUNAGENT_BASE_URL=sandbox.base_url("runagent"),
    )
    assert done.returncode == 0, done.stdout
    found = read(done.stdout)
    (streams,) = (found[name] for name in found if name.startswith("runagent: stream/"))
    assert "pieces" in streams["finding"]
    assert sandbox.api_key.get_secret_value() not in done.stdout


def test_what_is_on_this_machine_gets_its_time(surroundings: Path) -> None:
    """However short others are waited for."""
    done = agentnb("doctor", "--json", "--timeout", "0.05", folder=surroundings)
    late = [f for f in read(done.stdout).values() if "did not end" in f["finding"]]
    # Where the store is may be another machine.
    assert {f["level"] for f in late if f["check"] != "history"} <= {"note"}
    assert done.returncode == 0 or late, done.stdout


@pytest.mark.parametrize("seconds", ["inf", "nan", "0", "-1", "1e300", "soon"])
def test_a_time_that_is_none(seconds: str, surroundings: Path) -> None:
    done = agentnb("doctor", "--timeout", seconds, folder=surroundings)
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"argument --timeout: '{seconds}' is not above 0 s" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_that_cannot_be_read(surroundings: Path) -> None:
    done = agentnb(
        "doctor",
        "seekr",
        "--json",
        *PATIENT,
        folder=surroundings,
        SEEKR_API_KEY=CANARY,
        SEEKR_BASE_URL="https://[bad",
    )
    assert done.returncode == 1
    found = read(done.stdout)["seekr: connection/problem"]
    assert "base_url of seekr is not an address" in found["finding"]
    assert "itself failed" not in done.stdout


def test_the_users_own_file(surroundings: Path) -> None:
    path = user_config_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("default_agent = 'sandbox:echo'\n")
    try:
        done = agentnb("doctor", "--json", *PATIENT, folder=surroundings)
    finally:
        path.unlink()
    found = read(done.stdout)
    assert "config.toml" in found["configuration/ok"]["finding"]
    assert found["default agent/ok"]["finding"] == "sandbox:echo"


def test_a_platform_that_there_is_not(surroundings: Path) -> None:
    done = agentnb("doctor", "operatives", folder=surroundings)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Did you mean 'operativus'?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [(), ("--help",)])
def test_help(words: tuple[str, ...], surroundings: Path) -> None:
    done = agentnb(*words, folder=surroundings)
    assert done.returncode == 0
    for command in ("doctor", "sandbox", "version", "%load_ext agentnb"):
        assert command in done.stdout


def test_version_and_the_sandbox(surroundings: Path) -> None:
    assert agentnb("version", folder=surroundings).stdout == f"agentnb {__version__}\n"
    assert agentnb("--version", folder=surroundings).stdout == f"agentnb {__version__}\n"
    assert "--port" in agentnb("sandbox", "--help", folder=surroundings).stdout
    assert agentnb("dcotor", folder=surroundings).returncode == 2

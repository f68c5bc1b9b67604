"""``%agent login``: a key is typed unseen, kept where it can be, and never shown."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

from tests.children import TIMEOUT

KEY = "sk-canary-of-login-0123456789"
RING = """
import keyring, keyring.backend, keyring.backends.null
class Ring(keyring.backend.KeyringBackend):
    priority = 1
    name = "a ring of tests"
    kept = {}
    def get_password(self, service, username):
        return self.kept.get((service, username))
    def set_password(self, service, username, password):
        self.kept[service, username] = password
    def delete_password(self, service, username):
        del self.kept[service, username]
"""
HASH = f"""
from agentnb.config import config
def known(name):
    return config().settings(name, ask=False).api_key.get_secret_value() == "".join({list(KEY)})
"""


@dataclass
class Session:
    """A kernel whose frontend answers prompts with ``typed``."""

    client: BlockingKernelClient
    typed: str = KEY
    prompts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    heard: list[Any] = field(default_factory=list[Any])

    def run(self, code: str, *, attended: bool = True) -> str:
        """Run a cell; return all that it shows."""
        shown: list[str] = []

        def answer(message: dict[str, Any]) -> None:
            self.prompts.append(message["content"])
            self.client.input(self.typed)

        def show(message: dict[str, Any]) -> None:
            # Also what no frontend shows.
            self.heard.append(message["content"])
            if message["msg_type"] in ("stream", "execute_result", "error", "display_data"):
                shown.append(json.dumps(message["content"], ensure_ascii=False))

        reply = self.client.execute_interactive(
            code, allow_stdin=attended, stdin_hook=answer, output_hook=show, timeout=60
        )
        self.heard.append(reply["content"])
        return "".join(shown)


@pytest.fixture(scope="module")
def kernel() -> Iterator[BlockingKernelClient]:
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        Session(client).run(f"%load_ext agentnb\n{RING}\n{HASH}")
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.fixture
def session(kernel: BlockingKernelClient) -> Iterator[Session]:
    session = Session(kernel)
    yield session
    session.run(
        "config().forget_key('seekr')\nkeyring.set_keyring(keyring.backends.null.Keyring())"
    )
    assert KEY not in json.dumps([session.prompts, session.heard], default=str)


def test_without_a_keyring_it_lasts_for_the_session(session: Session) -> None:
    session.run("keyring.set_keyring(keyring.backends.null.Keyring())")
    shown = session.run("%agent login seekr")
    assert session.prompts == [{"prompt": "API key for seekr: ", "password": True}]
    assert "kept for this session only" in shown
    assert "the keyring did not keep it" in shown
    assert "True" in session.run("known('seekr')")
    assert "%agent login, kept for this session only" in session.run("%agent config")
    assert "True" in session.run("known('seekr')"), "reading the configuration again keeps it"
    assert "forgotten; it was in no keyring" in session.run("%agent login seekr --forget")
    assert "there was none to forget" in session.run("%agent login seekr --forget")
    assert "MissingKeyError" in session.run("known('seekr')")


def test_with_one_it_is_kept_there(session: Session) -> None:
    session.run("keyring.set_keyring(Ring())")
    assert "kept in the keyring (a ring of tests)" in session.run("%agent login seekr")
    assert "True" in session.run("config().forget_key('seekr')\nknown('seekr')")
    assert "('agentnb', 'seekr')" in session.run("list(Ring.kept)")
    assert "removed from the keyring" in session.run("%agent login --forget seekr")
    assert "[]" in session.run("list(Ring.kept)")


def test_it_counts_before_the_environment_and_says_what_follows(session: Session) -> None:
    session.run("%env SEEKR_API_KEY=of-the-environment")
    try:
        shown = session.run("%agent login seekr")
        assert "the next one finds the environment variable SEEKR_API_KEY first" in shown
        assert "True" in session.run("known('seekr')")
        shown = session.run("%agent login seekr --forget")
        assert "There still is the environment variable SEEKR_API_KEY" in shown
    finally:
        session.run("import os\nos.environ.pop('SEEKR_API_KEY', None)")


@pytest.mark.parametrize(
    ("typed", "said"),
    [("", "No key was typed"), (f"Bearer {KEY}", "without 'Bearer'"), (" ", "No key was typed")],
)
def test_what_is_no_key_changes_nothing(session: Session, typed: str, said: str) -> None:
    session.typed = typed
    shown = session.run("%agent login seekr")
    assert "RequestError" in shown
    assert said in shown
    assert "MissingKeyError" in session.run("known('seekr')")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "takes PLATFORM [--forget]"),
        (f"seekr {KEY}", "and no key: that is asked for"),
        (f"seekr {KEY} --forget", "takes PLATFORM [--forget]"),
        (KEY, "There is no such platform"),
        ("seeker", "Did you mean 'seekr'?"),
        ("sandbox", "needs no login"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(session: Session, line: str, said: str) -> None:
    sent = len(session.heard)
    shown = session.run(f"%agent login {line}")
    assert said in shown
    assert len(json.loads(shown)["traceback"]) == 1
    assert session.prompts == []
    # What the frontend sent comes back from the kernel as what it runs.
    session.heard[sent:] = [each for each in session.heard[sent:] if "execution_count" not in each]


def test_nobody_is_there(session: Session) -> None:
    shown = session.run("%agent login seekr", attended=False)
    assert "This frontend cannot ask for the key of seekr" in shown
    for way in ("SEEKR_API_KEY in the environment or in .env", "service 'agentnb', user 'seekr'"):
        assert way in shown
    assert len(json.loads(shown)["traceback"]) == 1


def test_help_names_it(session: Session) -> None:
    assert "%agent login PLATFORM [--forget]" in session.run("%agent help")


def test_in_a_terminal() -> None:
    """IPython's own prompt is not used, which would keep what is typed in its history."""
    leader, follower = pty.openpty()
    code = (
        "from IPython.terminal.interactiveshell import TerminalInteractiveShell as Shell\n"
        "shell = Shell.instance(simple_prompt=True)\n"
        "shell.run_cell('%load_ext agentnb')\n"
        "shell.run_cell('%agent login seekr')\n"
        "from agentnb.config import config\n"
        "print('typed', len(config().settings('seekr').api_key))\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"},
        # Without a terminal of its own to open, getpass asks on this one.
        start_new_session=True,
    )
    os.close(follower)
    shown = b""
    try:
        while b"API key for seekr: " not in shown:
            shown += os.read(leader, 1024)
        os.write(leader, f"{KEY}\n".encode())
        while b"typed " not in shown or not shown.endswith(b"\n"):
            shown += os.read(leader, 1024)
        assert child.wait(TIMEOUT) == 0
    finally:
        child.kill()
        child.wait()
        os.close(leader)
    assert f"typed {len(KEY)}" in shown.decode()
    assert "kept for this session only" in shown.decode()
    assert KEY.encode() not in shown
